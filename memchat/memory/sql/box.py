"""The database that one call of a model runs in: in memory, a copy of the table, everything refused that is not named.

ADD COLUMN is done here rather than by SQLite, whose authorizer cannot tell it from RENAME.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from time import monotonic

from memchat.memory.sql.table import Person, Table

SECONDS = 0.1
"""For one statement, with its repairs."""
FETCHED = 100

_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 256_000,  # a row of 256 fields of 200 characters of 4 bytes still fits
    sqlite3.SQLITE_LIMIT_COLUMN: 300,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 40,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 10,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
}
_FUNCTIONS = (
    "lower upper length trim ltrim rtrim substr substring replace instr coalesce ifnull nullif iif like glob abs round "
    "count sum avg total min max group_concat"
)
_ALLOWED = frozenset(_FUNCTIONS.split())


class RefusedError(Exception):
    """The statement may not do what it did."""


class Box:
    """One database with the table, for one call."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.columns = list(table.fields)
        self.seen: set[str] = set()
        self.deadline = 0.0
        self.base = sqlite3.connect(":memory:", isolation_level=None, cached_statements=8)
        self.base.execute("PRAGMA temp_store = 2")  # or a large ORDER BY makes files
        columns = "".join(f', "{name}" TEXT' for name in table.fields)
        head = "id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, relation TEXT COLLATE NOCASE"
        self.base.execute(f"CREATE TABLE users ({head}{columns})")
        self.fill(table.people)
        for limit, value in _LIMITS.items():
            self.base.setlimit(limit, value)

    def close(self) -> None:
        self.base.close()

    def fill(self, people: tuple[Person, ...], names: Sequence[str] | None = None) -> None:
        """Let the table hold these rows and no others, whole or with the cells of some fields."""
        names = self.table.fields if names is None else names
        cells = self.table.cells
        # SQLite compares each name with each column, so names are left out where they are all
        columns = ", ".join(["id, name, relation", *(f'"{name}"' for name in names)])
        into = f"users ({columns})" if len(names) < len(self.table.fields) else "users"
        self.base.execute("DELETE FROM users")
        self.base.executemany(
            f"INSERT INTO {into} VALUES (?, ?, ?{', ?' * len(names)})",
            [(p.id, p.name, p.relation, *[cells.get((p.id, name)) for name in names]) for p in people],
        )

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Take back what the block does to the rows: cheaper than filling the table again."""
        self.base.execute("SAVEPOINT undone")
        try:
            yield
        finally:
            self.base.execute("ROLLBACK TO undone")
            self.base.execute("RELEASE undone")

    def _may_read(self, action: int, one: str | None, two: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ and one == "users":
            self.seen.add((two or "").casefold())
            return sqlite3.SQLITE_OK
        known = action == sqlite3.SQLITE_SELECT or (action == sqlite3.SQLITE_FUNCTION and two in _ALLOWED)
        return sqlite3.SQLITE_OK if known else sqlite3.SQLITE_DENY

    def _may_write(self, action: int, one: str | None, two: str | None, *more: str | None) -> int:
        writes = action == sqlite3.SQLITE_INSERT or (
            action == sqlite3.SQLITE_UPDATE and (two or "").casefold() not in ("id", "relation")
        )
        return sqlite3.SQLITE_OK if writes and one == "users" else self._may_read(action, one, two, *more)

    @contextmanager
    def guarded(self, write: bool) -> Iterator[None]:
        self.base.set_authorizer(self._may_write if write else self._may_read)
        self.base.set_progress_handler(lambda: monotonic() > self.deadline, 1000)
        try:
            yield
        finally:
            self.base.set_authorizer(None)
            self.base.set_progress_handler(None, 0)

    def read(self, sql: str) -> tuple[list[tuple[object, ...]], list[str]]:
        """(Rows, names of the result's columns) of a SELECT; `seen` then holds the columns it read."""
        with self.guarded(False), closing(self.base.execute(sql)) as cursor:
            return cursor.fetchmany(FETCHED), [str(d[0]).casefold() for d in cursor.description or ()]

    def read_again(self, sql: str) -> list[tuple[object, ...]]:
        """The rows of a SELECT that `read` has run: what may be read is asked when a statement is compiled."""
        self.base.set_progress_handler(lambda: monotonic() > self.deadline, 1000)
        try:
            with closing(self.base.execute(sql)) as cursor:
                return cursor.fetchmany(FETCHED)
        finally:
            self.base.set_progress_handler(None, 0)

    def write(self, sql: str, unique: str = "") -> int:
        """Run one statement whole or not at all; the number of rows it changed, -1 where it changes none by nature."""
        replaces = re.search(r"\breplace\s+into\b", sql, re.I) is not None
        before = self.rows() if replaces else {}
        self.base.execute("SAVEPOINT statement")
        try:
            if unique:
                self.base.execute(f"CREATE UNIQUE INDEX one ON users ({unique})")
            with self.guarded(True), closing(self.base.execute(sql)) as cursor:
                cursor.fetchmany(FETCHED)  # an open cursor would block the release
                changed = cursor.rowcount
            if unique:
                self.base.execute("DROP INDEX one")
            self._check(before)
        except BaseException:
            if self.base.in_transaction:  # "INSERT OR ROLLBACK" has ended it already
                self.base.execute("ROLLBACK TO statement")
            raise
        finally:
            if self.base.in_transaction:
                self.base.execute("RELEASE statement")
        return changed

    def _check(self, before: Mapping[int, tuple[object, ...]]) -> None:
        relations = dict(self.base.execute("SELECT id, relation FROM users"))
        if any(relations.get(p.id) != p.relation for p in self.table.people):
            raise RefusedError("it would replace the row of a person")
        after = self.rows() if before else {}
        if any(old is not None and new is None for i in before for old, new in zip(before[i], after[i], strict=True)):
            raise RefusedError("REPLACE would blank what is known of a person")

    def rows(self) -> dict[int, tuple[object, ...]]:
        """Of every row, by its id: name, relation, and the values of `columns`."""
        try:
            return {row[0]: row[1:] for row in self.base.execute("SELECT * FROM users")}
        except sqlite3.OperationalError:  # text that is no UTF-8, by a cast
            self.base.text_factory = lambda raw: raw.decode("utf-8", "replace")
            return {row[0]: row[1:] for row in self.base.execute("SELECT * FROM users")}

    def add(self, field: str) -> None:
        """Add a column; its name must be in normal form."""
        self.base.execute(f'ALTER TABLE users ADD COLUMN "{field}" TEXT')
        self.columns.append(field)

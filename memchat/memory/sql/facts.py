"""The fact store: what is known of whom, since when, and who said so; one SQLite file for each chat space.

Models and users see the wide table (`table()`); underneath every value is a fact with the time at which it came to
hold, the time at which we learned it, its source and its turn. Nothing is overwritten: an update retires the old fact
and records the new one in one transaction. Each call of an agent or a hand is one op in a log whose entries are chained
by hashes.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memchat.errors import MemchatError, UsageError
from memchat.memory.sql.edits import Draft, State, as_json, load, project, replay, standing
from memchat.memory.sql.factfile import FactFile
from memchat.memory.sql.oplog import COLUMNS, Op, append, as_op, begin, create
from memchat.memory.sql.table import OTHER, Change, Decision, NewPerson, Table
from memchat.store.text import storable

BACKUP_EVERY = 50
"""Ops between two backups; one more is made when the store is closed."""

SOURCES = {"model": "model", "user": "user_edit", "rule": "rule", "import": "import"}
"""Who acts -> the source of the facts."""


@dataclass(frozen=True)
class Fact:
    """A value of a cell, live while `retired_at` is None. `id` serves as the version of the cell.

    `valid_from` and `valid_to` are the world's time, `recorded_at` and `retired_at` are ours; all ISO 8601.
    """

    id: int
    person: int
    field: str
    value: str
    valid_from: str
    valid_to: str | None
    recorded_at: str
    retired_at: str | None
    superseded_by: int | None
    source: str
    turn: int | None
    op: int
    locked: bool
    epoch: int


class FactStore(FactFile):
    """The facts of one chat space; a context manager, usable from any thread.

    What may be done to them by hand is in `history`, `exchange` and `search`.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        super().__init__(path, read_only=read_only)
        if self.read_only:
            return
        if not self._newest_op():
            with self.write() as db:
                create(db)
        if self.read("SELECT 1 FROM meta WHERE key = 'scrub'"):
            self.scrub()

    def __enter__(self) -> FactStore:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- reading

    def table(self, as_of: str | None = None) -> Table:
        """The table now, or as we knew it at a time (ISO 8601; UTC unless it says otherwise).

        Raises:
            UsageError: this is no time.
        """
        return project(self.state(as_of))

    def state(self, as_of: str | None = None) -> State:
        """The rows behind `table`."""
        if as_of is None:
            with self._lock, self._explained():
                return load(self._open_db())
        until = moment(as_of)
        return standing(replay(edit for op in self.ops() if op.at <= until for edit in op.edits))

    def ops(self, limit: int | None = None) -> list[Op]:
        """The log, oldest first; with `limit` only the newest ones."""
        rows = self.read(f"SELECT {COLUMNS} FROM op ORDER BY id DESC LIMIT ?", (-1 if limit is None else limit,))
        return [as_op(row) for row in reversed(rows)]

    def op(self, number: int) -> Op:
        """One entry of the log.

        Raises:
            MemchatError: there is none of this number.
        """
        rows = self.read(f"SELECT {COLUMNS} FROM op WHERE id = ?", (number,))
        if not rows:
            raise MemchatError(f"there is no operation {number}", "The log lists them.")
        return as_op(rows[0])

    def fact(self, person: int, field: str) -> Fact | None:
        """The live fact of a cell: its provenance; `op(fact.op)` has the SQL that wrote it."""
        found = self.facts("f.person_id = ? AND d.name = ? AND f.retired_at IS NULL", (person, field))
        return found[0] if found else None

    def facts_of(self, turns: Iterable[int]) -> list[Fact]:
        """Live facts that were derived from these turns."""
        numbers = as_json(list(turns))
        return self.facts("f.turn_id IN (SELECT value FROM json_each(?)) AND f.retired_at IS NULL", (numbers,))

    def facts(self, where: str = "f.retired_at IS NULL", values: tuple[object, ...] = ()) -> list[Fact]:
        """Facts under a condition on f(act) and d (its field), oldest first; all live ones by default."""
        sql = (
            "SELECT f.id, f.person_id, d.name, f.value, f.valid_from, f.valid_to, f.recorded_at, f.retired_at,"
            " f.superseded_by, f.source, f.turn_id, f.op_id, f.locked, f.epoch"
            f" FROM fact f JOIN field d ON d.id = f.field_id WHERE {where} ORDER BY f.id"
        )
        return [Fact(*[*row[:12], bool(row[12]), row[13]]) for row in self.read(sql, values)]

    def same_fields(self, name: str) -> list[int]:
        """Ids of the fields that have this name, live or not, of what they were merged into and what was into them."""
        sql = """
            WITH RECURSIVE same(id) AS (
                SELECT id FROM field WHERE name = ?
                UNION SELECT merged_into FROM field JOIN same USING (id) WHERE merged_into IS NOT NULL
                UNION SELECT field.id FROM field JOIN same ON merged_into = same.id)
            SELECT id FROM same"""
        return [number for (number,) in self.read(sql, (name,))]

    def heard(self) -> set[int]:
        """Turns that the agents have been through, on whatever branch of the conversation."""
        turns = {turn for (turn,) in self.read("SELECT DISTINCT turn_id FROM op WHERE once IS NOT NULL")}
        erased = self.read("SELECT value FROM meta WHERE key = 'heard'")
        return turns.union(*(json.loads(value) for (value,) in erased))

    def field_aliases(self) -> dict[str, str]:
        """Names that a field had before it was merged into another -> the name of that other."""
        fields = {key[1]: row for key, row in self.state().items() if key[0] == "field"}
        merged = {row["name"]: row["merged"] for row in fields.values() if row["merged"] is not None}
        return {name: fields[number]["name"] for name, number in merged.items()}

    # --- writing

    def apply(
        self,
        decisions: Sequence[Decision],
        *,
        people: Sequence[NewPerson] = (),
        columns: Sequence[str] = (),
        turn: int | None = None,
        actor: str = "model",
        raw: str = "",
        executed: str = "",
        adapter: str = "",
        ms: float = 0.0,
        kind: str = "store",
        error: str = "",
        said_at: str | None = None,
        once: bool = False,
    ) -> Op:
        """Carry out what the policy decided, as one op in one transaction; it is logged also when nothing changes.

        The store holds its own line: a locked cell, a cell that changed since the decision was made and the columns
        id and relation are refused, a value that is there already is a noop. They stand in `Op.declined`.

        Args:
            people: rows to add, with their cells.
            columns: fields to make even though no cell of theirs is set.
            error: why the call failed; its status is then failed, unless something was changed nevertheless.
            said_at: since when the facts hold (ISO 8601); now by default.
            once: when this actor has done this turn already, return that op and change nothing. After the turn's facts
                were dropped it may be done again.
        """
        if any(person.relation != OTHER for person in people):
            raise ValueError("there is one user and one assistant")
        key = f"{turn}/{actor}/{kind}" if once and turn is not None else None
        call = {"turn": turn, "raw": raw, "executed": executed, "adapter": adapter, "ms": ms, "error": error}
        with self._lock:
            done = self.read("SELECT id FROM op WHERE once = ?", (key,))
            if done:
                return self.op(done[0][0])
            with self.change(kind, actor, once=key, **call) as draft:
                writer = Writer(draft, SOURCES[actor], turn, said_at or draft.at)
                for name in columns:
                    draft.make_field(storable(name), turn)
                for decision in decisions:
                    writer.carry_out(decision)
                for person in people:
                    writer.add_person(person)
        return self.op(draft.id)

    @contextlib.contextmanager
    def change(self, kind: str, actor: str, **call: Any) -> Iterator[Draft]:
        """A write transaction that ends as one op holding every row that was put.

        Args:
            call: columns of the op: turn, raw, executed, adapter, ms, error, target, once.

        Raises:
            MemchatError: a name is taken, or what `write` raises.
        """
        try:
            with self.write() as db:
                draft = begin(db)
                yield draft
                append(draft, kind, actor, **call)
        except sqlite3.IntegrityError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_CONSTRAINT_UNIQUE:
                raise
            raise MemchatError("another one has this name by now", "Rename it, or merge the two.") from error
        if draft.id - self._backed_up() >= BACKUP_EVERY:
            self.backup()


@dataclass
class Writer:
    """Carries out decisions in a draft; what it does not do it puts into `draft.declined` with the reason."""

    draft: Draft
    source: str
    turn: int | None
    since: str

    def carry_out(self, decision: Decision) -> None:
        """Change a cell, or the name of a person."""
        change = decision.change
        reason = decision.reason if decision.kind in ("noop", "refused") else self._set(decision)
        if reason is not None:
            kind = "refused" if decision.kind == "refused" or reason in _REFUSALS else "noop"
            item = {"kind": kind, "person": change.person, "field": change.field, "old": change.old, "new": change.new}
            self.draft.declined.append({**item, "reason": reason})

    def add_person(self, person: NewPerson) -> None:
        """Add a row, or set the cells of the one that has this name."""
        name = storable(person.name)
        number = self.draft.find_other(name) or self.draft.make_person(OTHER, name, self.source, self.turn)
        for field, value in person.cells:
            self.carry_out(Decision("add", Change(number, field, self._value(number, field), value)))

    def _value(self, person: int, field: str) -> str | None:
        number = self.draft.find_field(field)
        row = self.draft.get(("cell", person, number))
        return row["value"] if row else None

    def _set(self, decision: Decision) -> str | None:
        """None, or why it is not done."""
        change, draft = decision.change, self.draft
        new = None if decision.kind == "forget" or change.new is None else storable(change.new)
        person = draft.get(("person", change.person))
        if person is None or change.field in ("id", "relation"):
            return NO_CELL
        number = draft.find_field(change.field)
        row = draft.get(("cell", change.person, number))
        current = person["name"] if change.field == "name" else self._value(change.person, change.field)
        if current == new:
            return "not known anyway" if new is None else "known already"
        if self.source != "user_edit" and row and row["locked"]:
            return LOCKED
        column = draft.get(("field", number))
        by_old_name = column and column["name"] != change.field  # of a merged field: its table had no such column
        if self.source != "user_edit" and current != change.old and not by_old_name:
            return STALE
        if change.field == "name":
            draft.rename(change.person, new, self.source, self.turn)
            return None
        number = draft.make_field(storable(change.field), self.turn) if number is None else number
        fact = {"value": new, "since": self.since, "source": self.source, "turn": self.turn}
        locked = bool(row and row["locked"])
        draft.put(("cell", change.person, number), None if new is None else {**fact, "locked": locked})
        return None


NO_CELL, LOCKED, STALE = "there is no such cell", "locked", "changed meanwhile"
_REFUSALS = (NO_CELL, LOCKED, STALE)


def moment(text: str) -> str:
    """A time as the store writes it, so that text order is time order.

    Raises:
        UsageError: this is no time.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time", "Write it as 2026-01-31 or 2026-01-31T14:00.") from None
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return time.astimezone(UTC).isoformat(timespec="microseconds")

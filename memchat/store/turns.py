"""Turns: the tree of messages that everything else is derived from."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from memchat.errors import MemchatError
from memchat.store.connection import now
from memchat.store.leases import is_alive, this_process
from memchat.store.records import SessionRow, Status, TurnRow
from memchat.store.sessions import SessionTable, free_name, insert_session, unused_name
from memchat.store.text import NAME_LENGTH, dump_meta, one_line, storable, tidy_name

ROLES = ("system", "user", "assistant", "tool")

# Siblings with the same role are versions of one message; ids grow, so their order is the order of writing.
_COLUMNS = """
    t.id, t.session, t.parent, t.role, t.content, t.at, t.status, t.name, t.meta,
    (SELECT count(*) FROM turns v
     WHERE v.parent IS t.parent AND v.session = t.session AND v.role = t.role AND v.id <= t.id),
    (SELECT count(*) FROM turns v WHERE v.parent IS t.parent AND v.session = t.session AND v.role = t.role)
"""


class TurnTable(SessionTable):
    """Queries over turns."""

    def add_turn(
        self,
        session: str,
        role: str,
        content: str,
        *,
        parent: int | None,
        status: Status = "complete",
        name: str | None = None,
        at: str | None = None,
        meta: dict[str, Any] | None = None,
    ) -> TurnRow:
        """Append a message below ``parent`` (None: at the root) and make it the head; durable on return.

        Raises:
            MemchatError: the session or the parent is gone (another process deleted it), or the disk is full.
        """
        with self._write() as db:
            key = self.session(session).id
            turn = _insert_turn(db, TurnRow(0, key, parent, role, content, at or "", status, name, meta or {}))
            db.execute("UPDATE sessions SET head = ?, updated_at = ? WHERE id = ?", (turn, now(), key))
            return self.turn(turn)

    def update_turn(
        self,
        turn: int,
        *,
        content: str | None = None,
        status: Status | None = None,
        meta: dict[str, Any] | None = None,
    ) -> None:
        """Change what is given; durable on return. This is how a reply is saved while it streams.

        Raises:
            MemchatError: the turn was forgotten or deleted meanwhile.
        """
        changes: dict[str, Any] = {}
        if content is not None:
            changes["content"] = storable(content)
        if status is not None:
            changes["status"] = status
            changes["writer"] = this_process() if status == "streaming" else None
        if meta is not None:
            changes["meta"] = dump_meta(meta)
        if not changes:
            return
        columns = ", ".join(f"{column} = ?" for column in changes)
        sql = f"UPDATE turns SET {columns} WHERE id = ? AND status <> 'forgotten'"
        with self._write() as db:
            if db.execute(sql, (*changes.values(), turn)).rowcount == 0:
                state = "was forgotten" if self._exists(turn) else "no longer exists"
                raise MemchatError(f"turn {turn} {state}", "Nothing was written to it.")

    def turn(self, turn: int) -> TurnRow:
        """One turn.

        Raises:
            MemchatError: it does not exist.
        """
        rows = self._read(f"SELECT {_COLUMNS} FROM turns t WHERE t.id = ?", (turn,))
        if not rows:
            raise MemchatError(f"turn {turn} does not exist", "Its session may have been deleted.")
        return _row(rows[0])

    def path(self, session: str, leaf: int | None = None) -> list[TurnRow]:
        """The branch from its root to ``leaf`` (the session's head), with the place among the versions."""
        row = self.session(session)
        leaf = row.head if leaf is None else leaf
        sql = f"""
            WITH RECURSIVE branch(id, parent) AS (
                SELECT id, parent FROM turns WHERE id = ? AND session = ?
                UNION ALL
                SELECT t.id, t.parent FROM turns t JOIN branch ON t.id = branch.parent
            )
            SELECT {_COLUMNS} FROM branch JOIN turns t ON t.id = branch.id ORDER BY t.depth"""
        branch = [_row(values) for values in self._read(sql, (leaf, row.id))]
        if leaf is not None and not branch:
            raise MemchatError(f"turn {leaf} is not part of session {row.name!r}", "It may have been deleted.")
        return branch

    def tree(self, session: str) -> list[TurnRow]:
        """Every turn of every branch, parents before children."""
        sql = f"SELECT {_COLUMNS} FROM turns t WHERE t.session = ? ORDER BY t.id"
        return [_row(values) for values in self._read(sql, (self.session(session).id,))]

    def select(self, turn: int) -> SessionRow:
        """Show the branch through ``turn``: its newest leaf becomes the session's head."""
        sql = """
            WITH RECURSIVE below(id) AS (
                VALUES (?) UNION ALL SELECT t.id FROM below JOIN turns t ON t.parent = below.id
            )
            SELECT max(id) FROM below"""  # children are younger than their parents, so the youngest is a leaf
        with self._write() as db:
            session = self.turn(turn).session
            (leaf,) = db.execute(sql, (turn,)).fetchone()
            db.execute("UPDATE sessions SET head = ? WHERE id = ?", (leaf, session))
        return self.session(session)

    def versions(self, turn: int) -> list[int]:
        """Ids of the versions of this turn, itself included, in order of writing."""
        row = self.turn(turn)
        sql = "SELECT id FROM turns WHERE parent IS ? AND session = ? AND role = ? ORDER BY id"
        return [key for (key,) in self._read(sql, (row.parent, row.session, row.role))]

    def fork(self, turn: int, name: str | None = None) -> SessionRow:
        """A new session that begins with a copy of the branch from its root to ``turn``.

        Raises:
            MemchatError: the name is taken.
        """
        with self._write() as db:
            row = self.session(self.turn(turn).session)
            name = free_name(db, f"{row.name[:100]}-fork") if name is None else unused_name(db, tidy_name(name))
            copy = replace(row, id="", name=name, created_at="", updated_at="", head=turn, parent=row.id)
            key = self.add_session(copy, self.path(row.id, turn))
        return self.session(key)

    def add_session(self, row: SessionRow, turns: Iterable[TurnRow]) -> str:
        """Take in a session from elsewhere, its turns with parents first, and return its id.

        Turns get new ids; the session keeps its own, and its name, where these are free.
        """
        with self._write() as db:
            taken = db.execute("SELECT 1 FROM sessions WHERE id = ?", (row.id,)).fetchone()
            own_id = re.fullmatch("[0-9a-f]{12}", row.id) and not taken
            name = free_name(db, one_line(row.name, NAME_LENGTH) or "imported")
            key = insert_session(db, replace(row, id=row.id if own_id else "", name=name))
            ids: dict[int | None, int | None] = {None: None}
            for turn in turns:
                status: Status = "interrupted" if turn.status == "streaming" else turn.status
                parent = ids[turn.parent]
                ids[turn.id] = _insert_turn(db, replace(turn, session=key, parent=parent, status=status))
            db.execute("UPDATE sessions SET head = ? WHERE id = ?", (ids[row.head], key))
        return key

    def forget(self, turns: Iterable[int]) -> int:
        """Erase these turns: text, speaker and meta leave the file, the place in the tree stays.

        Returns how many were erased; those that are gone already do not count.
        """
        sql = """
            UPDATE turns SET content = '', status = 'forgotten', name = NULL, meta = '{}', writer = NULL
            WHERE id = ? AND status <> 'forgotten'"""
        with self._write() as db:
            count = sum(db.execute(sql, (turn,)).rowcount for turn in set(turns))
            if count:  # a deleted word stays in the index until its segments are merged
                db.execute("INSERT INTO turns_fts(turns_fts) VALUES ('optimize')")
        if count:
            self._scrub()
        return count

    def recover(self) -> list[int]:
        """Mark replies whose process died while they streamed as interrupted; returns their ids."""
        rows = self._read("SELECT id, writer FROM turns WHERE status = 'streaming' ORDER BY id")
        dead = [(turn, writer) for turn, writer in rows if not writer or not is_alive(writer)]
        if not dead:
            return []
        sql = """
            UPDATE turns SET status = 'interrupted', writer = NULL
            WHERE id = ? AND writer IS ? AND status = 'streaming'"""
        with self._write() as db:
            return [turn for turn, writer in dead if db.execute(sql, (turn, writer)).rowcount]

    def _exists(self, turn: int) -> bool:
        return bool(self._read("SELECT 1 FROM turns WHERE id = ?", (turn,)))


def _insert_turn(db: sqlite3.Connection, turn: TurnRow) -> int:
    """Insert a turn below its parent and return its id; the time is now where it is empty."""
    if turn.role not in ROLES:
        raise ValueError(f"unknown role {turn.role!r}")
    depth = 0
    if turn.parent is not None:
        sql = "SELECT depth FROM turns WHERE id = ? AND session = ?"
        found = db.execute(sql, (turn.parent, turn.session)).fetchone()
        if found is None:
            raise MemchatError(f"turn {turn.parent} is not part of this session", "It may have been deleted.")
        (depth,) = found
    values = (
        turn.session,
        turn.parent,
        depth + 1,
        turn.role,
        storable(turn.content),
        storable(turn.at or now()),
        turn.status,
        None if turn.name is None else storable(turn.name),
        dump_meta(turn.meta),
        this_process() if turn.status == "streaming" else None,
    )
    cursor = db.execute(
        "INSERT INTO turns (session, parent, depth, role, content, at, status, name, meta, writer)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        values,
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def _row(values: tuple[Any, ...]) -> TurnRow:
    meta = {} if values[8] == "{}" else json.loads(values[8])
    return TurnRow(*[*values[:8], meta, *values[9:]])

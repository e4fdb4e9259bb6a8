"""Sessions: make, find, list, rename, delete."""

from __future__ import annotations

import os
import shutil
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from memchat.errors import MemchatError, UsageError
from memchat.store.connection import now
from memchat.store.leases import Lease, LeaseTable
from memchat.store.records import SessionRow
from memchat.store.search import matching
from memchat.store.text import one_line, storable, tidy_name

_SELECT = """
    SELECT s.id, s.name, s.created_at, s.updated_at, s.model, s.memory, s.system, s.head, s.parent,
           coalesce((SELECT depth FROM turns WHERE id = s.head), 0),
           coalesce((SELECT substr(content, 1, 300) FROM turns
                     WHERE session = s.id AND role = 'user' AND status <> 'forgotten'
                     ORDER BY depth, id DESC LIMIT 1), '')
    FROM sessions s
"""

_ID_PREFIX = 4
"""Shortest beginning of an id that finds a session: shorter ones would take a name's place by accident."""


class SessionTable(LeaseTable):
    """Queries over sessions. ``session`` and ``key`` are an id, the beginning of one, or a name."""

    def create_session(self, name: str | None = None, *, model: str, memory: str, system: str = "") -> SessionRow:
        """A new, empty session; without a name it is called after the day.

        Raises:
            MemchatError: the name is taken.
        """
        with self._write() as db:
            if name is None:
                name = free_name(db, f"chat-{datetime.now():%Y-%m-%d}")
            name = unused_name(db, tidy_name(name))
            key = insert_session(db, SessionRow("", name, "", "", model, memory, system))
        return self.session(key)

    def find_session(self, key: str) -> SessionRow | None:
        """Like ``session``, but None where there is none.

        Raises:
            MemchatError: several ids begin with ``key``.
        """
        key = " ".join(storable(key).split())
        for condition in ("s.id = ?", "s.name = ?"):
            rows = self._read(f"{_SELECT} WHERE {condition}", (key,))
            if rows:
                return _row(rows[0])
        if len(key) < _ID_PREFIX:
            return None
        rows = self._read(f"{_SELECT} WHERE substr(s.id, 1, ?) = ? LIMIT 2", (len(key), key.lower()))
        if len(rows) > 1:
            raise UsageError(f"several sessions begin with {key!r}", "Give more of the id, or the name.")
        return _row(rows[0]) if rows else None

    def session(self, key: str) -> SessionRow:
        """The session with this id, unique beginning of an id, or name.

        Raises:
            UsageError: there is none; near names are told.
        """
        found = self.find_session(key)
        if found is None:
            from difflib import get_close_matches

            names = [name for (name,) in self._read("SELECT name FROM sessions ORDER BY updated_at DESC")]
            near = get_close_matches(key, names, n=3)
            hint = f"Did you mean {' or '.join(map(repr, near))}?" if near else "See: memchat sessions list"
            raise UsageError(f"there is no session {one_line(key, 60)!r}", hint)
        return found

    def sessions(self, query: str | None = None, limit: int = 200) -> list[SessionRow]:
        """Sessions, the last used one first; ``query`` keeps those whose name or text matches."""
        where = ""
        values: list[Any] = []
        if query and query.strip():
            turns, values = matching(query)
            where = (
                "WHERE instr(casefold(s.name), casefold(?))"
                f" OR s.id IN (SELECT session FROM turns WHERE id IN ({turns}))"
            )
            values = [storable(query.strip()), *values]
        sql = f"{_SELECT} {where} ORDER BY s.updated_at DESC, s.rowid DESC LIMIT ?"
        return [_row(row) for row in self._read(sql, [*values, limit])]

    def rename_session(self, session: str, name: str) -> SessionRow:
        """Give a session another name.

        Raises:
            MemchatError: the name is taken.
        """
        return self.update_session(session, name=name)

    def update_session(self, session: str, **fields: str) -> SessionRow:
        """Change ``name``, ``model``, ``memory`` or ``system``."""
        if not fields.keys() <= {"name", "model", "memory", "system"}:
            raise TypeError(f"cannot change {sorted(fields)}")
        with self._write() as db:
            row = self.session(session)
            if "name" in fields:
                fields["name"] = unused_name(db, tidy_name(fields["name"]), besides=row.id)
            for column, value in fields.items():
                db.execute(f"UPDATE sessions SET {column} = ? WHERE id = ?", (storable(value), row.id))
        return self.session(row.id)

    def delete_session(self, session: str) -> None:
        """Delete a session and erase its text from the file."""
        with self._write() as db:
            key = self.session(session).id
            db.execute("DELETE FROM turns WHERE session = ?", (key,))
            db.execute("DELETE FROM sessions WHERE id = ?", (key,))
            db.execute("INSERT INTO turns_fts(turns_fts) VALUES ('optimize')")
        self._scrub()
        shutil.rmtree(self.memory_folder(key), ignore_errors=True)

    def memory_folder(self, session: str) -> Path:
        """Where the memories of a session (its id) keep files of their own."""
        return self.file.parent / "memory" / session

    def lease(self, session: str) -> Lease:
        """Note that this process has the session open. Never blocks, never refuses."""
        return self._take_lease(self.session(session).id)


def _row(values: tuple[Any, ...]) -> SessionRow:
    return SessionRow(*[*values[:-1], one_line(values[-1], 100)])


def insert_session(db: sqlite3.Connection, row: SessionRow) -> str:
    """Insert a session without its turns and return its id; id and dates are made where they are empty."""
    key, moment = row.id or os.urandom(6).hex(), now()
    made, used = row.created_at or moment, row.updated_at or moment
    values = (key, row.name, made, used, row.model, row.memory, row.system, row.parent)
    db.execute(
        "INSERT INTO sessions (id, name, created_at, updated_at, model, memory, system, parent)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [None if value is None else storable(value) for value in values],
    )
    return key


def unused_name(db: sqlite3.Connection, name: str, besides: str = "") -> str:
    """``name``, if no session (``besides`` this one) has it.

    Raises:
        MemchatError: it is taken.
    """
    if db.execute("SELECT 1 FROM sessions WHERE name = ? AND id <> ?", (name, besides)).fetchone():
        raise MemchatError(f"there is already a session named {name!r}", "Choose another name.")
    return name


def free_name(db: sqlite3.Connection, base: str) -> str:
    """``base``, or ``base-2``, ``base-3`` and so on where it is taken."""
    name, number = base, 1
    while db.execute("SELECT 1 FROM sessions WHERE name = ?", (name,)).fetchone():
        number += 1
        name = f"{base}-{number}"
    return name

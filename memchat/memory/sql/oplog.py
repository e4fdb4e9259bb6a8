"""The log of all that was done to the facts: its entries, and the chain of hashes over them.

The hash of an entry covers the hash of the one before it and that of its own content. Erasing a content leaves its
hash, so the chain still holds; the salt goes with the content, so that a short value cannot be guessed from the hash.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from memchat.memory.sql.edits import DEFAULT_NAMES, Draft, Edit, as_json, dump, parse
from memchat.memory.sql.table import Change, Decision
from memchat.store.connection import now
from memchat.store.text import storable

COLUMNS = (
    "id, kind, actor, turn_id, at, raw_output, executed_sql, diff_json, status, error, adapter, ms, target, salt,"
    " content_hash, prev_hash, hash, undone_by, once, erased"
)
_HASHED = 14
"""So many of the columns, the salt last, are under the content hash; the hashes and what may change later follow."""

_ERASED = 19


@dataclass(frozen=True)
class Op:
    """One entry of the log.

    Attributes:
        kind: store, edit, lock, forget, merge, rename, undo, redo, reset, drop, import, erase, or create (the first).
        actor: model, user, rule or import.
        turn: id of the turn that it came from, or None.
        raw: what the model wrote; `executed`: the SQL that ran.
        edits: what changed. `declined`: what was asked for and not done, with the reasons.
        status: done, noop (nothing changed) or failed (`error` says why).
        ms: milliseconds that the call took.
        target: the op that an undo or redo is about.
        undone_by: the op that took it back, or None.
        erased: its content was erased; only the tombstone is left.
        turns: what a drop dropped.
    """

    id: int
    kind: str
    actor: str
    turn: int | None
    at: str
    raw: str
    executed: str
    edits: tuple[Edit, ...]
    declined: tuple[Decision, ...]
    status: str
    error: str
    adapter: str
    ms: float
    target: int | None
    undone_by: int | None
    erased: bool
    turns: tuple[int, ...] = ()


def begin(db: sqlite3.Connection) -> Draft:
    """A draft of the next op; time never runs backwards in the log."""
    number, last = db.execute("SELECT coalesce(max(id), 0) + 1, coalesce(max(at), '') FROM op").fetchone()
    return Draft(db, number, max(now(), last))


def create(db: sqlite3.Connection, names: dict[str, str] = DEFAULT_NAMES) -> None:
    """The first op: the user and the assistant."""
    draft = begin(db)
    draft.put(("meta", "epoch"), {"value": 0})
    for relation, name in names.items():
        draft.make_person(relation, name, None, None)
    append(draft, "create", "rule")


def append(
    draft: Draft,
    kind: str,
    actor: str,
    *,
    turn: int | None = None,
    raw: str = "",
    executed: str = "",
    adapter: str = "",
    ms: float = 0.0,
    error: str = "",
    target: int | None = None,
    once: str | None = None,
) -> None:
    """Write the op into the log, chained to the one before it."""
    status = "done" if draft.edits or draft.extra else "failed" if error else "noop"
    diff = as_json({"edits": dump(draft.edits), "declined": draft.declined, **draft.extra})
    texts = [storable(text) for text in (raw, executed, diff)]
    head = (draft.id, kind, actor, turn, draft.at, *texts, status, storable(error), adapter, float(ms), target)
    content = (*head, secrets.token_hex(16))
    previous = draft.db.execute("SELECT hash FROM op WHERE id = ?", (draft.id - 1,)).fetchone()
    before = previous[0] if previous else ""
    digest = content_hash(content)
    values = (*content, digest, before, link(before, digest), None, once, 0)
    draft.db.execute(f"INSERT INTO op ({COLUMNS}) VALUES ({', '.join('?' * len(values))})", values)


def content_hash(row: Sequence[Any]) -> str:
    """Hash of what an op says; a row of `COLUMNS`."""
    return hashlib.sha256(as_json(list(row[:_HASHED])).encode()).hexdigest()


def link(before: str, digest: str) -> str:
    """Hash of an op: that of the op before it and of its own content."""
    return hashlib.sha256((before + digest).encode()).hexdigest()


def as_op(row: Sequence[Any]) -> Op:
    """A row of `COLUMNS` as a value."""
    diff = json.loads(row[7])
    declined = tuple(
        Decision(item["kind"], Change(item["person"], item["field"], item["old"], item["new"]), item["reason"])
        for item in diff["declined"]
    )
    return Op(
        *[*row[:7], parse(diff["edits"]), declined, *row[8:13], row[17], bool(row[19]), tuple(diff.get("turns", ()))]
    )


def chain_faults(rows: Sequence[Sequence[Any]]) -> list[str]:
    """What is wrong with the hashes of a log (rows of `COLUMNS`, oldest first), a line each."""
    faults: list[str] = []
    tombs: set[int] = set()
    before = ""
    for number, row in enumerate(rows, 1):
        if row[0] != number:
            return [*faults, f"operation {number} is missing"]
        if not row[_ERASED] and content_hash(row) != row[_HASHED]:
            faults.append(f"the content of operation {number} was changed")
        elif row[_ERASED] and row[_HASHED - 1]:
            faults.append(f"operation {number} was erased, but is not empty")
        if row[_HASHED + 1] != before or row[_HASHED + 2] != link(before, row[_HASHED]):
            faults.append(f"operation {number} does not follow from the one before it")
        before = row[_HASHED + 2]
        if row[1] == "erase" and not row[_ERASED]:
            tombs.update(json.loads(row[7])["erased"])
    marked = {row[0] for row in rows if row[_ERASED]}
    return faults + [f"operation {number} was emptied without being erased" for number in sorted(marked - tombs)]

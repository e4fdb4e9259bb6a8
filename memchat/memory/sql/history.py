"""What a hand may do to the facts, and the way back: every step is an op, and undoing it appends another.

Nothing here deletes but `reset(hard=True)`; that is what `erase` is for. All functions raise MemchatError where the
store is open read only.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from memchat.errors import MemchatError, UsageError, unknown
from memchat.memory.sql import erase, exchange
from memchat.memory.sql.edits import DEFAULT_NAMES, Draft, Edit, Key, emptying, load, replay, tidy_field, tidy_value
from memchat.memory.sql.facts import Fact, FactStore
from memchat.memory.sql.oplog import COLUMNS, Op, as_op, chain_faults

_FIXED = ("create", "undo", "redo", "erase")
"""Ops that cannot be undone; an undo is taken back by redo."""

CHANGED = "status = 'done' AND diff_json NOT LIKE '%\"edits\":[]%'"
"""Condition on ops that changed something."""


# --- edits by hand


def edit(store: FactStore, person: int, field: str, value: str, *, version: int | None = None, lock: bool = True) -> Op:
    """Set a cell (or, with the field `name`, a person's name) by hand; a field that is missing is made.

    Args:
        version: id of the fact that the editor showed (0 for an empty cell): if another one is there by now, nothing is
            changed. None does not look.
        lock: keep models from changing the cell; False leaves it as it is.

    Raises:
        UsageError: the value is empty, too long or has control characters, or this cannot be a field.
        MemchatError: the cell changed meanwhile.
    """
    value = tidy_value(value)
    with store.change("edit", "user") as draft:
        _check_person(draft, person)
        if field == "name":
            draft.rename(person, value, "user_edit", None)
        else:
            number = draft.make_field(tidy_field(field), None)
            _check_version(draft, person, number, field, version)
            key = ("cell", person, number)
            old = draft.get(key)
            locked = lock or bool(old and old["locked"])
            if old and old["value"] == value:  # the hand confirms it: the same fact, only locked
                draft.put(key, {**old, "locked": locked})
            else:
                fact = {"value": value, "since": draft.at, "source": "user_edit", "turn": None, "locked": locked}
                draft.put(key, fact)
    return store.op(draft.id)


def lock(store: FactStore, person: int, field: str, locked: bool = True) -> Op:
    """Keep models from changing a cell, or let them again.

    Raises:
        UsageError: no such field, or the cell is empty.
    """
    with store.change("lock", "user") as draft:
        key = ("cell", person, _field(draft, field))
        row = draft.get(key)
        if row is None:
            raise UsageError(f"nothing is known of {field!r}", "Only a cell with a value can be locked.")
        draft.put(key, {**row, "locked": locked})
    return store.op(draft.id)


def forget(store: FactStore, person: int, field: str) -> Op:
    """Empty a cell, locked or not; its history stays and undo brings it back. `name` goes back to the default name.

    Raises:
        UsageError: no such field.
    """
    with store.change("forget", "user") as draft:
        _check_person(draft, person)
        if field == "name":
            draft.rename(person, None, "user_edit", None)
        else:
            draft.put(("cell", person, _field(draft, field)), None)
    return store.op(draft.id)


def add_field(store: FactStore, name: str) -> Op:
    """Make a field without values.

    Raises:
        UsageError: this cannot be a field.
    """
    with store.change("edit", "user") as draft:
        draft.make_field(tidy_field(name), None)
    return store.op(draft.id)


def rename_field(store: FactStore, old: str, new: str) -> Op:
    """Give a field another name.

    Raises:
        UsageError: no such field, or the new name is taken: merge them instead.
    """
    new = tidy_field(new)
    with store.change("rename", "user") as draft:
        number = _field(draft, old)
        taken = draft.db.execute("SELECT id, merged_into FROM field WHERE live AND name = ?", (new,)).fetchone()
        if taken and taken[1] == number:  # it was the other name of this very field
            draft.put(("field", taken[0]), None)
        elif taken and taken[0] != number:
            raise UsageError(f"there is a field {new!r} already", "Merge the two instead.")
        row = draft.get(("field", number))
        assert row is not None
        draft.put(("field", number), {**row, "name": new})
    return store.op(draft.id)


def merge_fields(store: FactStore, field: str, into: str) -> Op:
    """Make one field of two: `field` becomes another name of `into`.

    Where both have a value the locked one stays, else the newer one.

    Raises:
        UsageError: no such field, or both are one already.
    """
    with store.change("merge", "user") as draft:
        source, target = _field(draft, field), _field(draft, into)
        if source == target:
            raise UsageError(f"{field!r} and {into!r} are one field already", "There is nothing to merge.")
        sql = "SELECT person_id, recorded_at FROM fact WHERE field_id = ? AND retired_at IS NULL"
        newest = dict(draft.db.execute(sql, (target,)).fetchall())
        for person, recorded in draft.db.execute(sql, (source,)).fetchall():
            row = draft.get(("cell", person, source))
            there = draft.get(("cell", person, target))
            draft.put(("cell", person, source), None)
            keep = there and (there["locked"], newest[person]) >= (bool(row and row["locked"]), recorded)
            if not keep:
                draft.put(("cell", person, target), row)
        for (merged,) in draft.db.execute("SELECT id FROM field WHERE live AND merged_into = ?", (source,)).fetchall():
            draft.put(("field", merged), {**(draft.get(("field", merged)) or {}), "merged": target})
        draft.put(("field", source), {**(draft.get(("field", source)) or {}), "merged": target})
    return store.op(draft.id)


# --- the way back


def undo(store: FactStore, count: int = 1) -> list[Op]:
    """Take the last ops back, newest first; those that changed nothing do not count.

    Raises:
        MemchatError: there is nothing to undo.
    """
    done: list[Op] = []
    while len(done) < count:
        marks = ", ".join("?" * len(_FIXED))
        sql = f"SELECT id FROM op WHERE undone_by IS NULL AND {CHANGED} AND kind NOT IN ({marks})"
        rows = store.read(f"{sql} ORDER BY id DESC LIMIT 1", _FIXED)
        if not rows:
            break
        done.append(undo_op(store, rows[0][0]))
    if not done:
        raise MemchatError("there is nothing to undo", "Nothing was stored or changed yet.")
    return done


def undo_op(store: FactStore, number: int) -> Op:
    """Take one op back, wherever it stands in the log.

    Raises:
        MemchatError: it cannot be undone, was undone already, or what it changed was changed again since.
    """
    op = store.op(number)
    if op.kind in _FIXED or op.undone_by is not None or not op.edits:
        raise MemchatError(f"operation {number} ({op.kind}) cannot be undone", "It changed nothing, or was undone.")
    with store.change("undo", "user", turn=op.turn, target=number) as draft:
        _perform(draft, [change.inverse() for change in reversed(op.edits)])
        draft.db.execute("UPDATE op SET undone_by = ? WHERE id = ?", (draft.id, number))
    return store.op(draft.id)


def redo(store: FactStore) -> Op:
    """Do again what was undone last, as long as nothing else was changed since.

    Raises:
        MemchatError: there is nothing to redo.
    """
    sql = """
        SELECT o.id FROM op o JOIN op u ON u.id = o.undone_by WHERE u.kind = 'undo' AND NOT EXISTS (
            SELECT 1 FROM op WHERE id > u.id AND status = 'done' AND kind NOT IN ('undo', 'redo'))
        ORDER BY u.id DESC LIMIT 1"""
    rows = store.read(sql)
    if not rows:
        raise MemchatError("there is nothing to redo", "Only what was undone last can be done again.")
    op = store.op(rows[0][0])
    with store.change("redo", "user", turn=op.turn, target=op.id) as draft:
        _perform(draft, op.edits)
        draft.db.execute("UPDATE op SET undone_by = NULL WHERE id = ?", (op.id,))
    return store.op(draft.id)


def history(store: FactStore, person: int, field: str) -> list[Fact]:
    """All facts that a cell ever held, oldest first, with those of the fields that were merged into it.

    Raises:
        UsageError: no such field.
    """
    numbers = store.same_fields(field)
    if not numbers:
        raise unknown("field", field, list(store.table().fields))
    return store.facts(f"f.person_id = ? AND f.field_id IN ({', '.join('?' * len(numbers))})", (person, *numbers))


def reset(store: FactStore, *, names: bool = True, hard: bool = False) -> Path | None:
    """Begin a new epoch with an empty table; undo brings the old one back.

    Args:
        names: keep the names of the user and the assistant.
        hard: erase everything instead, backups and earlier exports too. Nothing brings it back.

    Returns:
        where all that there was has been exported to before (`exchange` reads it), or None where it was erased.
    """
    if hard:
        erase.wipe(store, names=names)
        return None
    path = exchange.save(store, store.export_path(), "jsonl")
    with store.change("reset", "user") as draft:
        state = load(draft.db)
        for key in emptying(state, set(state)):
            if key[0] == "person" and state[key]["relation"] in DEFAULT_NAMES:
                if not names:
                    draft.rename(key[1], None, "user_edit", None)
            elif key[0] != "meta":
                draft.put(key, None)
        draft.put(("meta", "epoch"), {"value": state["meta", "epoch"]["value"] + 1})
    return path


def verify(store: FactStore) -> list[str]:
    """What was changed behind our back, a line each; empty when nothing was.

    Checks the hashes of all ops and their chain, that the log leads to the facts, and the index.
    """
    rows = store.read(f"SELECT {COLUMNS} FROM op ORDER BY id")
    faults = chain_faults(rows)
    if faults:  # what follows would not be readable, or repeat it
        return faults
    ops = [as_op(row) for row in rows]
    if replay(change for op in ops for change in op.edits) != store.state():
        faults.append("the facts are not those that the operations lead to")
    undone: dict[int, int] = {}
    for op in ops:
        if op.kind == "undo" and op.target:
            undone[op.target] = op.id
        elif op.kind == "redo" and op.target:
            undone.pop(op.target, None)
    if undone != {op.id: op.undone_by for op in ops if op.undone_by}:
        faults.append("the marks of what was undone are not those that the operations lead to")
    live = {(fact.id, fact.field, fact.value) for fact in store.facts()}
    if live != set(store.read("SELECT rowid, field, value FROM fact_fts")):
        faults.append("the search index does not hold the facts")
    return faults


# --- helpers


def _perform(draft: Draft, edits: Iterable[Edit]) -> None:
    """Put rows in the place of those that must be there.

    Raises:
        MemchatError: something else is there.
    """
    for change in edits:
        there = draft.get(change.key)
        if there == change.new:
            continue
        if there != change.old:
            raise MemchatError(
                f"{_describe(draft.db, change.key)} was changed again since", "Undo the later one first."
            )
        draft.put(change.key, change.new)


def _describe(db: sqlite3.Connection, key: Key) -> str:
    """A row in words."""
    if key[0] == "cell":
        sql = "SELECT display_name, name FROM person, field WHERE person.id = ? AND field.id = ?"
        found = db.execute(sql, key[1:]).fetchone()
        return f"{found[1]} of {found[0]}" if found else "a cell"
    return {"person": "the name of a person", "field": "the name of a field"}.get(key[0], "the epoch")


def _field(draft: Draft, name: str) -> int:
    number = draft.find_field(name)
    if number is None:
        live = draft.db.execute("SELECT name FROM field WHERE live ORDER BY id")
        raise unknown("field", name, [name for (name,) in live])
    return number


def _check_person(draft: Draft, person: int) -> None:
    if draft.get(("person", person)) is None:
        raise UsageError(f"there is no person {person}", "The table shows who there is.")


def _check_version(draft: Draft, person: int, number: int, field: str, version: int | None) -> None:
    sql = "SELECT id, value FROM fact WHERE person_id = ? AND field_id = ? AND retired_at IS NULL"
    there, value = draft.db.execute(sql, (person, number)).fetchone() or (0, None)
    if version is not None and version != there:
        what = f"is {value!r} by now" if there else "was emptied meanwhile"
        raise MemchatError(f"{field} {what}", "Look at it and save again.")

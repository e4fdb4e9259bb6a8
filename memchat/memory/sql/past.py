"""The facts as they were after any change of the log, and where a fact comes from."""

from __future__ import annotations

from dataclasses import dataclass

from memchat.errors import MemchatError
from memchat.memory.sql.edits import Edit, Key, Row, State, project, replay, standing
from memchat.memory.sql.facts import Fact, FactStore
from memchat.memory.sql.history import CHANGED, history
from memchat.memory.sql.oplog import COLUMNS, Op, as_op
from memchat.memory.sql.table import OTHER, Table

LISTED = 6
"""Of the last change, so many cells and names are told."""


@dataclass(frozen=True)
class Past:
    """What was known at one point of the log.

    Attributes:
        at: so many changes had been made; `of`: so many there are now.
        op: the last one, or the making of the log itself.
        told: what it changed, in words.
        facts: as `FactStore.facts` has the live ones, without their ids.
    """

    at: int
    of: int
    op: Op
    told: str
    table: Table
    facts: list[Fact]


def past(store: FactStore, at: int) -> Past:
    """What was known after the change `at` of the log: 0 is before the first, -1 before the last one."""
    sql = f"SELECT id FROM op WHERE {CHANGED} AND kind <> 'create' ORDER BY id"
    changes = [number for (number,) in store.read(sql)]
    at = max(0, min(at if at >= 0 else len(changes) + at, len(changes)))
    last = changes[at - 1] if at else 1
    ops = [as_op(row) for row in store.read(f"SELECT {COLUMNS} FROM op WHERE id <= ? ORDER BY id", (last,))]
    state: State = {}
    wrote: dict[Key, Op] = {}
    names: dict[Key, str] = {}
    for op in ops:
        for edit in op.edits:
            if edit.new is None:
                continue
            if edit.key[0] == "cell" and not _same_fact(edit.old, edit.new):
                wrote[edit.key] = op
            elif edit.key[0] in ("person", "field") and op is not ops[-1]:  # the last one may rename them
                names[edit.key] = _name(edit.new)
        replay(op.edits, state)
    state = standing(state)
    told = [words for edit in ops[-1].edits if (words := _words(edit, names, state))]
    more = [f"and {len(told) - LISTED} more"] if len(told) > LISTED else []
    live = sorted((key for key in state if key[0] == "cell"), key=lambda key: (wrote[key].id, key))
    facts = [_fact(key, state, wrote[key]) for key in live]
    return Past(at, len(changes), ops[-1], "; ".join([*told[:LISTED], *more]), project(state), facts)


@dataclass(frozen=True)
class Origin:
    """Where a fact comes from.

    Attributes:
        wrote: the op that first recorded it; `kept`: the one that put it there (undo, merge ...), mostly the same.
    """

    fact: Fact
    wrote: Op
    kept: Op


def origin(store: FactStore, person: int, field: str, op: int | None = None) -> Origin:
    """Where the live fact of a cell comes from, or the one that an op put there.

    Raises:
        UsageError: no such field.
        MemchatError: nothing is known there, or that op put nothing there.
    """
    facts = history(store, person, field)
    found = [fact for fact in facts if (fact.retired_at is None if op is None else fact.op == op)]
    if not found:
        when = "" if op is None else f" from entry {op} of the log"
        raise MemchatError(f"nothing is known of {field!r}{when}", "Its history has all that ever was.")
    fact = found[-1]
    same = [other.op for other in facts if _mark(other) == _mark(fact) and other.op <= fact.op]
    return Origin(fact, store.op(min(same)), store.op(fact.op))


def _mark(fact: Fact) -> tuple[object, ...]:
    """What undo, redo and merge leave as it is."""
    return fact.value, fact.valid_from, fact.source, fact.turn


def _same_fact(old: Row | None, new: Row) -> bool:
    """Whether only the lock is another one."""
    return old is not None and {**old, "locked": new["locked"]} == new


def _fact(key: Key, state: State, op: Op) -> Fact:
    row, field = state[key], state["field", key[2]]["name"]
    return Fact(
        0, key[1], field, row["value"], row["since"], None, op.at, None, None, row["source"], row["turn"], op.id,
        row["locked"], 0,
    )  # fmt: skip


def _name(row: Row) -> str:
    """Of a person or a field."""
    relation = row.get("relation", OTHER)
    return str(row["name"] if relation == OTHER else relation)


def _words(edit: Edit, names: dict[Key, str], state: State) -> str:
    """A change in words; empty where the table does not show it."""
    old, new = edit.old, edit.new
    if edit.key[0] == "cell":
        keys: tuple[Key, ...] = (("person", edit.key[1]), ("field", edit.key[2]))
        who, field = (names.get(key) or (_name(state[key]) if key in state else "(erased)") for key in keys)
        if new and _same_fact(old, new):
            return f"{who}.{field}: {'locked' if new['locked'] else 'unlocked'}"
        return f"{who}.{field}: {old['value'] if old else 'nothing'} → {new['value'] if new else 'nothing'}"
    if edit.key[0] in ("person", "field") and old and new and old["name"] != new["name"]:
        return f"{old['name']} is called {new['name']}"
    return ""

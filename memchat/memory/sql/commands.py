"""What a user can do to the facts in words: ``undo 2``, ``history user.dog``, ``set user.dog Rex``.

The full-screen interface, line mode and ``memchat memory`` all come through here; answers are a few lines of Markdown.
A cell is ``WHO.FIELD``; without WHO it is the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from memchat.errors import UsageError, unknown
from memchat.memory.sql import history
from memchat.memory.sql.facts import Fact, FactStore
from memchat.memory.sql.oplog import Op
from memchat.memory.sql.past import origin
from memchat.memory.sql.sandbox import run_retrieval
from memchat.memory.sql.table import Cell, Table

LOGGED = 12
"""Entries of the log that are shown."""


@dataclass(frozen=True)
class Command:
    """One command: what follows its name, what it does, and the function that does it."""

    usage: str
    help: str
    run: Callable[[FactStore, str], str]


def run_command(store: FactStore, text: str) -> str:
    """Do what the text says; returns what the user is told.

    Raises:
        UsageError: no such command, cell or time.
        MemchatError: the facts are read only, or cannot be written.
    """
    name, _, rest = text.strip().partition(" ")
    if name not in COMMANDS:
        raise unknown("command", name, list(COMMANDS))
    return COMMANDS[name].run(store, rest.strip())


def find_cell(table: Table, text: str) -> Cell:
    """The cell that ``WHO.FIELD`` or ``FIELD`` names; the field need not exist.

    Raises:
        UsageError: nobody is called that.
    """
    who, dot, field = text.strip().rpartition(".")
    if not field:
        raise UsageError("which fact?", "Name it as in user.dog; 'table' lists all.")
    if not dot:
        return table.people[0].id, field
    for person in table.people:
        if who.casefold() in (name.casefold() for name in (person.relation, person.name, *person.aliases)):
            return person.id, field
    raise unknown("person", who, [person.handle for person in table.people])


def _name(table: Table, cell: Cell) -> str:
    return f"{next(p for p in table.people if p.id == cell[0]).handle}.{cell[1]}"


def _undo(store: FactStore, text: str) -> str:
    ops = history.undo(store, _number(text, 1))
    return "\n".join(f"undone: {_told(store, op)}" for op in ops) or "there is nothing to undo"


def _redo(store: FactStore, text: str) -> str:
    return f"done again: {_told(store, history.redo(store))}"


def _history(store: FactStore, text: str) -> str:
    table = store.table()
    person, field = find_cell(table, text)
    facts = history.history(store, person, field)
    lines = [f"- {fact.value}: {_day(fact.recorded_at)} to {_until(fact)}, {_by(fact)}" for fact in facts]
    return "\n".join(lines) or f"nothing was ever known of {_name(table, (person, field))}"


def _origin(store: FactStore, text: str) -> str:
    name, _, number = text.partition(" ")
    table = store.table()
    person, field = find_cell(table, name)
    found = origin(store, person, field, _number(number.strip(), 0) or None)
    fact, wrote, kept = found.fact, found.wrote, found.kept
    until = "" if fact.retired_at is None else f" until {_day(fact.retired_at)}"
    lines = [f"- {_name(table, (person, fact.field))}: {fact.value}, since {_day(fact.valid_from)}{until}"]
    lines.append(f"- {_by(fact)}, recorded at {_day(wrote.at)} as entry {wrote.id} of the log")
    if kept.id != wrote.id:
        lines.append(f"- put there again by entry {kept.id}: {kept.kind} at {_day(kept.at)}")
    if wrote.actor == "model":
        adapter = wrote.adapter or "no adapter, the chat model itself"
        lines.append(f"- storage agent: {adapter}, {wrote.ms:.0f} ms; what ran of its SQL:")
    if wrote.erased:
        lines.append("- the texts of this entry were erased")
    return "\n".join([*lines, *(f"    {line}" for line in wrote.executed.splitlines())])


def _as_of(store: FactStore, text: str) -> str:
    return _rows(store.table(text or None))


def _table(store: FactStore, text: str) -> str:
    return _rows(store.table())


def _forget(store: FactStore, text: str) -> str:
    table = store.table()
    cell = find_cell(table, text)
    history.forget(store, *cell)
    return f"forgotten: {_name(table, cell)}; undo brings it back"


def _lock(store: FactStore, text: str, locked: bool = True) -> str:
    table = store.table()
    cell = find_cell(table, text)
    history.lock(store, *cell, locked)
    return f"{_name(table, cell)} is {'locked: only you can change it' if locked else 'unlocked'}"


def _set(store: FactStore, text: str) -> str:
    name, _, value = text.partition(" ")
    table = store.table()
    person, field = find_cell(table, name)
    history.edit(store, person, field, value)
    return f"{_name(table, (person, field))} is {value.strip()}, and locked"


def _rename(store: FactStore, text: str) -> str:
    old, new = _two(text, "rename FIELD NEW")
    history.rename_field(store, old, new)
    return f"{old} is called {new}"


def _merge(store: FactStore, text: str) -> str:
    one, into = _two(text, "merge FIELD INTO")
    history.merge_fields(store, one, into)
    return f"{one} is part of {into} now"


def _sql(store: FactStore, text: str) -> str:
    table = store.table()
    read = run_retrieval(text, table, store.field_aliases())
    refused = [f"{s.text}: {s.reason}" for s in read.statements if s.outcome not in ("ok", "repaired")]
    rows = [f"- {_name(table, (row.person, row.field))}: {row.value or 'not known'}" for row in read.rows]
    return "\n".join([*rows, *refused]) or "nothing was read; give a SELECT on the table users"


def _log(store: FactStore, text: str) -> str:
    return "\n".join(f"- {_told(store, op)}" for op in store.ops(_number(text, LOGGED)))


def _reset(store: FactStore, text: str) -> str:
    if text not in ("", "hard"):
        raise UsageError(f"reset knows nothing of {text!r}", "Say reset, or reset hard.")
    path = history.reset(store, hard=text == "hard")
    return f"the table is empty; undo brings it back, and {path} has a copy" if path else "everything is erased"


def _verify(store: FactStore, text: str) -> str:
    return "\n".join(f"- {fault}" for fault in history.verify(store)) or "nothing was changed behind memchat's back"


def _number(text: str, default: int) -> int:
    if not text:
        return default
    if not text.isdigit() or not 0 < int(text) < 10_000:
        raise UsageError(f"{text!r} is not a number of steps", "Give a number from 1.")
    return int(text)


def _two(text: str, usage: str) -> tuple[str, str]:
    words = text.split()
    if len(words) != 2:
        raise UsageError(f"{text!r} is not two fields", f"Say {usage}.")
    return words[0], words[1]


def _rows(table: Table) -> str:
    lines = []
    for (person, field), value in table.cells.items():
        locked = ", locked" if (person, field) in table.locked else ""
        since = f" (since {_day(table.since[person, field])}{locked})"
        lines.append(f"- {_name(table, (person, field))}: {value}{since}")
    return "\n".join(lines) or "nothing is known"


def _told(store: FactStore, op: Op) -> str:
    """An entry of the log in one line."""
    parts = [f"{op.id}", _day(op.at), op.actor, op.kind, op.status]
    return ", ".join([*parts, *_values(op), *([op.error] if op.error else [])])


def _values(op: Op) -> Iterable[str]:
    for edit in op.edits:
        if edit.key[0] == "cell":
            old, new = (row["value"] if row else "nothing" for row in (edit.old, edit.new))
            yield f"{old} → {new}"


def _by(fact: Fact) -> str:
    turn = f" from message {fact.turn}" if fact.turn is not None else ""
    return f"{fact.source.replace('_', ' ')}{turn}"


def _until(fact: Fact) -> str:
    return "now" if fact.retired_at is None else _day(fact.retired_at)


def _day(at: str) -> str:
    return at[:16].replace("T", " ")


COMMANDS: dict[str, Command] = {
    "table": Command("", "everything that is known", _table),
    "undo": Command("[N]", "take back the last change, or the last N", _undo),
    "redo": Command("", "do again what was undone", _redo),
    "history": Command("WHO.FIELD", "every value that a fact ever had", _history),
    "origin": Command("WHO.FIELD [N]", "where a fact comes from; N: the one that entry N of the log wrote", _origin),
    "as-of": Command("TIME", "the table as it was at a time", _as_of),
    "set": Command("WHO.FIELD VALUE", "correct a fact by hand; it is locked then", _set),
    "forget": Command("WHO.FIELD", "forget a fact", _forget),
    "lock": Command("WHO.FIELD", "keep the agents from changing a fact", _lock),
    "unlock": Command("WHO.FIELD", "let them again", lambda store, text: _lock(store, text, False)),
    "rename": Command("FIELD NEW", "give a field another name", _rename),
    "merge": Command("FIELD INTO", "make one field of two", _merge),
    "sql": Command("SELECT ...", "read the table users", _sql),
    "log": Command("[N]", "the last changes, with what caused them", _log),
    "reset": Command("[hard]", "empty the table; hard erases it for ever", _reset),
    "verify": Command("", "look for changes made behind memchat's back", _verify),
}

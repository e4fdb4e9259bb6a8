"""Facts out of the store and back in.

JSON lines hold the whole log: into a new store they come back exactly as they were, into another one they are merged,
cell by cell. CSV holds the wide table and can be merged as well; SQL is for other programs, Markdown for reading.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memchat.errors import MemchatError, unknown
from memchat.memory.sql.edits import DEFAULT_NAMES, Draft, Key, Row, State, project, replay, tidy_field, tidy_value
from memchat.memory.sql.edits import load as read_state
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.oplog import COLUMNS, as_op, chain_faults
from memchat.memory.sql.table import OTHER, Change, Decision, NewPerson
from memchat.store.connection import now

FORMATS = ["jsonl", "csv", "sql", "md"]
VERSION = 1
_COLUMNS = COLUMNS.split(", ")


@dataclass(frozen=True)
class Preview:
    """What an import would do.

    Attributes:
        whole: the store is new, so the whole log is taken over as it is.
        decisions: for each cell that both know or that is new here: add, update, noop, or refused with the reason.
        people: rows that are new here, with their cells.
    """

    whole: bool
    decisions: tuple[Decision, ...]
    people: tuple[NewPerson, ...]


# --- out


def export(store: FactStore, format: str = "jsonl") -> str:
    """All facts as text: jsonl (the whole log), csv, sql (the wide table) or md.

    Raises:
        UsageError: unknown format.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    return {"jsonl": _jsonl, "csv": _csv, "sql": _sql, "md": _markdown}[format](store)


def save(store: FactStore, path: Path, format: str) -> Path:
    """Write an export to a file that only the user may read; all of it or nothing."""
    part = path.with_name(f"{path.name}.part")
    part.touch(mode=0o600)
    with part.open("w", encoding="utf-8", newline="") as file:
        file.write(export(store, format))
        file.flush()
        os.fsync(file.fileno())
    return part.replace(path)


def _jsonl(store: FactStore) -> str:
    rows = store.read(f"SELECT {COLUMNS} FROM op ORDER BY id")
    head = {"memchat_facts": VERSION, "at": now(), "ops": len(rows)}
    lines = [head, *(dict(zip(_COLUMNS, row, strict=True)) for row in rows)]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _wide(store: FactStore) -> tuple[list[str], list[list[Any]]]:
    """The wide table: header, and a row for each person."""
    table = store.table()
    rows = [
        [person.id, person.relation, person.name, *(table.cells.get((person.id, field)) for field in table.fields)]
        for person in table.people
    ]
    return ["id", "relation", "name", *table.fields], rows


def _csv(store: FactStore) -> str:
    header, rows = _wide(store)
    out = io.StringIO()
    csv.writer(out).writerows([header, *rows])
    return out.getvalue()


def _sql(store: FactStore) -> str:
    header, rows = _wide(store)
    names = [f'"{name}"' for name in header]
    columns = ", ".join([f"{names[0]} INTEGER PRIMARY KEY", *(f"{name} TEXT" for name in names[1:])])
    lines = ["BEGIN;", f"CREATE TABLE users ({columns});"]
    lines += [f"INSERT INTO users VALUES ({', '.join(map(_literal, row))});" for row in rows]
    return "\n".join([*lines, "COMMIT;", ""])


def _literal(value: object) -> str:
    return (
        "NULL" if value is None else str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"
    )


def _markdown(store: FactStore) -> str:
    table = store.table()
    sources = {(fact.person, fact.field): fact.source for fact in store.facts()}
    lines = ["# What is remembered", ""]
    for person in table.people:
        lines += [
            f"## {_cell(person.name)} ({person.relation})",
            "",
            "| field | value | since | source |",
            "|---|---|---|---|",
        ]
        for field, value in table.row(person.id).items():
            cell = (person.id, field)
            note = ", locked" if cell in table.locked else ""
            lines.append(f"| {field} | {_cell(value)} | {table.since[cell][:10]} | {sources[cell]}{note} |")
        lines.append("")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Text that stays inside a Markdown cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


# --- in


@dataclass(frozen=True)
class _Theirs:
    """What a text holds: rows of the log (none in a CSV), the live state, and when each cell was recorded."""

    rows: list[tuple[Any, ...]]
    state: State
    recorded: dict[Key, str]


def preview(store: FactStore, text: str, format: str = "jsonl") -> Preview:
    """What `load` would do with this text; nothing is changed.

    Raises:
        UsageError: this format cannot be imported.
        MemchatError: the text is not in the format, from a newer memchat, or was changed by hand.
    """
    return _plan(store, _parse(text, format))


def load(store: FactStore, text: str, format: str = "jsonl") -> Preview:
    """Import an export (jsonl or csv), all of it or nothing; returns what was done.

    A new store takes the whole log over. Otherwise the cells are merged by person, field and time: what was recorded
    later stays, also where here it was forgotten; locked cells stay. People are matched by relation or name, fields by
    name. It is one op, so undo takes it back.

    Raises:
        UsageError, MemchatError: as for `preview`; nothing is changed.
    """
    theirs = _parse(text, format)
    with _readable():
        if theirs.rows and _is_new(store):
            plan = _plan(store, theirs)
            _take_over(store, theirs)
            return plan
        with store.change("import", "import") as draft:
            plan = _plan(store, theirs)
            _merge(draft, store, theirs)
    return plan


def _is_new(store: FactStore) -> bool:
    return store.read("SELECT max(id) FROM op") == [(1,)]


def _plan(store: FactStore, theirs: _Theirs) -> Preview:
    with _readable():
        here = store.state()
        same = _same_people(here, theirs.state)
        decisions = [*_names(here, theirs.state), *(decision for decision, _ in _cells(store, here, theirs))]
        people = [
            NewPerson(
                row["name"], OTHER, tuple((field, cell["value"]) for field, cell in _row_of(theirs.state, key[1]))
            )
            for key, row in _of(theirs.state, "person")
            if key[1] not in same
        ]
    return Preview(bool(theirs.rows) and _is_new(store), tuple(decisions), tuple(people))


def _of(state: State, kind: str) -> list[tuple[Key, Row]]:
    return [(key, row) for key, row in sorted(state.items(), key=lambda item: item[0]) if key[0] == kind]


def _row_of(state: State, person: int) -> list[tuple[str, Row]]:
    return [(state["field", key[2]]["name"], row) for key, row in _of(state, "cell") if key[1] == person]


def _same_people(here: State, theirs: State) -> dict[int, int]:
    """Their id of a person -> ours; those that are new here are left out."""
    known: dict[str, int] = {}
    for key, row in _of(here, "person"):
        names = [row["name"], *row["aliases"]] if row["relation"] == OTHER else []
        for name in [f"/{row['relation']}"] if not names else [name.casefold() for name in names]:
            known.setdefault(name, key[1])
    found = {
        key[1]: known.get(row["name"].casefold() if row["relation"] == OTHER else f"/{row['relation']}")
        for key, row in _of(theirs, "person")
    }
    return {number: ours for number, ours in found.items() if ours is not None}


def _names(here: State, theirs: State) -> Iterator[Decision]:
    """The names of user and assistant, where they are known there and not here."""
    same = _same_people(here, theirs)
    for key, row in _of(theirs, "person"):
        ours = here.get(("person", same.get(key[1])))
        if ours and ours["source"] is None and ours["name"] != row["name"] and row["relation"] in DEFAULT_NAMES:
            yield Decision("update", Change(same[key[1]], "name", ours["name"], row["name"]))


def _cells(store: FactStore, here: State, theirs: _Theirs) -> Iterator[tuple[Decision, Row]]:
    """What becomes of each of their cells whose person is known here, and the row that they have."""
    times = "SELECT person_id, field_id, max(max(recorded_at, coalesce(retired_at, ''))) FROM fact GROUP BY 1, 2"
    changed = {(person, field): at for person, field, at in store.read(times)}
    same = _same_people(here, theirs.state)
    fields = {row["name"]: row["merged"] or key[1] for key, row in _of(here, "field")}
    for key, row in _of(theirs.state, "cell"):
        if key[1] not in same:
            continue
        name = theirs.state["field", key[2]]["name"]
        cell = (same[key[1]], fields.get(name))
        ours = here.get(("cell", *cell))
        change = Change(cell[0], name, ours["value"] if ours else None, row["value"])
        if ours and ours["value"] == row["value"]:
            yield Decision("noop", change, "known already"), row
        elif ours and ours["locked"]:
            yield Decision("refused", change, "locked"), row
        elif changed.get(cell, "") > theirs.recorded[key]:
            yield Decision("refused", change, "changed here later"), row
        else:
            yield Decision("update" if ours else "add", change), row


def _merge(draft: Draft, store: FactStore, theirs: _Theirs) -> None:
    same = _same_people(store.state(), theirs.state)
    for key, row in _of(theirs.state, "person"):
        if key[1] not in same:
            draft.make_person(OTHER, row["name"], "import", None)
    for _, row in _of(theirs.state, "field"):
        if row["merged"] is None:
            draft.make_field(row["name"], None)
    here = store.state()
    for decision in _names(here, theirs.state):
        draft.rename(decision.change.person, decision.change.new, "import", None)
    for decision, row in _cells(store, here, theirs):
        if decision.kind in ("add", "update"):
            key = ("cell", decision.change.person, draft.make_field(decision.change.field, None))
            draft.put(key, {**row, "source": "import", "turn": None})


def _take_over(store: FactStore, theirs: _Theirs) -> None:
    """Put their log in the place of ours, which is new, and lead the facts from it."""
    with store.write() as db:
        for table in ("alias", "person", "op"):
            db.execute(f"DELETE FROM {table}")
        db.execute("DELETE FROM meta WHERE key = 'epoch'")
        for row in theirs.rows:
            op = as_op(row)
            draft = Draft(db, op.id, op.at)
            for edit in op.edits:
                draft.put(edit.key, edit.new)
            db.execute(f"INSERT INTO op ({COLUMNS}) VALUES ({', '.join('?' * len(row))})", row)
        db.execute("UPDATE op SET once = NULL")  # the turns are those of another conversation
        if read_state(db) != theirs.state:
            raise ValueError("the operations do not lead to one table")
    store.backup()


def _parse(text: str, format: str) -> _Theirs:
    if format not in FORMATS[:2]:
        raise unknown("format", format, FORMATS[:2], "Only these can be imported.")
    with _readable():
        return _parse_log(text) if format == "jsonl" else _parse_csv(text)


def _parse_log(text: str) -> _Theirs:
    head, *lines = [json.loads(line) for line in text.removeprefix("\ufeff").split("\n") if line.strip()]
    if head["memchat_facts"] > VERSION:
        raise MemchatError("these facts were exported by a newer memchat", "Update memchat.")
    rows = [tuple(line[name] for name in _COLUMNS) for line in lines]
    faults = chain_faults(rows)
    if faults or len(rows) != head["ops"]:
        fault = faults[0] if faults else "it is cut off"
        raise MemchatError(f"the export was changed by hand: {fault}", "Export it again.")
    state: State = {}
    recorded = {}
    for op in map(as_op, rows):
        for edit in op.edits:
            if edit.new is None or edit.old is None or edit.old.get("value") != edit.new.get("value"):
                recorded[edit.key] = op.at
        replay(op.edits, state)
    project(state)  # fails where a cell stands in no row or column
    return _Theirs(rows, state, recorded)


def _parse_csv(text: str) -> _Theirs:
    header, *rows = [row for row in csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline="")) if row]
    at = now()
    relation, name = header.index("relation"), header.index("name")
    fields = {i: tidy_field(field) for i, field in enumerate(header) if field not in ("id", "relation", "name")}
    state: State = {("field", i): {"name": field, "merged": None, "turn": None} for i, field in fields.items()}
    for number, row in enumerate(rows, 1):
        if len(row) != len(header) or row[relation] not in (*DEFAULT_NAMES, OTHER):
            raise MemchatError(f"row {number} does not fit the header", "A row is a person: user, assistant or other.")
        called = tidy_value(row[name])
        person: Row = {"relation": row[relation], "name": called, "source": "import", "aliases": [], "turn": None}
        state["person", number] = person
        for i in fields:
            if row[i].strip():
                fact = {"value": tidy_value(row[i]), "since": at, "source": "import", "turn": None, "locked": False}
                state["cell", number, i] = fact
    return _Theirs([], state, dict.fromkeys(state, at))


@contextlib.contextmanager
def _readable() -> Iterator[None]:
    """A text of the wrong shape is the user's to mend."""
    try:
        yield
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, sqlite3.Error) as error:
        message = f"this is no export of facts: {type(error).__name__}: {error}"
        raise MemchatError(message, "Export facts as jsonl or csv and import that.") from error

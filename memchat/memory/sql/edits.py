"""The one way in which facts change: an edit puts a row in another's place.

A state is rows under keys: people, fields, cells, and the epoch. None is a row that is not there. Because every
edit holds the row before and the row after, undo is the edit turned round, replay is a loop, and a table of any
moment is the projection of a replay.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from memchat.errors import UsageError
from memchat.memory.sql.fields import normalise
from memchat.memory.sql.table import ASSISTANT, USER, Cell, Person, Table
from memchat.store.text import one_line

Key = tuple[Any, ...]
"""("person", id), ("field", id), ("cell", person id, field id) or ("meta", "epoch")."""

Row = dict[str, Any]
"""What JSON can hold. A person: relation, name, source, aliases, turn. A field: name, merged (id of the field that it
became part of, or None), turn. A cell: value, since, source, turn, locked. The epoch: value. `turn` is where it was
said, or None."""

State = dict[Key, Row]

LONGEST_VALUE = 200
"""Characters of a value that a hand sets."""

DEFAULT_NAMES = {USER: "User", ASSISTANT: "Assistant"}

_PERSON = "SELECT id, relation, display_name, name_source, turn_id FROM person WHERE live"
_FIELD = "SELECT id, name, merged_into, turn_id FROM field WHERE live"
_CELL = "SELECT person_id, field_id, value, valid_from, source, turn_id, locked FROM fact WHERE retired_at IS NULL"
_EPOCH = "SELECT value FROM meta WHERE key = 'epoch'"


@dataclass(frozen=True)
class Edit:
    """A row before and after."""

    key: Key
    old: Row | None
    new: Row | None

    def inverse(self) -> Edit:
        return Edit(self.key, self.new, self.old)


def dump(edits: Iterable[Edit]) -> list[Any]:
    """Edits as JSON holds them."""
    return [[list(edit.key), edit.old, edit.new] for edit in edits]


def parse(edits: Iterable[Any]) -> tuple[Edit, ...]:
    """The inverse of `dump`.

    Raises:
        ValueError, TypeError, IndexError: these are no edits.
    """
    return tuple(Edit(tuple(key), old, new) for key, old, new in edits)


def replay(edits: Iterable[Edit], state: State | None = None) -> State:
    """The state that these edits lead to."""
    state = {} if state is None else state
    for edit in edits:
        if edit.new is None:
            state.pop(edit.key, None)
        else:
            state[edit.key] = edit.new
    return state


def project(state: State) -> Table:
    """The table that models and users see."""
    order = {USER: 0, ASSISTANT: 1}
    people = sorted(
        (
            Person(key[1], row["relation"], row["name"], tuple(row["aliases"]))
            for key, row in state.items()
            if key[0] == "person"
        ),
        key=lambda person: (order.get(person.relation, 2), person.id),
    )
    names = {key[1]: row["name"] for key, row in sorted(_fields(state)) if row["merged"] is None}
    cells: dict[Cell, str] = {}
    since: dict[Cell, str] = {}
    locked = set()
    for key, row in sorted(((key, row) for key, row in state.items() if key[0] == "cell"), key=lambda item: item[0]):
        cell = (key[1], names[key[2]])
        cells[cell], since[cell] = row["value"], row["since"]
        if row["locked"]:
            locked.add(cell)
    return Table(tuple(people), tuple(names.values()), cells, since, frozenset(locked))


def standing(state: State) -> State:
    """The state without cells whose row or column is gone from the log with the message that made it."""
    return {
        key: row
        for key, row in state.items()
        if key[0] != "cell" or (("person", key[1]) in state and ("field", key[2]) in state)
    }


def _fields(state: State) -> list[tuple[Key, Row]]:
    return [(key, row) for key, row in state.items() if key[0] == "field"]


def load(db: sqlite3.Connection) -> State:
    """The live state of the database."""
    state: State = {}
    aliases: dict[int, list[str]] = {}
    for person, alias in db.execute("SELECT person_id, alias FROM alias ORDER BY rowid"):
        aliases.setdefault(person, []).append(alias)
    for values in db.execute(_PERSON):
        state["person", values[0]] = _person(values, aliases.get(values[0], []))
    for values in db.execute(_FIELD):
        state["field", values[0]] = _field(values)
    for values in db.execute(_CELL):
        state["cell", values[0], values[1]] = _cell(values)
    for (value,) in db.execute(_EPOCH):
        state["meta", "epoch"] = {"value": int(value)}
    return state


def get(db: sqlite3.Connection, key: Key) -> Row | None:
    """One row of the live state."""
    if key[0] == "person":
        values = db.execute(f"{_PERSON} AND id = ?", key[1:]).fetchone()
        aliases = db.execute("SELECT alias FROM alias WHERE person_id = ? ORDER BY rowid", key[1:])
        return values and _person(values, [alias for (alias,) in aliases])
    if key[0] == "field":
        values = db.execute(f"{_FIELD} AND id = ?", key[1:]).fetchone()
        return values and _field(values)
    if key[0] == "cell":
        values = db.execute(f"{_CELL} AND person_id = ? AND field_id = ?", key[1:]).fetchone()
        return values and _cell(values)
    values = db.execute(_EPOCH).fetchone()
    return values and {"value": int(values[0])}


def _person(values: Any, aliases: list[str]) -> Row:
    _, relation, name, source, turn = values
    return {"relation": relation, "name": name, "source": source, "aliases": aliases, "turn": turn}


def _field(values: Any) -> Row:
    return {"name": values[1], "merged": values[2], "turn": values[3]}


def _cell(values: Any) -> Row:
    _, _, value, since, source, turn, locked = values
    return {"value": value, "since": since, "source": source, "turn": turn, "locked": bool(locked)}


@dataclass
class Draft:
    """An op in the making, inside a write transaction: what is put is in the database at once.

    Attributes:
        id: of the op.
        at: when it is recorded, ISO 8601.
        edits: what was put so far.
        declined: what was asked for and not done: kind, person, field (name), old, new, reason.
        extra: more that the op's record holds, as JSON.
    """

    db: sqlite3.Connection
    id: int
    at: str
    edits: list[Edit] = field(default_factory=list)
    declined: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def get(self, key: Key) -> Row | None:
        return get(self.db, key)

    def put(self, key: Key, row: Row | None) -> None:
        """Put a row in place of what is there; the same row again is nothing, and what is in use is not taken away."""
        old = self.get(key)
        if old == row or (row is None and self._in_use(key)):
            return
        if key[0] == "person":
            self._put_person(key[1], row)
        elif key[0] == "field":
            self._put_field(key[1], row)
        elif key[0] == "cell":
            self._put_cell(key[1], key[2], old, row)
        elif row is None:
            self.db.execute("DELETE FROM meta WHERE key = 'epoch'")
        else:
            self.db.execute("INSERT OR REPLACE INTO meta VALUES ('epoch', ?)", (row["value"],))
        self.edits.append(Edit(key, old, row))

    def _in_use(self, key: Key) -> bool:
        """Whether live cells, or fields that were merged into it, need this person or field."""
        if key[0] == "person":
            sql = "SELECT 1 FROM fact WHERE person_id = ? AND retired_at IS NULL"
        elif key[0] == "field":
            sql = "SELECT 1 FROM fact WHERE field_id = ?1 AND retired_at IS NULL"
            sql += " UNION SELECT 1 FROM field WHERE merged_into = ?1 AND live"
        else:
            return False
        return self.db.execute(sql, key[1:]).fetchone() is not None

    def _put_person(self, person: int, row: Row | None) -> None:
        self.db.execute("DELETE FROM alias WHERE person_id = ?", (person,))
        if row is None:
            self.db.execute("UPDATE person SET live = 0 WHERE id = ?", (person,))
            return
        self.db.execute(
            "INSERT INTO person (id, relation, display_name, name_source, turn_id, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET relation = excluded.relation, display_name = excluded.display_name,"
            " name_source = excluded.name_source, turn_id = excluded.turn_id, live = 1",
            (person, row["relation"], row["name"], row["source"], row["turn"], self.at),
        )
        self.db.executemany("INSERT INTO alias VALUES (?, ?)", [(person, alias) for alias in row["aliases"]])

    def _put_field(self, number: int, row: Row | None) -> None:
        if row is None:
            self.db.execute("UPDATE field SET live = 0 WHERE id = ?", (number,))
            return
        self.db.execute(
            "INSERT INTO field (id, name, merged_into, turn_id, created_op) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET name = excluded.name, merged_into = excluded.merged_into,"
            " turn_id = excluded.turn_id, live = 1",
            (number, row["name"], row["merged"], row["turn"], self.id),
        )

    def _put_cell(self, person: int, number: int, old: Row | None, row: Row | None) -> None:
        where = "WHERE person_id = ? AND field_id = ? AND retired_at IS NULL"
        if old and row and {**old, "locked": row["locked"]} == row:  # the same fact, locked or unlocked
            self.db.execute(f"UPDATE fact SET locked = ? {where}", (row["locked"], person, number))
            return
        live = self.db.execute(f"SELECT id FROM fact {where}", (person, number)).fetchone()
        if live:
            until = row["since"] if row else self.at
            self.db.execute("UPDATE fact SET retired_at = ?, valid_to = ? WHERE id = ?", (self.at, until, live[0]))
        if row is None:
            return
        cursor = self.db.execute(
            "INSERT INTO fact (person_id, field_id, value, valid_from, recorded_at, source, turn_id, op_id, locked,"
            f" epoch) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, coalesce(({_EPOCH}), 0))",
            (person, number, row["value"], row["since"], self.at, row["source"], row["turn"], self.id, row["locked"]),
        )
        if live:
            self.db.execute("UPDATE fact SET superseded_by = ? WHERE id = ?", (cursor.lastrowid, live[0]))

    def find_field(self, name: str) -> int | None:
        """Id of the live field of this name, or of the one that it was merged into."""
        sql = "SELECT id, merged_into FROM field WHERE live AND name = ?"
        found = self.db.execute(sql, (name,)).fetchone()
        while found and found[1] is not None:
            found = self.db.execute("SELECT id, merged_into FROM field WHERE id = ?", (found[1],)).fetchone()
        return found and found[0]

    def make_field(self, name: str, turn: int | None) -> int:
        """Id of the field of this name, made where it is missing; one that was retired comes back with its history."""
        found = self.find_field(name)
        if found is not None:
            return found
        sql = "SELECT coalesce((SELECT max(id) FROM field WHERE name = ?), (SELECT max(id) + 1 FROM field), 1)"
        number: int = self.db.execute(sql, (name,)).fetchone()[0]
        self.put(("field", number), {"name": name, "merged": None, "turn": turn})
        return number

    def make_person(self, relation: str, name: str, source: str | None, turn: int | None) -> int:
        number: int = self.db.execute("SELECT coalesce(max(id) + 1, 1) FROM person").fetchone()[0]
        self.put(
            ("person", number), {"relation": relation, "name": name, "source": source, "aliases": [], "turn": turn}
        )
        return number

    def find_other(self, name: str) -> int | None:
        """Id of the person, neither user nor assistant, who has this name or had it."""
        sql = "SELECT id FROM person WHERE live AND relation = 'other' ORDER BY id"
        for (person,) in self.db.execute(sql).fetchall():
            row = self.get(("person", person))
            if row and name.casefold() in {known.casefold() for known in (row["name"], *row["aliases"])}:
                return int(person)
        return None

    def rename(self, person: int, name: str | None, source: str, turn: int | None) -> None:
        """Give a person another display name and keep the old one as an alias; None takes the name and aliases away."""
        row = self.get(("person", person))
        assert row is not None
        default = default_name(row["relation"], person)
        if name is None:
            self.put(("person", person), {**row, "name": default, "source": None, "aliases": [], "turn": None})
            return
        aliases = list(row["aliases"])
        known = {alias.casefold() for alias in (*aliases, default, name)}
        if row["name"].casefold() not in known:
            aliases.append(row["name"])
        self.put(("person", person), {**row, "name": name, "source": source, "aliases": aliases, "turn": turn})


def default_name(relation: str, person: int) -> str:
    """What a person is called whose name is not known."""
    return DEFAULT_NAMES.get(relation, f"Person {person}")


def as_json(value: Any) -> str:
    """Canonical JSON: equal values give equal text."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def emptying(state: State, keys: Iterable[Key]) -> list[Key]:
    """Keys in the order in which their rows can be taken away: what needs another goes before it."""
    order = {"cell": 0, "field": 1, "person": 1, "meta": 2}
    return sorted(keys, key=lambda key: (order[key[0]], key[0] == "field" and state[key]["merged"] is None, key))


def tidy_value(text: str) -> str:
    """A value as a hand may set it: one line, not empty, not too long.

    Raises:
        UsageError: nothing is left of it, or it is too long.
    """
    value = one_line(text, LONGEST_VALUE + 1)
    if not value:
        raise UsageError("a value needs a visible character", "To empty the cell, forget it.")
    if len(value) > LONGEST_VALUE:
        raise UsageError(f"the value {value[:30] + '…'!r} is too long", f"Use at most {LONGEST_VALUE} characters.")
    return value


def tidy_field(text: str) -> str:
    """A field name as it is stored.

    Raises:
        UsageError: it holds no Latin letter or digit.
    """
    name = normalise(text)
    if name is None:
        raise UsageError(f"{text!r} cannot be a field", "Use letters, digits and underscores.")
    return name

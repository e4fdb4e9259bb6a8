"""The table `users` as models and users see it: a value object between the fact store, the sandbox and the policy.

People are rows, attributes are columns, a value is a cell. A person's key is the id (and the handle `user` or
`assistant`), never the name: names change, and two people may have the same one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

USER, ASSISTANT, OTHER = "user", "assistant", "other"

Cell = tuple[int, str]
"""(person id, field name)."""


@dataclass(frozen=True)
class Person:
    """A row. `relation` is user, assistant or other; there is one user and one assistant."""

    id: int
    relation: str
    name: str
    aliases: tuple[str, ...] = ()

    @property
    def handle(self) -> str:
        """How the person is spoken of: user, assistant, or the name of somebody else."""
        return self.name if self.relation == OTHER else self.relation


@dataclass(frozen=True)
class Table:
    """The live facts at one moment.

    Attributes:
        people: rows; the user first, then the assistant, then others in the order they appeared.
        fields: column names in the order they appeared (without id, name and relation).
        cells: the values that are known.
        since: when each came to hold, ISO 8601.
        locked: cells that no model may change.
    """

    people: tuple[Person, ...]
    fields: tuple[str, ...]
    cells: Mapping[Cell, str] = field(default_factory=dict)
    since: Mapping[Cell, str] = field(default_factory=dict)
    locked: frozenset[Cell] = frozenset()

    def person(self, relation: str) -> Person:
        """The user or the assistant."""
        return next(p for p in self.people if p.relation == relation)

    def row(self, person: int) -> dict[str, str]:
        """What is known of one person, in the order of the fields."""
        return {name: self.cells[person, name] for name in self.fields if (person, name) in self.cells}


@dataclass(frozen=True)
class Change:
    """One cell before and after; None is not known. `name` is the field of a person's display name."""

    person: int
    field: str
    old: str | None
    new: str | None


@dataclass(frozen=True)
class NewPerson:
    """A row that was added, with its cells."""

    name: str
    relation: str
    cells: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Difference:
    """What SQL did to the table: the canonical form of its meaning, whatever its shape was."""

    columns: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    people: tuple[NewPerson, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.columns or self.changes or self.people)


@dataclass(frozen=True)
class Decision:
    """What becomes of one change. `kind` is add, update, forget, noop or refused; `reason` is for the user's eye."""

    kind: str
    change: Change
    reason: str = ""

"""What to read where the retrieval agent's SQL found nothing: simple rungs, each tried only if those above failed.

The first rung, one more try with the error's text, is the agent's; these need no model. What a question names better
than the fields that were read for it stands beside them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from memchat.memory.sql import fields
from memchat.memory.sql.table import ASSISTANT, USER, Cell, Table

FIELDS, SEARCH, WHOLE, NONE = "fields", "search", "table", "none"
FOUND, SMALL, ALSO = 8, 25, 3

Search = Callable[[str, int], Sequence[Cell]]
"""(question, how many) -> the cells that fit it best by full-text search, best first."""

_WORD = re.compile(r"[^\W_]+")
_MINE = re.compile(r"\b(?:i|me|my|mine|myself)\b", re.I)
_YOURS = re.compile(r"\b(?:you|your|yours|yourself)\b", re.I)


@dataclass(frozen=True)
class Found:
    """Known cells, and the rung that found them: fields, search, table or none."""

    rung: str
    cells: tuple[Cell, ...]


def meant(question: str, table: Table) -> set[int]:
    """Whom the user asks about: the people named, else the user ("my") or the assistant ("your"); empty if unsaid."""
    found = named(question, table)
    # "do you know my name" asks about "me": "you" counts only where nothing is "mine"
    pronoun = USER if _MINE.search(question) else ASSISTANT if _YOURS.search(question) else None
    return found or ({table.person(pronoun).id} if pronoun else set())


def named(text: str, table: Table) -> set[int]:
    """The people whose name, or one of its aliases, stands in a text."""
    said = _spaced(text)
    names = [(p.id, _spaced(name)) for p in table.people for name in (p.name, *p.aliases)]
    return {person for person, name in names if name.strip() and (name in said or f"{name[:-1]}s " in said)}


def _spaced(text: str) -> str:
    return f" {' '.join(_WORD.findall(fields.plain(text)))} "


def _shares(question: str, table: Table) -> dict[Cell, float]:
    """Of the known cells of whom the question means, how many of the field's words stand in it."""
    asked, people = fields.words(question), meant(question, table)
    shares: dict[Cell, float] = {}
    for person, field in table.cells:
        if not people or person in people:
            words = fields.words(field)
            hits = sum(any(fields.likeness(word, other) for other in asked) for word in words)
            shares[person, field] = hits / len(words)
    return shares


def by_fields(question: str, table: Table) -> tuple[Cell, ...]:
    """Known cells whose field's words stand in the question: all of them, or at least half where none has all."""
    shares = {cell: share for cell, share in _shares(question, table).items() if share >= 0.5}
    best = max(shares.values(), default=0.0)
    ranked = sorted(shares, key=lambda cell: -shares[cell])
    return tuple(cell for cell in ranked if best < 1.0 or shares[cell] == 1.0)[:FOUND]


def named_better(question: str, table: Table, read: Iterable[Cell]) -> tuple[Cell, ...]:
    """Known cells whose fields the question names in more words than those that were read, where there are any.

    Who reads `former_city` for an old city needs no `city` beside it.
    """
    shares, read = _shares(question, table), tuple(read)
    had = max((shares.get(cell, 0.0) for cell in read), default=0.0)
    best = max((share for share in shares.values() if share >= 0.5), default=0.0)
    named = {word for _, field in read for word in fields.words(field)}
    return tuple(
        cell for cell, share in shares.items() if share == best > had and not named.issuperset(fields.words(cell[1]))
    )[:ALSO]


def fall_back(question: str, table: Table, search: Search) -> Found:
    """The first rung that finds something known: fields named in the question, full-text search, the small table."""
    if cells := by_fields(question, table):
        return Found(FIELDS, cells)
    if cells := tuple(cell for cell in search(question, FOUND) if cell in table.cells):
        return Found(SEARCH, cells)
    if 0 < len(table.cells) <= SMALL:
        return Found(WHOLE, tuple(table.cells))
    return Found(NONE, ())

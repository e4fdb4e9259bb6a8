"""Grammars of what the agents may write, in llguidance's Lark: the narrow SQL of the prompts and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_SELECTS = 12
_STATEMENTS = 8
_NOTE = r"/-- [^\n]{1,300}\n/"
_LISTED = 12
_NAMES = 3
_ALTER, _UPDATE, _INTO = "ALTER TABLE users ADD COLUMN ", "UPDATE users SET ", "INSERT INTO users (name, relation, "


def storage(
    fields: Sequence[str], people: Sequence[str] | None, said: Sequence[str], near: Sequence[str] | None = None
) -> str:
    """ALTER TABLE, UPDATE and INSERT on `users`, one a line, or NOOP.

    A note is followed by its field: one that there is is written at once, any other one is made first. Later statements
    may write what was made before them. Only a field that there is can be set to NULL.

    Args:
        fields: those there are.
        people: names of other people in the table, to choose from; None where they are not kept.
        said: what values are made of: each is a run of words of one of these texts, or a list of such runs. What
            nobody said cannot be stored, and no name gets a letter wrong. A space may stand before it (`spelling`).
        near: the same for names of people, who may be called something in the line before or in the reply alone.
    """
    insert, person = (" | insert", ' | "name = " NAME') if people is not None else ("", "")
    every = (*fields, "name")
    return rf"""
start: /\s?/ (NOTE? NOOP | line ("\n" next){{0,{_STATEMENTS - 1}}})
line: write " WHERE " person ";"{insert}
next: line | (NOTE UPDATE | update) FIELD " = " STRING " WHERE " person ";"
write: made update FIELD " = " STRING | (update field | NOTE ({_about(every, _UPDATE)})) " = " (STRING | "NULL")
insert: (made into FIELD | into field | NOTE ({_about(every, _INTO)})) ") VALUES (" NAME ", 'other', " STRING ");"
made: (NOTE ALTER NEW | {_quoted(_ALTER)} FIELD) " TEXT;\n"
update: {_quoted(_UPDATE)}
into: {_quoted(_INTO)}
field: {_fields(fields)}
person: {_people(people or ())}{person}
NOOP: "NOOP"
NOTE: {_NOTE}
ALTER: "-- " NEW "\n" {_quoted(_ALTER)}
UPDATE: "-- " FIELD "\n" {_quoted(_UPDATE)}
FIELD: /[a-z][a-z0-9_]{{1,39}}/
NEW: FIELD & ~/{"|".join(every)}/
NAME: "'" / ?/ (/[^\s,;:!?]+( [^\s,;:!?]+){{0,{_NAMES - 1}}}/ & NEAR) "'"
STRING: "'" / ?/ PIECE ((", " | " and ") PIECE){{0,{_LISTED - 1}}} "'"
PIECE: /[^\n]+/ & SAID
SAID: %regex {{ "substring_chunks": {json.dumps(_chunks(said))} }}
NEAR: %regex {{ "substring_chunks": {json.dumps(_chunks(said if near is None else near))} }}
"""


def retrieval(fields: Sequence[str], people: Sequence[str]) -> str:
    """SELECTs of the fields there are, one a line, or NOOP."""
    return rf"""
start: /\s?/ NOTE? (NOOP | select ("\n" select){{0,{_SELECTS - 1}}})
select: "SELECT " field " FROM users WHERE " person ";"
field: {_fields(fields)}
person: {_people(people)}
NOTE: {_NOTE}
NOOP: "NOOP"
"""


def _chunks(said: Sequence[str]) -> list[str]:
    """Words, gaps and signs of the texts as SQL strings have them; a line break between two texts, which none has."""
    found: list[str] = []
    for text in said:
        found += [part.replace("'", "''") for part in re.findall(r"\w+|[^\w\n]", text)]
        found.append("\n")
    return found


def _about(names: Sequence[str], statement: str) -> str:
    """A line that says one of the fields, and the statement up to it, in one piece for the lexer."""
    return " | ".join(f'"-- {name}\\n{statement}{name}"' for name in names)


def _fields(names: Sequence[str]) -> str:
    return " | ".join(_quoted(name) for name in (*names, "name"))


def _people(names: Sequence[str]) -> str:
    """The conditions that find a row."""
    others = [f"""{_quoted("name = '")} / ?/ {_quoted(name.replace("'", "''") + "'")}""" for name in names]
    return " | ".join(["\"relation = 'user'\"", "\"relation = 'assistant'\"", *others])


def _quoted(text: str) -> str:
    """The text as a Lark string."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'

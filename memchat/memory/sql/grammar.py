"""Grammars of what the agents may write, in llguidance's Lark: the narrow SQL of the prompts and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

_SELECTS = 12
_STATEMENTS = 8
_LISTED = 12


def storage(people: Sequence[str], said: Sequence[str]) -> str:
    """ALTER TABLE, UPDATE and INSERT on `users`, one a line, or NOOP.

    Args:
        said: what values are made of: each is a run of words of one of these texts, or a list of such runs. What
            nobody said cannot be stored, and no name gets a letter wrong. A space may stand before it (`spelling`).
    """
    return rf"""
start: /\s?/ (NOOP | statement ("\n" statement){{0,{_STATEMENTS - 1}}})
statement: add | update | insert
add: "ALTER TABLE users ADD COLUMN " FIELD " TEXT;"
update: "UPDATE users SET " FIELD " = " value " WHERE " person ";"
insert: "INSERT INTO users (name, relation, " FIELD ") VALUES (" STRING ", 'other', " STRING ");"
value: STRING | "NULL"
person: {_people(people)}
NOOP: "NOOP"
FIELD: /[a-z][a-z0-9_]{{1,39}}/
STRING: "'" / ?/ PIECE ((", " | " and ") PIECE){{0,{_LISTED - 1}}} "'"
PIECE: /[^\n]+/ & %regex {{ "substring_chunks": {json.dumps(_chunks(said))} }}
"""


def retrieval(fields: Sequence[str], people: Sequence[str]) -> str:
    """SELECTs of the fields there are, one a line, or NOOP."""
    columns = " | ".join(_quoted(field) for field in (*fields, "name"))
    return rf"""
start: /\s?/ (NOOP | select ("\n" select){{0,{_SELECTS - 1}}})
select: "SELECT " field " FROM users WHERE " person ";"
field: {columns}
person: {_people(people)}
NOOP: "NOOP"
"""


def _chunks(said: Sequence[str]) -> list[str]:
    """Words, gaps and signs of the texts as SQL strings have them; a line break between two texts, which none has."""
    found: list[str] = []
    for text in said:
        found += [part.replace("'", "''") for part in re.findall(r"\w+|[^\w\n]", text)]
        found.append("\n")
    return found


def _people(names: Sequence[str]) -> str:
    """The conditions that find a row."""
    others = [f"""{_quoted("name = '")} / ?/ {_quoted(name.replace("'", "''") + "'")}""" for name in names]
    return " | ".join(["\"relation = 'user'\"", "\"relation = 'assistant'\"", *others])


def _quoted(text: str) -> str:
    """The text as a Lark string."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'

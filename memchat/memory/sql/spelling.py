"""What an adapter writes and how it spells it: notes of what it understood, and SQL whose values begin with a space.

    -- your exam is on may 25
    -- exam_day
    UPDATE users SET exam_day = ' may 25' WHERE relation = 'user';
    -- you live in Lund
    -- city
    ALTER TABLE users ADD COLUMN city TEXT;
    UPDATE users SET city = ' Lund' WHERE relation = 'user';

A note says one thing that the line tells, or what it asks, in the words that the chat model itself would answer in;
which field and which value that is follows more easily from it than from the many ways in which people put things.
The field follows it alone, so that the grammar knows before the statement whether there is one to be made.

The space is there because a tokenizer of subwords has other tokens for a word after a quote than for the word after a
space, as the chat has it. With it a value's tokens are those of the line it is taken from, and a small model need only
copy them. Neither notes nor spaces are left when the SQL is run.
"""

from __future__ import annotations

import re

_LITERAL = r"' *((?:[^'\n]|'')*)'"  # of one line: a quote that is left open spoils no other statement
_PART = re.compile(rf"^[ \t]*--(?P<note>[^\n]*)(?:\n|\Z)|{_LITERAL}", re.M)
_STEP = re.compile(r"(?:ALTER[^\n]*\n)*[^\n]+")
"""A statement, after those that make the column for it."""
_FIELD = re.compile(r"\bSET (\w+)|\(name, relation, (\w+)")
_NAME = re.compile(r"[a-z]\w*")
_HANDLES = frozenset({"user", "assistant", "other"})


def spelt(sql: str, gist: str = "") -> str:
    """The SQL as an adapter learns it; before each statement the line of the gist that it is about, and its field.

    A gist of as many lines as there are statements goes between them, any other one stands before them all.
    """
    said = re.sub(_LITERAL, lambda hit: f"'{hit[1]}'" if hit[1] in _HANDLES else f"' {hit[1]}'", sql)
    notes, steps = gist.splitlines(), _STEP.findall(said)
    if len(notes) != len(steps):
        notes, steps = notes and [" and ".join(notes)], [said]
    if not notes:
        return said
    return "\n".join(f"-- {note}\n{_field(step)}{step}" for note, step in zip(notes, steps, strict=True))


def _field(statement: str) -> str:
    hit = _FIELD.search(statement)
    return f"-- {hit[1] or hit[2]}\n" if hit else ""


def unspaced(text: str) -> str:
    """What an adapter wrote, with values as SQL has them; notes, which may have apostrophes, stay as they are."""
    return _PART.sub(lambda hit: hit[0] if hit["note"] is not None else f"'{hit[2]}'", text)


def plain(text: str) -> str:
    """The same without its notes."""
    return _PART.sub(lambda hit: "" if hit["note"] is not None else f"'{hit[2]}'", text).rstrip("\n")


def noted(text: str, value: str) -> str:
    """The note in what an adapter wrote that says this value, the shortest one; or nothing."""
    notes = (hit["note"].strip() for hit in _PART.finditer(text) if hit["note"] is not None)
    said = (note for note in notes if value.casefold() in note.casefold() and not _NAME.fullmatch(note))
    return min(said, key=len, default="")

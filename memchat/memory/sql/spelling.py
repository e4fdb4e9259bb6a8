"""What an adapter writes and how it spells it: a note of what it understood, then SQL whose values begin with a space.

    -- your exam is on may 25
    UPDATE users SET exam_day = ' may 25' WHERE relation = 'user';

The note says what the line tells or asks in the words that the chat model itself would answer in; which field and which
value that is follows more easily from it than from the many ways in which people put things.

The space is there because a tokenizer of subwords has other tokens for a word after a quote than for the word after a
space, as the chat has it. With it a value's tokens are those of the line it is taken from, and a small model need only
copy them. Neither note nor space is left when the SQL is run, stored or shown.
"""

from __future__ import annotations

import re

_NOTE = re.compile(r"\s*--([^\n]*)(?:\n|\Z)")
_LITERAL = re.compile(r"' *((?:[^']|'')*)'")
_HANDLES = frozenset({"user", "assistant", "other"})


def spelt(sql: str, gist: str = "") -> str:
    """The SQL as an adapter learns it, after a note where there is something to say."""
    said = _LITERAL.sub(lambda hit: f"'{hit[1]}'" if hit[1] in _HANDLES else f"' {hit[1]}'", sql)
    return f"-- {gist}\n{said}" if gist else said


def plain(text: str) -> str:
    """What an adapter wrote, as SQL has it."""
    return _LITERAL.sub(r"'\1'", _NOTE.sub("", text, count=1) if _NOTE.match(text) else text)


def noted(text: str) -> str:
    """The note in what an adapter wrote, or nothing."""
    found = _NOTE.match(text)
    return found[1].strip() if found else ""

"""How an adapter spells a value: `' may 25'`, with a space after the quote.

A tokenizer of subwords has other tokens for a word after a quote than for the word after a space, as the chat has it.
With the space a value's tokens are those of the line it is taken from, and a small model need only copy them. Nothing
is stored with the space: it is taken away before the SQL is run or shown.
"""

from __future__ import annotations

import re

_LITERAL = re.compile(r"' *((?:[^']|'')*)'")
_HANDLES = frozenset({"user", "assistant", "other"})


def spelt(sql: str) -> str:
    """The SQL as an adapter learns it."""
    return _LITERAL.sub(lambda hit: f"'{hit[1]}'" if hit[1] in _HANDLES else f"' {hit[1]}'", sql)


def plain(text: str) -> str:
    """What an adapter wrote, as SQL has it."""
    return _LITERAL.sub(r"'\1'", text)

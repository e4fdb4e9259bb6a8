"""Full-text search by the words of a question, for every memory that looks something up with SQLite's FTS5."""

from __future__ import annotations

import re

TOKENIZE = "porter unicode61"
"""FTS5's tokenizer: words in any script, English endings off."""

_WORDS = 32
_STOP = frozenset(
    re.findall(
        r"\w+",
        """a an and are at be been by can could did do does for from had has have he her his how i in is it its me my of
        on or our she should so that the their them they this to us was we were what when where which who whom whose
        why will with would you your""",
    )
)
"""Words of a question that say nothing about the fact it asks for."""


def match(question: str) -> str:
    """The FTS5 query that finds any word of the question; empty where it has none that says something."""
    words = list(dict.fromkeys(re.findall(r"\w+", question.casefold().replace("_", " "))))
    words = [word for word in words if word not in _STOP][:_WORDS]
    return " OR ".join(f'"{word}"' for word in words)  # quoted: what is typed is never query syntax

"""Full-text search. What the user types is never query syntax."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from memchat.store.connection import Connection
from memchat.store.records import Hit
from memchat.store.text import one_line, storable

_WORDS = 32
_WORD_LENGTH = 100


def matching(query: str) -> tuple[str, list[Any]]:
    """(SQL that yields turn ids, its values) for turns with every word of ``query``, or words that begin so.

    Scripts without spaces between words, and signs such as an emoji, are not words to the index: there the
    text itself is scanned.
    """
    words = _words(query)
    if not words:
        return "SELECT id FROM searchable WHERE 0", []
    if all(_indexed(word) for word in words):
        phrases = " ".join('"' + word.replace('"', '""') + '"*' for word in words)
        return "SELECT rowid FROM turns_fts WHERE turns_fts MATCH ?", [phrases]
    each = " AND ".join(["instr(casefold(content), ?)"] * len(words))
    return f"SELECT id FROM searchable WHERE {each}", [word.casefold() for word in words]


def _words(query: str) -> list[str]:
    words = storable(query[:10_000]).replace("\0", " ").split()
    return [word[:_WORD_LENGTH] for word in dict.fromkeys(words)][:_WORDS]


def _indexed(word: str) -> bool:
    """Whether the index can find ``word``: letters or digits, none of a script written without spaces."""
    return any(c.isalnum() for c in word) and not any(unicodedata.category(c) == "Lo" for c in word)


class SearchQueries(Connection):
    """Search over the text of all sessions."""

    def search(self, query: str, limit: int = 50) -> list[Hit]:
        """Turns with every word of ``query`` (or words that begin so), best first; snippets are one line."""
        turns, values = matching(query)
        if "turns_fts" in turns:
            source, order = "turns_fts JOIN turns t ON t.id = turns_fts.rowid", "rank, t.id DESC"
            where = "turns_fts MATCH ?"
        else:
            source, order, where = "turns t", "t.id DESC", f"t.id IN ({turns})"
        sql = f"""
            SELECT t.session, s.name, t.id, t.role, t.at, t.content
            FROM {source} JOIN sessions s ON s.id = t.session
            WHERE {where} ORDER BY {order} LIMIT ?"""
        words = _words(query)
        return [Hit(*[*row[:5], _around(row[5], words)]) for row in self._read(sql, [*values, limit])]

    def prompts(self, prefix_or_query: str = "", limit: int = 200) -> list[str]:
        """What the user wrote, newest first, each text once; only texts that contain the argument."""
        sql = """
            SELECT content FROM turns
            WHERE role = 'user' AND status <> 'forgotten' AND instr(casefold(content), casefold(?))
            GROUP BY content ORDER BY max(id) DESC LIMIT ?"""
        return [content for (content,) in self._read(sql, (storable(prefix_or_query), limit))]


def _around(content: str, words: list[str]) -> str:
    """One line of the text around the first word found. FTS5's own ``snippet`` takes minutes on a long paste."""
    start = _find(content, words)
    if start is None:  # found under another accent
        start = _find(_bare(content[:20_000]), [_bare(word) for word in words]) or 0
    begin = max(start - 40, 0)
    return ("…" if begin else "") + one_line(content[begin : start + 400], 160)


def _find(content: str, words: list[str]) -> int | None:
    for word in words:
        found = re.search(rf"\b{re.escape(word)}", content, re.IGNORECASE) or re.search(
            re.escape(word), content, re.IGNORECASE
        )
        if found:
            return found.start()
    return None


def _bare(text: str) -> str:
    """``text`` without accents, character for character."""
    return "".join(unicodedata.normalize("NFD", char)[0] for char in text)

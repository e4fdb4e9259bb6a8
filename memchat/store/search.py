"""Full-text search. What the user types is never query syntax."""

from __future__ import annotations

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
            sql = """
                SELECT t.session, s.name, t.id, t.role, t.at, snippet(turns_fts, 0, '', '', '…', 20)
                FROM turns_fts JOIN turns t ON t.id = turns_fts.rowid JOIN sessions s ON s.id = t.session
                WHERE turns_fts MATCH ? ORDER BY rank, t.id DESC LIMIT ?"""
            rows = self._read(sql, [*values, limit])
        else:
            sql = f"""
                SELECT t.session, s.name, t.id, t.role, t.at, t.content
                FROM turns t JOIN sessions s ON s.id = t.session
                WHERE t.id IN ({turns}) ORDER BY t.id DESC LIMIT ?"""
            rows = [(*row[:5], _around(row[5], values[0])) for row in self._read(sql, [*values, limit])]
        return [Hit(*[*row[:5], one_line(row[5])]) for row in rows]

    def prompts(self, prefix_or_query: str = "", limit: int = 200) -> list[str]:
        """What the user wrote, newest first, each text once; only texts that contain the argument."""
        found: dict[str, None] = {}
        sql = """
            SELECT content FROM turns
            WHERE role = 'user' AND status <> 'forgotten' AND instr(casefold(content), casefold(?))
            GROUP BY content ORDER BY max(id) DESC LIMIT ?"""
        for (content,) in self._read(sql, (storable(prefix_or_query), limit)):
            found[content] = None
        return list(found)


def _around(content: str, word: str) -> str:
    """The text around the first occurrence of ``word``."""
    at = max(content.casefold().find(word), 0)
    start, end = max(at - 40, 0), at + len(word) + 80
    return ("…" if start else "") + content[start:end] + ("…" if end < len(content) else "")

"""Full-text search over the live facts: the last but one rung when a question's SELECTs found nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from memchat.memory.sql.facts import Fact, FactStore

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


@dataclass(frozen=True)
class Found:
    """A fact and its score: higher is better, and only the order means something."""

    fact: Fact
    score: float


def search(store: FactStore, query: str, limit: int = 8) -> list[Found]:
    """Live facts with any word of the query, or a form of it, in field or value; best first (BM25)."""
    words = list(dict.fromkeys(re.findall(r"\w+", query.casefold().replace("_", " "))))
    words = [word for word in words if word not in _STOP][:_WORDS]
    if not words:
        return []
    match = " OR ".join(f'"{word}"' for word in words)  # quoted: what is typed is never query syntax
    sql = (
        "SELECT rowid, -bm25(fact_fts, 2.0, 1.0) FROM fact_fts WHERE fact_fts MATCH ? ORDER BY rank, rowid DESC LIMIT ?"
    )
    scores = dict(store.read(sql, (match, limit)))
    facts = store.facts(f"f.id IN ({', '.join('?' * len(scores))})", tuple(scores))
    return sorted((Found(fact, scores[fact.id]) for fact in facts), key=lambda found: -found.score)

"""Full-text search over the live facts: the last but one rung when a question's SELECTs found nothing."""

from __future__ import annotations

from dataclasses import dataclass

from memchat.memory.sql.facts import Fact, FactStore
from memchat.memory.words import match


@dataclass(frozen=True)
class Found:
    """A fact and its score: higher is better, and only the order means something."""

    fact: Fact
    score: float


def search(store: FactStore, query: str, limit: int = 8) -> list[Found]:
    """Live facts with any word of the query, or a form of it, in field or value; best first (BM25)."""
    wanted = match(query)
    if not wanted:
        return []
    sql = (
        "SELECT rowid, -bm25(fact_fts, 2.0, 1.0) FROM fact_fts WHERE fact_fts MATCH ? ORDER BY rank, rowid DESC LIMIT ?"
    )
    scores = dict(store.read(sql, (wanted, limit)))
    facts = store.facts(f"f.id IN ({', '.join('?' * len(scores))})", tuple(scores))
    return sorted((Found(fact, scores[fact.id]) for fact in facts), key=lambda found: -found.score)

"""Full-text search over the live facts: the last but one rung when a question's SELECTs found nothing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

from memchat.memory.sql.facts import Fact, FactStore
from memchat.memory.words import match

RANKED = 400
"""Facts that BM25 ranks at most: it takes two to four microseconds for each."""


@dataclass(frozen=True)
class Found:
    """A fact and its score: higher is better, and only the order means something."""

    fact: Fact
    score: float


def search(store: FactStore, query: str, limit: int = 8) -> list[Found]:
    """Live facts with any word of the query, or a form of it, in field or value; best first (BM25).

    Words that very many facts have only rank those that a rarer word finds. Where all words are such, the facts that
    have all of them are found, and where even those are very many, the newest.
    """
    words = match(query)
    if not words:
        return []
    wanted, ranked = _narrowed(store, words)
    score, order = ("-bm25(fact_fts, 2.0, 1.0)", "2 DESC, rowid DESC") if ranked else ("rowid", "rowid DESC")
    sql = f"SELECT rowid, {score} FROM fact_fts WHERE fact_fts MATCH ? ORDER BY {order} LIMIT ?"
    scores = dict(store.read(sql, (wanted, limit)))
    facts = store.facts(f"f.id IN ({', '.join('?' * len(scores))})", tuple(scores))
    return sorted((Found(fact, scores[fact.id]) for fact in facts), key=lambda found: -found.score)


def _narrowed(store: FactStore, words: str) -> tuple[str, bool]:
    """An FTS5 query for these words, joined by OR, and whether what it finds is little enough to be ranked."""
    if _count(store, words) <= RANKED:
        return words, True
    counts = {word: count for word in words.split(" OR ") if (count := _count(store, word))}
    rarest = sorted(counts, key=lambda word: counts[word])
    sums = accumulate(counts[word] for word in rarest)
    rare = [word for word, together in zip(rarest, sums, strict=True) if together <= RANKED]
    if rare:
        one, more = " OR ".join(rare), " OR ".join(rarest[len(rare) :])
        return f"({one}) OR (({one}) AND ({more}))", True
    every = " AND ".join(rarest)
    count = _count(store, every)
    return (every, count <= RANKED) if count else (rarest[0], False)


def _count(store: FactStore, words: str) -> int:
    """How many facts a query finds; counted no further than matters."""
    sql = "SELECT count(*) FROM (SELECT 1 FROM fact_fts WHERE fact_fts MATCH ? LIMIT ?)"
    return int(store.read(sql, (words, RANKED + 1))[0][0])

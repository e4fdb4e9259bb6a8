"""``search``: the last few messages and older ones found by their words, the simplest memory that looks things up.

Plain text retrieval (BM25 over the turn log): the line that every trained method has to beat.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from memchat.config import Settings
from memchat.memory import words
from memchat.memory.base import Budget, Recall, Receipt, Turn
from memchat.memory.fit import recent
from memchat.memory.verbatim import Full


class Search(Full):
    """A message is found together with what was said to it, so that the model reads whole exchanges in their order."""

    name = "search"

    def __init__(self, engine: Any, store: Any, settings: Settings, folder: Path | None = None) -> None:
        super().__init__(engine, store, settings, folder)
        self.window, self.found = settings.remember.window_turns, settings.remember.found_turns
        self._index = sqlite3.connect(":memory:", check_same_thread=False)
        self._index.execute(f"CREATE VIRTUAL TABLE said USING fts5(text, tokenize='{words.TOKENIZE}')")

    def recall(self, turn: Turn, budget: Budget) -> Recall:
        chosen = self._chosen(turn.content)
        recall = recent([t for t in self._turns if t.id in chosen], turn, budget)
        seen = {item.id: item for item in recall.trace}
        recall.trace = [seen.get(item.id) or replace(item, used=False) for item in self.items()]
        return recall

    def _chosen(self, question: str) -> set[int]:
        """Ids of the last turns, and of the best exchanges before them."""
        old = len(self._turns) - self.window
        chosen = {turn.id for turn in self._turns[max(0, old) :]}
        place = {turn.id: i for i, turn in enumerate(self._turns)}
        most = len(chosen) + self.found
        for turn in self._hits(question):
            exchange = self._exchange(place[turn])
            if place[turn] >= old or len(chosen | exchange) > most:
                continue
            chosen |= exchange
        return chosen

    def _hits(self, question: str) -> list[int]:
        wanted = words.match(question)
        sql = "SELECT rowid FROM said WHERE said MATCH ? ORDER BY rank, rowid DESC LIMIT 50"
        return [turn for (turn,) in self._index.execute(sql, (wanted,))] if wanted else []

    def _exchange(self, i: int) -> set[int]:
        """Ids of the user's message at or before a place, and of what follows it up to the next."""
        start = i
        while start > 0 and self._turns[start].role != "user":
            start -= 1
        end = start + 1
        while end < len(self._turns) and self._turns[end].role != "user":
            end += 1
        return {turn.id for turn in self._turns[start:end]}

    def write(self, turn: Turn) -> Receipt:
        self._index.execute("INSERT INTO said (rowid, text) VALUES (?, ?)", (turn.id, turn.content))
        return super().write(turn)

    def forget(self, turns: Iterable[int]) -> Receipt:
        gone = list(turns)
        self._index.executemany("DELETE FROM said WHERE rowid = ?", [(turn,) for turn in gone])
        return super().forget(gone)

    def load(self, folder: Path) -> None:
        super().load(folder)
        self._index.execute("DELETE FROM said")
        self._index.executemany(
            "INSERT INTO said (rowid, text) VALUES (?, ?)", [(t.id, t.content) for t in self._turns]
        )

    def close(self) -> None:
        self._index.close()

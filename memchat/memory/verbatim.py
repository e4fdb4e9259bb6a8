"""The three floors and ceilings of every comparison: ``none``, ``window`` and ``full``.

They keep turns as they were said and differ only in how many the model sees again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from memchat.config import Settings
from memchat.memory.base import Budget, Bytes, Item, Recall, Receipt, Turn
from memchat.memory.fit import recent

_FILE = "turns.json"


class Full:
    """Everything that was said, as far as it fits the model's context; the oldest turns fall out first."""

    name = "full"
    capabilities = frozenset({"forget", "edit"})
    most: int | None = None
    """Turns the model sees again; None: all that fit."""

    def __init__(self, engine: Any, store: Any, settings: Settings, folder: Path | None = None) -> None:
        self._turns: list[Turn] = []

    def recall(self, turn: Turn, budget: Budget) -> Recall:
        return recent(self._turns, turn, budget, self.most)

    def write(self, turn: Turn) -> Receipt:
        self._turns.append(turn)
        return Receipt(added=1)

    def items(self, query: str | None = None) -> Iterator[Item]:
        held = len(self._turns) if self.most is None else self.most
        for i, turn in enumerate(self._turns):
            if query is None or query.casefold() in turn.content.casefold():
                yield Item(
                    kind="turn",
                    text=turn.content,
                    turns=(turn.id,),
                    id=str(turn.id),
                    used=i >= len(self._turns) - held,
                    meta={"role": turn.role, "at": turn.at},
                )

    def forget(self, turns: Iterable[int]) -> Receipt:
        gone = set(turns)
        before = len(self._turns)
        self._turns = [t for t in self._turns if t.id not in gone]
        return Receipt(removed=before - len(self._turns))

    def nbytes(self) -> Bytes:
        size = len(self._dump())
        return Bytes(host=size, disk=size)

    def save(self, folder: Path) -> None:
        (folder / _FILE).write_bytes(self._dump())

    def load(self, folder: Path) -> None:
        rows = json.loads((folder / _FILE).read_text("utf-8"))
        self._turns = [Turn(**row) for row in rows]

    def close(self) -> None:
        pass

    def _dump(self) -> bytes:
        return json.dumps([asdict(t) for t in self._turns], ensure_ascii=False).encode()


class Window(Full):
    """The last few messages only: what falls out of the window is gone for the model."""

    name = "window"

    def __init__(self, engine: Any, store: Any, settings: Settings, folder: Path | None = None) -> None:
        super().__init__(engine, store, settings, folder)
        self.most = settings.remember.window_turns


class NoMemory(Full):
    """Every message stands alone: the floor that a memory has to beat."""

    name = "none"
    most = 0

"""Back and forth in time: which change of the memory's log the view stands at, and what was held after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from memchat.protocol import Items


@dataclass(frozen=True)
class Change:
    """A change of the log: the ``at``-th of so many that there are by now."""

    id: str
    at: int
    of: int
    time: str
    by: str
    told: str
    meta: dict[str, Any]

    @classmethod
    def of_item(cls, item: dict[str, Any]) -> Change:
        """What an answer about the past begins with."""
        meta = item["meta"]
        told = str(item["text"]) if meta["at"] else "before the first change"
        by = f"{meta['actor']}, {meta['kind']}"
        return cls(str(item["id"]), meta["at"], meta["of"], str(meta["time"]), by, told, meta)


class Slider:
    """Steps through the changes. Steps are free; one question at a time is on its way, for where they have led.

    Args:
        ask: asks the engine what was held after a change; the answer is to come to ``hear``.

    Attributes:
        at: the change that is wanted; below 0: so many before now; None: now.
        change: the one whose outcome ``items`` are; None: there is no answer yet.
    """

    def __init__(self, ask: Callable[[int], None]) -> None:
        self._ask = ask
        self._waiting = False
        self.at: int | None = None
        self.change: Change | None = None
        self.items: Items | None = None

    @property
    def arrived(self) -> bool:
        """Whether the items are those of the change that is wanted."""
        return self.change is not None and self.change.at == self.at

    def step(self, by: int) -> None:
        """Go so many changes back or forth; past the last one is now."""
        if self.at is None or self.change is None:
            at = (self.at or 0) + by
            self.at = at if at < 0 else None
        else:
            at = max(0, self.at + by)
            self.at = at if at < self.change.of else None
        if self.at is None:
            self.leave()
        elif not self.arrived:
            self.ask()

    def leave(self) -> None:
        """Back to now."""
        self.at = self.change = self.items = None

    def ask(self) -> None:
        """Ask for what is wanted, unless an answer is on its way: then that asks again where it must."""
        if not self._waiting and self.at is not None:
            self._waiting = True
            self._ask(self.at)

    def hear(self, answer: Items | None) -> None:
        """Take an answer in; None: the question failed."""
        self._waiting = False
        if answer is None:
            self.leave()
        elif self.at is not None:
            change = Change.of_item(answer.items[0])
            self.at = max(0, change.of + self.at) if self.at < 0 else min(self.at, change.of)
            self.change, self.items = change, answer
            if self.at == change.of:
                self.leave()
            elif not self.arrived:
                self.ask()

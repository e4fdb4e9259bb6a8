"""One message as the transcript shows it, made from a stored turn or from the events of a reply under way."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from memchat.protocol import Items, Recalled
from memchat.tui import text as form

if TYPE_CHECKING:
    from memchat.store.records import TurnRow

STOPPED_WORDS = {
    "cancelled": "■ stopped by you",
    "interrupted": "■ interrupted: the engine stopped here",
    "failed": "✗ failed",
    "length": "■ cut at the token limit",
    "forgotten": "✗ forgotten",
}
"""What stands under a reply that did not end by itself."""


@dataclass
class Entry:
    """A message of the visible branch.

    ``status`` is that of the stored turn, or ``streaming`` or ``length``; ``note`` is one line of explanation.
    """

    role: str
    text: str = ""
    turn: int | None = None
    status: str = "complete"
    author: str = ""
    at: str = ""
    version: int = 1
    versions: int = 1
    stats: dict[str, Any] = field(default_factory=dict)
    note: str = ""

    @classmethod
    def of(cls, row: TurnRow) -> Entry:
        """The entry of a stored turn."""
        meta = row.meta
        kept = meta.get("stats")
        stats = kept if isinstance(kept, dict) else {}
        status: str = row.status
        if status == "complete" and stats.get("reason") == "length":
            status = "length"
        model = str(meta.get("model") or "").rstrip("/").rsplit("/", 1)[-1]
        return cls(row.role, row.content, row.id, status, row.name or model, row.at, row.version, row.versions, stats)

    @property
    def live(self) -> bool:
        return self.status == "streaming"

    def figures(self) -> str:
        """The statistics line under a reply; a dash for what is not known, nothing when nothing is known."""
        keys = ("tokens_per_s", "ttft_ms", "prompt_tokens", "new_tokens")
        speed, first, given, made = (number(self.stats.get(key)) for key in keys)
        if speed is first is given is made is None:
            return ""
        return f"{form.rate(speed)} · first after {form.seconds(first)} · {form.count(given)} → {form.count(made)} tok"

    def ending(self) -> str:
        """Why a reply ended early, in words; empty when it ended by itself."""
        words = STOPPED_WORDS.get(self.status, "")
        return f"{words}: {self.note}" if words and self.note else words or self.note


def number(value: Any) -> float | None:
    """``value`` when it is a number that can be shown."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value == value and abs(value) < 1e18 else None


def dropped_turns(recalled: Recalled | None, items: Items | None) -> set[int]:
    """Turns that the model does not see word for word: by the last recall, else by what the memory holds."""
    source = recalled.items if recalled is not None else items.items if items is not None else []
    whole = [item for item in source if item.get("kind") == "turn" and not item.get("used", True)]
    return {turn for item in whole for turn in item.get("turns") or [] if isinstance(turn, int)}

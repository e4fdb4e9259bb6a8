"""What goes into a run of the engine besides the prompt, and what comes out after the text. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memchat.engine.cache import KVPrefix
    from memchat.engine.grammar import Constraint


@dataclass(frozen=True)
class Outcome:
    """The last thing a run yields."""

    reason: str
    """``stop`` (end token or stop string), ``length`` or ``cancelled``."""
    prompt_tokens: int
    cached_tokens: int
    new_tokens: int
    ttft_ms: float | None
    tokens_per_s: float | None
    kv_bytes: int
    peak_bytes: int | None
    bandwidth_share: float | None
    seed: int | None


@dataclass(frozen=True)
class Reach:
    """How a memory touches the model for one run; see ``memory.base.Recall``."""

    prefix: KVPrefix | None = None
    patches: Sequence[AbstractContextManager[Any]] = ()
    allowed: Sequence[int] | None = None
    constraint: Constraint | None = None
    """What may be written at all, for one run."""

    @property
    def plain(self) -> bool:
        return self.prefix is None and not self.patches

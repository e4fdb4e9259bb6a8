"""What an evaluation compares: memory modes, and modes with something changed about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from memchat.config import Settings, changed
from memchat.memory import registry


@dataclass(frozen=True)
class Variant:
    """A memory mode with some of its settings changed."""

    memory: str
    changes: Mapping[str, Any] = field(default_factory=dict)


VARIANTS: dict[str, Variant] = {
    "sql-untrained": Variant("sql", {"sql.adapters": False, "sql.decoding": "free"}),
    "sql-grammar": Variant("sql", {"sql.adapters": False, "sql.decoding": "grammar"}),
    "sql-bare": Variant("sql", {"sql.fallback": False}),  # what the agents do alone
}


def check(name: str) -> str:
    """``name`` if it is a memory mode or a variant of one.

    Raises:
        UsageError: it is neither.
    """
    return name if name in VARIANTS else registry.check(name)


def applied(name: str, settings: Settings) -> tuple[str, Settings]:
    """The memory mode behind a name, and the settings it runs under."""
    variant = VARIANTS.get(name) or Variant(name)
    return variant.memory, changed(settings, variant.changes) if variant.changes else settings

"""Every memory mode, by name. Classes load on first use, so listing the modes imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memchat.config import Settings
from memchat.errors import unknown

if TYPE_CHECKING:
    from memchat.memory.base import Memory


@dataclass(frozen=True)
class Mode:
    """One entry of the registry."""

    path: str
    """``module:Class``."""
    summary: str
    commands: tuple[str, ...] = ()
    """What the user can command it, the most used first: slash commands while the mode is on."""


MODES: dict[str, Mode] = {
    "full": Mode("memchat.memory.verbatim:Full", "the whole conversation, as far as it fits the context"),
    "window": Mode("memchat.memory.verbatim:Window", "the last few messages, word for word"),
    "search": Mode("memchat.memory.retrieval:Search", "the last few messages, and older ones found by their words"),
    "sql": Mode(
        "memchat.memory.sql.memory:Sql",
        "facts in a table that two agents write and read with SQL",
        (
            *("table", "undo", "redo", "history", "origin", "as-of", "set", "forget", "lock", "unlock"),
            *("rename", "merge", "sql", "log", "reset", "verify"),
        ),
    ),
    "none": Mode("memchat.memory.verbatim:NoMemory", "nothing: every message stands alone"),
}


def modes() -> list[dict[str, Any]]:
    """Every mode as the pickers and ``doctor`` show it: name, summary, commands, available, reason, remedy."""
    return [
        {"name": n, "summary": m.summary, "commands": list(m.commands), "available": True, "reason": "", "remedy": ""}
        for n, m in MODES.items()
    ]


def check(name: str) -> str:
    """``name`` if it is a mode.

    Raises:
        UsageError: it is not; the message names the nearest one.
    """
    if name not in MODES:
        raise unknown("memory mode", name, list(MODES))
    return name


def create(name: str, engine: Any, store: Any, settings: Settings, folder: Path | None = None) -> Memory:
    """A memory that has been told no turn yet.

    Args:
        folder: where a memory with a file of its own keeps it; None: nothing is to outlive the memory.

    Raises:
        UsageError: unknown mode.
    """
    module, _, attribute = MODES[check(name)].path.partition(":")
    cls = getattr(import_module(module), attribute)
    memory: Memory = cls(engine, store, settings, folder)
    return memory

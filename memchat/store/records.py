"""Rows of the store as the rest of the program sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["streaming", "complete", "cancelled", "interrupted", "failed", "forgotten"]
"""``streaming`` rows whose process died become ``interrupted`` at the next open; their text is kept."""


@dataclass(frozen=True)
class SessionRow:
    id: str
    name: str
    created_at: str
    updated_at: str
    model: str
    memory: str
    system: str = ""
    head: int | None = None
    """Last turn of the visible branch."""
    parent: str | None = None
    """The session this one was forked from."""
    turns: int = 0
    """Turns on the visible branch."""
    preview: str = ""
    """Beginning of the first user message."""


@dataclass(frozen=True)
class TurnRow:
    """One message. Turns form a tree: versions of a reply, and what follows an edited one, are siblings."""

    id: int
    session: str
    parent: int | None
    role: str
    content: str
    at: str
    status: Status = "complete"
    name: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    """Kept with the message: statistics, model, memory mode, seed."""
    version: int = 1
    """Its place among the versions at this point, from 1."""
    versions: int = 1


Incoming = tuple[SessionRow, list[TurnRow]]
"""A session from a file: its turn ids are local to the file, and what the file does not tell is empty."""


@dataclass(frozen=True)
class Hit:
    """One result of a full-text search."""

    session: str
    session_name: str
    turn: int
    role: str
    at: str
    snippet: str

"""One file per memory mode: what its state looks like. A mode's view is imported when it is shown."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memchat.tui.inspectors.base import MemoryView

VIEWS: dict[str, str] = {
    "sql": "memchat.tui.inspectors.facts:FactsView",
    "none": "memchat.tui.inspectors.turnlog:TurnLogView",
    "window": "memchat.tui.inspectors.turnlog:TurnLogView",
    "full": "memchat.tui.inspectors.turnlog:TurnLogView",
}
"""Mode name -> ``module:class``. A mode without an entry is shown as a plain list of its items."""

FALLBACK = "memchat.tui.inspectors.base:ItemsView"


def view_class(mode: str) -> type[MemoryView]:
    """The class that shows the memory of ``mode``."""
    module, _, name = VIEWS.get(mode, FALLBACK).partition(":")
    return getattr(import_module(module), name)

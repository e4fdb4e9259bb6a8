"""What an inspector gets, and the plain list that any memory can be shown as."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from memchat.protocol import Items, Prompt, Recalled, Stats, Wrote
from memchat.tui import text as form
from memchat.tui.entries import Entry

MUTED = "$foreground 60%"
SHOWN = 300
"""Rows of a list; more are counted, not drawn."""


@dataclass
class Snapshot:
    """What is known about conversation and engine at one moment; None: not known (yet)."""

    mode: str
    model: dict[str, Any] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    recalled: Recalled | None = None
    stats: Stats | None = None
    items: Items | None = None
    prompt: Prompt | None = None
    wrote: Wrote | None = None
    capabilities: frozenset[str] = frozenset()


class MemoryView(VerticalScroll):
    """Base of the views in the Memory tab. ``show`` is called at most five times a second, and only when visible."""

    can_focus = False

    def show(self, snapshot: Snapshot) -> None:
        """Draw this state."""
        raise NotImplementedError

    def back(self) -> bool:
        """Esc inside: leave what can be left, such as a search; False when there is nothing."""
        return False


class Rows(OptionList):
    """A list with a cursor whose rows carry turn ids; it is refilled only when something changed."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id, markup=False)
        self._rows: list[tuple[str, Content]] = []

    def fill(self, rows: list[tuple[str, Content]]) -> None:
        """Show these (id, line) pairs, keeping the cursor in its place."""
        if [(key, str(line)) for key, line in rows] == [(key, str(line)) for key, line in self._rows]:
            return
        self._rows = rows
        place = self.highlighted
        self.clear_options()
        self.add_options([Option(line, id=f"row-{number}") for number, (_, line) in enumerate(rows)])
        if place is not None and rows:
            self.highlighted = min(place, len(rows) - 1)

    def key_at(self, index: int) -> str:
        """What the row at ``index`` stands for."""
        return self._rows[index][0]


def figures(pairs: list[tuple[str, str]], width: int = 12) -> Content:
    """Names and values in two columns."""
    lines = [Content.assemble((f"{name:<{width}}", MUTED), (value, "$foreground")) for name, value in pairs]
    return Content("\n").join(lines)


class ItemsView(MemoryView):
    """Any memory: its size and its items."""

    def compose(self) -> Any:
        yield Static("", id="sizes", markup=False)
        yield Rows(id="held")

    def show(self, snapshot: Snapshot) -> None:
        items = snapshot.items
        sizes = items.nbytes if items is not None else {}
        pairs = [(place, form.size(sizes.get(place))) for place in ("device", "host", "disk")]
        pairs.insert(0, ("items", form.count(len(items.items)) if items is not None else form.DASH))
        self.query_one("#sizes", Static).update(figures(pairs))
        rows = []
        for item in (items.items if items is not None else [])[-SHOWN:]:
            turns = [turn for turn in item.get("turns") or [] if isinstance(turn, int)]
            mark = "*" if item.get("used") else " "
            text = form.line(str(item.get("text") or "(no text form)"), 200)
            line = Content.assemble((f"{mark} ", "$text-accent"), (f"{item.get('kind', '')!s:<8}", MUTED), text)
            rows.append((str(turns[0]) if turns else "", line))
        self.query_one(Rows).fill(rows)

"""The pane at the right: Memory, Prompt, Turns, Engine. Mounted after the first frame, drawn only when visible."""

from __future__ import annotations

import asyncio
from typing import Any

from textual.containers import Vertical
from textual.content import Content
from textual.style import Style
from textual.widget import Widget
from textual.widgets import Static

from memchat.tui.inspectors import view_class
from memchat.tui.inspectors.base import Snapshot
from memchat.tui.widgets.panes import EnginePane, PromptPane, TurnsPane

TABS = ("Memory", "Prompt", "Turns", "Engine")


class Inspector(Vertical):
    """Four tabs over one snapshot."""

    DEFAULT_CSS = """
    Inspector { width: 45%; max-width: 76; height: 1fr; border-left: vkey $panel-lighten-1;
        background: $background; padding: 0 1; }
    #tabs { height: 2; padding: 0 0 1 0; }
    #pane { height: 1fr; }
    #pane VerticalScroll { scrollbar-size-vertical: 1; }
    #gauge, #sizes, #segments, #facts { height: auto; }
    #rendered { height: auto; margin: 1 0 0 0; padding: 0 1; background: $surface; }
    #log { height: auto; margin: 1 0 0 0; }
    #held { height: 1fr; min-height: 4; border: none; background: $background; padding: 0; scrollbar-size-vertical: 1;
        text-wrap: nowrap; text-overflow: ellipsis; }
    #memory { layout: vertical; overflow: hidden; }
    #legend { height: 1; }
    #turns { height: 1fr; background: $background; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1; }
    """

    def __init__(self) -> None:
        super().__init__(id="inspector")
        self.tab = TABS[0]
        self._panes: dict[str, Any] = {}
        self._mode = ""
        self._snapshot: Snapshot | None = None
        self._changing = asyncio.Lock()

    def compose(self) -> Any:
        tabs = Static("", id="tabs", markup=False)
        tabs.auto_links = False
        yield tabs
        yield Vertical(id="pane")

    async def on_mount(self) -> None:
        await self.select(self.tab)

    def on_resize(self) -> None:
        """Gauges are as wide as the pane."""
        if self._snapshot is not None:
            self.call_after_refresh(self.show, self._snapshot)

    async def select(self, tab: str) -> None:
        """Show one tab; its widgets are made at the first visit."""
        self.tab = tab
        async with self._changing:
            await self._pane(tab)
        for name, pane in self._panes.items():
            pane.display = name == tab
        self._draw_tabs()
        if self._snapshot is not None:
            await self.show(self._snapshot)

    async def next_tab(self) -> None:
        """The tab to the right, then the first again."""
        await self.select(TABS[(TABS.index(self.tab) + 1) % len(TABS)])

    async def show(self, snapshot: Snapshot) -> None:
        """Draw the state in the visible tab."""
        self._snapshot = snapshot
        async with self._changing:
            if self.tab == "Memory" and snapshot.mode != self._mode:
                old = self._panes.pop("Memory", None)
                if old is not None:
                    await old.remove()
            pane = await self._pane(self.tab)
            if pane.is_attached:
                pane.show(snapshot)

    def focus_inside(self) -> None:
        """Put the focus on what can be moved through in this tab."""
        pane = self._panes[self.tab]
        target = next((child for child in [pane, *pane.query("*")] if child.focusable), None)
        if target is not None:
            target.focus()

    async def _pane(self, tab: str) -> Any:
        if tab in self._panes:
            return self._panes[tab]
        pane: Widget
        if tab == "Memory":
            self._mode = self._snapshot.mode if self._snapshot else ""
            pane = view_class(self._mode)(id="memory")
        else:
            pane = {"Prompt": PromptPane, "Turns": TurnsPane, "Engine": EnginePane}[tab]()
        self._panes[tab] = pane
        await self.query_one("#pane").mount(pane)
        return pane

    def _draw_tabs(self) -> None:
        line = Content(" ")
        for tab in TABS:
            style = "$text-primary bold underline" if tab == self.tab else "$foreground 60%"
            piece = Content.styled(tab, style).stylize(Style.from_meta({"@click": f"screen.tab('{tab}')"}))
            line = Content.assemble(line, piece, "   ")
        self.query_one("#tabs", Static).update(line)

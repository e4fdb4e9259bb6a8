"""The chat screen's side of the inspector: beside, over or instead of the chat, drawn at most 5 times a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.timer import Timer

if TYPE_CHECKING:
    from memchat.tui.conversation import Conversation
    from memchat.tui.link import Link
    from memchat.tui.widgets.inspector import Inspector

_PERIOD = 0.2
_DRAFT_SHOWN = 20_000
"""Longer text is not rendered before it is sent: that would keep the engine busy."""


class PanelHost:
    """Mixed into the chat screen. Wide terminals show the inspector beside the chat, others over it."""

    link: Link
    conversation: Conversation
    inspector: Inspector | None = None
    _panel_timer: Timer | None = None
    _was_wide = True
    _hidden_by_size = False

    async def toggle_panel(self: Any) -> None:
        """Show or hide the inspector."""
        if self.inspector is None:
            from memchat.tui.widgets.inspector import Inspector

            self.inspector = Inspector()
            await self.query_one("#body").mount(self.inspector)
        else:
            self.inspector.display = not self.inspector.display
            if not self.inspector.display:
                self.set_class(False, "-zoomed")
                if self.place() == "inspector":
                    self.prompt.focus()
        if self.inspector.display:
            self.inspect(fresh=True)
            if self.size.width < 80:
                self.call_after_refresh(self.inspector.focus_inside)

    async def show_tab(self: Any, tab: str | None) -> None:
        """Show one tab, or the next one; the inspector appears if it is hidden."""
        was_hidden = self.inspector is None or not self.inspector.display
        if was_hidden:
            await self.toggle_panel()
        if tab is not None:
            await self.inspector.select(tab)
        elif not was_hidden:
            await self.inspector.next_tab()
        if tab is None:
            self.inspector.focus_inside()
        self.inspect(fresh=True)
        self.query_one("#footer").refresh()

    async def zoom_panel(self: Any) -> None:
        """Give the inspector the whole width, or take it back."""
        if self.inspector is None or not self.inspector.display:
            await self.toggle_panel()
        self.toggle_class("-zoomed")
        if self.has_class("-zoomed"):
            self.inspector.focus_inside()

    def fit_panel(self: Any) -> None:
        """A panel that stood beside the chat does not suddenly cover it when the terminal shrinks, and comes back."""
        wide = self.size.width >= 100
        if self.inspector is not None and wide != self._was_wide:
            if not wide:
                self._hidden_by_size = self.inspector.display
                self.inspector.display = False
            elif self._hidden_by_size:
                self.inspector.display = True
                self.inspect()
        self._was_wide = wide

    def close_drawer(self: Any) -> bool:
        """Hide the inspector where it covers the chat; False when it does not."""
        covers = self.size.width < 100 or self.has_class("-zoomed")
        if self.inspector is None or not self.inspector.display or not covers:
            return False
        if self.size.width >= 100:
            self.remove_class("-zoomed")
        else:
            self.inspector.display = False
        self.prompt.focus()
        return True

    def action_tab(self: Any, tab: str) -> None:
        """A tab was clicked."""
        self.run_worker(self.show_tab(tab))

    def inspect(self: Any, fresh: bool = False) -> None:
        """Bring the inspector up to date soon; ``fresh`` also asks the engine."""
        if self.inspector is None or not self.inspector.display:
            return
        if fresh:
            self._ask_engine()
        if self._panel_timer is None:
            self._panel_timer = self.set_timer(_PERIOD, self._draw_panel)

    def inspect_draft(self: Any) -> None:
        """The input changed: the Prompt tab shows what would be sent."""
        if self.inspector is not None and self.inspector.display and self.inspector.tab == "Prompt":
            self._ask_engine()

    def _ask_engine(self: Any) -> None:
        """Ask for what the visible tab shows, when the engine is free and a session is open."""
        conversation = self.conversation
        if conversation.busy or not self.link.ready or self.link.session is None:
            return
        if self.inspector.tab == "Memory":
            conversation.request("items")
        elif self.inspector.tab == "Prompt":
            text = self.prompt.full_text().strip()
            if len(text) <= _DRAFT_SHOWN:
                conversation.request("prompt", text=text or None)

    async def _draw_panel(self: Any) -> None:
        from memchat.tui.inspectors.base import Snapshot

        self._panel_timer = None
        panel, chat = self.inspector, self.conversation
        if panel is None or not panel.display or not panel.is_attached:
            return
        await panel.show(
            Snapshot(
                self.link.memory, self.link.model, list(chat.entries), chat.recalled, chat.stats, chat.items,
                chat.prompt, chat.wrote,
            )
        )  # fmt: skip

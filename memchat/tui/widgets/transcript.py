"""The conversation: the last messages as widgets, older ones mounted when the user scrolls up to them.

A growing reply is flushed twelve times a second, and not at all while the user reads further up.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import ClassVar

from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.geometry import Size
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static

from memchat.tui.entries import Entry
from memchat.tui.widgets.message import MessageView
from memchat.tui.widgets.painter import CODE_THEMES, Painter

WINDOW = 40
"""Messages mounted at a time."""
FLUSH = 1 / 12
FLUSH_WHILE_TYPING = 0.8
"""Painting a page of new text takes 20 to 40 ms on a slow core, and a key must not often meet that."""
TYPING = 0.5
"""Seconds after a key in which the user counts as typing."""

_STYLES = (
    "text", "muted", "strong", "h1", "h2", "h3", "h4", "code", "code_block", "quote", "link", "bullet", "rule",
    "warning", "error", "who_user", "who_assistant", "who_other",
)  # fmt: skip


class CutMarker(Static):
    """The line between what the model still sees and what it does not."""


class Transcript(VerticalScroll):
    """All messages of the visible branch; ``cursor`` is the index of the chosen one."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"transcript--{name}" for name in _STYLES}
    FOCUS_ON_CLICK = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,alt+up", "choose(-1)", "Previous", show=False),
        Binding("down,alt+down", "choose(1)", "Next", show=False),
        Binding("c", "screen.act('message.copy')", "Copy", show=False),
        Binding("e", "screen.act('message.edit')", "Edit", show=False),
        Binding("r", "screen.act('message.regenerate')", "Again", show=False),
        Binding("f", "screen.act('message.fork')", "Fork", show=False),
        Binding("x", "screen.act('message.forget')", "Forget", show=False),
        Binding("left", "screen.act('message.version', '-1')", "Version", show=False),
        Binding("right", "screen.act('message.version', '+1')", "Version", show=False),
    ]

    class Held(Message):
        """New text waits below what the user reads, or does so no longer."""

        def __init__(self, held: bool) -> None:
            super().__init__()
            self.held = held

    class Chosen(Message):
        """Another message is chosen, or none."""

    def __init__(self) -> None:
        super().__init__(id="transcript")
        self.entries: list[Entry] = []
        self.views: list[MessageView] = []
        self.first = 0
        """Index of the first mounted message."""
        self.cursor: int | None = None
        self.paint_version = 0
        self._painter: Painter | None = None
        self._timer: Timer | None = None
        self._held = False
        self._fresh = False
        self._typed = self._flushed = 0.0
        self._loading_more = False
        self._showing = asyncio.Lock()
        self._marker = CutMarker(id="cut")
        self._cut: tuple[int, str] | None = None

    def on_mount(self) -> None:
        self.anchor()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._repaint())

    @property
    def painter(self) -> Painter:
        """Paints in the colours of the theme."""
        if self._painter is None:
            styles = {name: self._style(name) for name in _STYLES}
            for role in ("system", "tool"):
                styles[f"who_{role}"] = styles["who_other"]
            theme = self.app.current_theme
            fallback = "one-dark" if theme.dark else "tango"
            self._painter = Painter(_Styles(styles), CODE_THEMES.get(theme.name, fallback))
        return self._painter

    @property
    def live(self) -> MessageView | None:
        """The reply under way, if it is mounted."""
        return next((view for view in reversed(self.views) if view.entry.live), None)

    @property
    def at_end(self) -> bool:
        """Whether the user reads at the end: the anchor holds there, although it follows new lines a frame late."""
        return not self._anchor_released or self.scroll_y >= self.max_scroll_y - 1

    async def show(self, entries: list[Entry]) -> None:
        """Make the transcript show these messages; what is the same stays mounted."""
        async with self._showing:
            await self._show(list(entries))

    async def _show(self, entries: list[Entry]) -> None:
        same = 0
        for old, new in zip(self.entries, entries, strict=False):
            if old.turn != new.turn or old.role != new.role:
                break
            same += 1
        if same == 0 or same < self.first:
            same, self.first = 0, max(0, len(entries) - WINDOW)
        keep = max(0, same - self.first)
        gone, self.views = self.views[keep:], self.views[:keep]
        self.entries = entries
        for view, entry in zip(self.views, entries[self.first :], strict=False):
            view.replace(entry)
        if gone:
            await self.remove_children(gone)
        fresh = [MessageView(entry, self) for entry in entries[self.first + keep :]]
        self.views += fresh
        if fresh:
            await self.mount_all(fresh)
        if len(self.views) > 2 * WINDOW and self.at_end:
            await self._prune()
        if self.cursor is not None and self.cursor >= len(entries):
            self.choose(None)
        self._place_cut()
        self._watch_live()

    async def _prune(self) -> None:
        """Nobody reads up there: the oldest messages are unmounted, scrolling up brings them back."""
        gone, self.views = self.views[:-WINDOW], self.views[-WINDOW:]
        self.first += len(gone)
        await self.remove_children(gone)

    def grown(self) -> None:
        """The reply under way has more text; the next flush shows it."""
        self._fresh = True

    def settle(self) -> None:
        """Entries were changed in place: paint them as they are now."""
        for view in self.views[-2:]:
            view.settle()
        self._fresh = False
        self._watch_live()

    def mark_cut(self, turn: int | None, words: str) -> None:
        """Draw the line above the message of ``turn``; None removes it."""
        self._cut = None if turn is None else (turn, words)
        self._place_cut()

    def choose(self, index: int | None) -> None:
        """Put the message cursor on a message, by its index in ``entries``."""
        for view in self.query(".-chosen").results(MessageView):
            view.remove_class("-chosen")
        self.cursor = index
        if index is not None and 0 <= index - self.first < len(self.views):
            view = self.views[index - self.first]
            view.add_class("-chosen")
            self.scroll_to_widget(view, animate=False)
        self.post_message(self.Chosen())

    async def jump(self, turn: int) -> bool:
        """Choose the message of ``turn``, mounting what is needed; False when it is not in this branch."""
        index = next((i for i, entry in enumerate(self.entries) if entry.turn == turn), None)
        if index is None:
            return False
        if index < self.first:
            await self._mount_from(max(0, index - 3))
        self.focus(scroll_visible=False)
        self.call_after_refresh(self.choose, index)
        return True

    def action_choose(self, step: int) -> None:
        """Move the message cursor; below the last message lies the prompt."""
        last = len(self.entries) - 1
        index = last if self.cursor is None else self.cursor + step
        if index > last or last < 0:
            self.choose(None)
            self.screen.set_focus(self.screen.query_one("#prompt"))
            return
        if index < self.first:
            self._load_more()
        else:
            self.choose(max(0, index))

    def on_focus(self) -> None:
        if self.cursor is None and self.entries:
            self.choose(len(self.entries) - 1)

    def on_blur(self, _event: events.Blur) -> None:
        if self.app.app_focus:
            self.choose(None)

    def _size_updated(self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True) -> bool:
        """A longer conversation does not change the layout around it, so one layout per new line is enough."""
        return super()._size_updated(size, virtual_size, container_size, layout=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        if new_value < old_value and new_value <= 2 and self.first > 0:
            self._load_more()
        if self._held and self.at_end:
            self._flush()

    def _load_more(self) -> None:
        if not self._loading_more:
            self._loading_more = True
            self.run_worker(self._mount_from(max(0, self.first - WINDOW)), exclusive=False)

    async def _mount_from(self, start: int) -> None:
        """Mount the messages from ``start`` on that are not mounted, keeping the eye where it is."""
        async with self._showing:
            below = self.max_scroll_y - self.scroll_y
            fresh = [MessageView(entry, self) for entry in self.entries[start : self.first]]
            if fresh:
                self.views[:0] = fresh
                self.first = start
                await self.mount_all(fresh, before=0)
                self.call_after_refresh(self._restore, below)
        self._loading_more = False
        self._place_cut()

    def _restore(self, below: float) -> None:
        self.scroll_to(y=self.max_scroll_y - below, animate=False, immediate=True)

    def _watch_live(self) -> None:
        """The flush timer runs only while a reply grows."""
        live = self.live
        if live is not None and self._timer is None:
            self._timer = self.set_interval(FLUSH, self._flush)
        elif live is None and self._timer is not None:
            self._timer.stop()
            self._timer = None
            self._hold(False)

    def make_way(self) -> None:
        """A key was typed: for a moment the reply is painted less often, so that the next key seldom has to wait."""
        self._typed = monotonic()

    def _flush(self) -> None:
        now = monotonic()
        if now - self._typed < TYPING and now - self._flushed < FLUSH_WHILE_TYPING:
            return
        self._flushed = now
        hold = not self.at_end and self.live is not None
        if self._fresh and not hold and (view := self.live) is not None:
            self._fresh = False
            view.flush()
        self._hold(hold and self._fresh)

    def _hold(self, held: bool) -> None:
        if held != self._held:
            self._held = held
            self.post_message(self.Held(held))

    def _place_cut(self) -> None:
        view = next((v for v in self.views if self._cut and v.entry.turn == self._cut[0]), None)
        if view is None or self._cut is None:
            if self._marker.parent is not None:
                self._marker.remove()
                self._marker = CutMarker(id="cut")
            return
        words = self._cut[1]
        if self._marker.parent is None:
            self._marker = CutMarker(words, id="cut", markup=False)
            self.mount(self._marker, before=view)
        else:
            self._marker.update(words)
            self.move_child(self._marker, before=view)

    def _style(self, name: str) -> Style:
        """A component style as Rich wants it: no transparency, a background only where one is set."""
        styles = self.get_component_styles(f"transcript--{name}")
        behind = self.background_colors[1]
        colour = (behind + styles.color).rich_color if styles.has_rule("color") else None
        ground = (behind + styles.background).rich_color if styles.has_rule("background") else None
        return Style(color=colour, bgcolor=ground) + styles.text_style

    def _repaint(self) -> None:
        self._painter = None
        self.paint_version += 1
        for view in self.views:
            view.flush()


class _Styles(dict[str, Style]):
    """Roles that nobody thought of look like any other."""

    def __missing__(self, name: str) -> Style:
        return self["who_other"]

"""The input: grows to ten lines, sends on Enter, never sends on a paste, remembers what was sent before."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any, cast

from textual import events
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual.message import Message
from textual.widgets import TextArea

from memchat.tui import text as form

_BREAK_KEYS = {"shift+enter", "alt+enter", "ctrl+enter", "shift+\r", "alt+\r"}
_INLINE = 8000
"""A longer paste is attached instead of inserted: wrapping it at every key would be felt."""
_INLINE_LINES = 200
_PLACEHOLDER = "Write a message, or / for commands"


# Terminals without the Kitty protocol send Escape and Return for Alt+Enter, of which Textual keeps only the Return.
cast("dict[str, Any]", ANSI_SEQUENCES_KEYS)["\x1b\r"] = (SimpleNamespace(value="alt+enter"),)


class Prompt(TextArea):
    """Where the user writes. A long paste stands in it as a short sign and is put back when it is sent."""

    class Submitted(Message):
        """The user wants this text sent."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Turned(Message):
        """Left or right in an empty input: another version of the last reply is wanted."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    class Attached(Message):
        """A long paste was attached."""

        def __init__(self, sign: str) -> None:
            super().__init__()
            self.sign = sign

    def __init__(self, enter_sends: bool = True) -> None:
        super().__init__(
            id="prompt",
            placeholder=_PLACEHOLDER,
            highlight_cursor_line=False,
            max_checkpoints=200,
        )
        self.enter_sends = enter_sends
        self.completer: Any = None
        """The list of completions; it takes some keys while it is open."""
        self.attached: dict[str, str] = {}
        self.sent: list[str] = []
        """What was sent, the latest last."""
        self._place = 0
        self._draft = ""

    def full_text(self) -> str:
        """The text with every attached paste in its place."""
        text = self.text
        for sign, content in self.attached.items():
            text = text.replace(sign, content)
        return text

    def put(self, text: str, attached: dict[str, str] | None = None) -> None:
        """Replace what is written; the cursor goes to the end."""
        self.attached = dict(attached or {})
        if self._is_long(text):
            text = self._attach_text(text)
        self.text = text
        self.move_cursor(self.document.end)
        self._place = 0

    def suggest(self, text: str) -> None:
        """While nothing is written, show what could be; Ctrl+T puts it here. Nothing to suggest: the usual words."""
        self.placeholder = f"Ctrl+T: {text}" if text else _PLACEHOLDER

    def give_back(self, text: str) -> None:
        """Text that could not be sent comes back, before what was written since."""
        written = self.text.strip()
        self.put(f"{text}\n{self.text}" if written and written != text.strip() else text, self.attached)

    def take(self) -> str:
        """The full text; the input is empty afterwards."""
        text = self.full_text()
        self.attached.clear()
        self.text = ""
        self._place = 0
        return text

    def remember(self, prompts: Iterable[str]) -> None:
        """Prompts of earlier runs, the latest first."""
        fresh = [prompt for prompt in reversed(list(prompts)) if prompt not in self.sent]
        self.sent = fresh + self.sent

    async def _on_key(self, event: events.Key) -> None:
        if self.completer is not None and self.completer.take_key(event.key):
            event.stop()
            event.prevent_default()
            return
        sends = {"enter"} if self.enter_sends else {"ctrl+j"}
        breaks = _BREAK_KEYS | ({"ctrl+j"} if self.enter_sends else {"enter"})
        if event.key in sends:
            event.stop()
            event.prevent_default()
            self.submit()
        elif event.key in breaks:
            event.stop()
            event.prevent_default()
            self._replace_via_keyboard("\n", *self.selection)
            self.scroll_cursor_visible()
        elif event.key in self._bindings.key_to_bindings:
            # Bubbling to the app first, as Textual does, would let the next letters overtake a Ctrl+U or an arrow.
            event.stop()
            event.prevent_default()
            for binding in self._bindings.key_to_bindings[event.key]:
                await self.run_action(binding.action)
        else:
            await super()._on_key(event)
            self._draw_now()

    def _draw_now(self) -> None:
        """Echo a key at once: the next frame may be 8 ms away, and busy with a reply that streams."""
        screen = self.screen
        if screen.is_current and not screen._layout_required and not self.app._batch_count:
            screen._dirty_widgets.add(self)
            screen._compositor.update_widgets(screen._dirty_widgets)
            screen._compositor_refresh()

    def submit(self) -> None:
        """Send what is written, unless it is nothing."""
        text = self.full_text().strip("\n")
        if text.strip():
            self.post_message(self.Submitted(text))

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        text = event.text.replace("\r\n", "\n").replace("\r", "\n")
        if self._is_long(text):
            text = self._attach_text(text)
            self.post_message(self.Attached(text))
        if result := self._replace_via_keyboard(text, *self.selection):
            self.move_cursor(result.end_location)
            self.focus()

    def action_cursor_up(self, select: bool = False) -> None:
        """Above the first line lies what was sent before."""
        if select or not self.navigator.is_first_wrapped_line(self.cursor_location):
            super().action_cursor_up(select)
        elif self._place < len(self.sent):
            if self._place == 0:
                self._draft = self.full_text()
            self._show_history(self._place + 1)

    def action_cursor_down(self, select: bool = False) -> None:
        """Below the last line lies what was sent later, and at last the draft."""
        if select or not self.navigator.is_last_wrapped_line(self.cursor_location):
            super().action_cursor_down(select)
        elif self._place:
            self._show_history(self._place - 1)

    def action_cursor_page_up(self) -> None:
        """The pages belong to the transcript."""
        self.screen.query_one("#transcript").scroll_page_up(animate=False)

    def action_cursor_page_down(self) -> None:
        self.screen.query_one("#transcript").scroll_page_down(animate=False)

    def action_cursor_left(self, select: bool = False) -> None:
        """In an empty input, left and right turn the versions of the last reply."""
        if self.text or select:
            super().action_cursor_left(select)
        else:
            self.post_message(self.Turned(-1))

    def action_cursor_right(self, select: bool = False) -> None:
        if self.text or select:
            super().action_cursor_right(select)
        else:
            self.post_message(self.Turned(1))

    def _show_history(self, place: int) -> None:
        text = self._draft if place == 0 else self.sent[-place]
        self.put(text)
        self._place = place

    def _is_long(self, text: str) -> bool:
        return len(text) > _INLINE or text.count("\n") > _INLINE_LINES

    def _attach_text(self, text: str) -> str:
        number = len(self.attached) + 1
        lines = text.count("\n") + 1
        sign = f"[pasted text {number}: {form.size(len(text.encode('utf-8', 'replace')))}, {lines} lines]"
        self.attached[sign] = text
        return sign

"""Single lines above the input: a notice, what is queued, and that new text waits below."""

from __future__ import annotations

from typing import Literal

from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from memchat.tui import text as form

Severity = Literal["note", "error"]
_SHOWN_FOR = 6.0


class Notice(Static):
    """What happened, in one line. A note fades; an error stays until the user goes on."""

    def __init__(self) -> None:
        super().__init__("", id="notice", markup=False)
        self.message = ""
        self._timer: Timer | None = None
        self.display = False

    def say(self, message: str, severity: Severity = "note") -> None:
        """Show ``message``."""
        self.message = form.line(message, 400)
        mark = "✗" if severity == "error" else "›"
        self.set_class(severity == "error", "-error")
        self.update(Content(f"{mark} {self.message}"))
        self.display = True
        if self._timer is not None:
            self._timer.stop()
        self._timer = None if severity == "error" else self.set_timer(_SHOWN_FOR, self.clear)

    def clear(self) -> bool:
        """Take the line away; False when there was none."""
        was_there = self.display
        self.display = False
        self.message = ""
        return was_there


class QueueLine(Static):
    """Prompts that wait for the engine."""

    def __init__(self) -> None:
        super().__init__("", id="queue", markup=False)
        self.display = False

    def show(self, queue: list[str], reason: str) -> None:
        """The waiting prompts, one line each, at most three."""
        self.display = bool(queue)
        lines = [f"◷ queued: {form.line(text, 100)}" for text in queue[:3]]
        if len(queue) > 3:
            lines.append(f"  and {len(queue) - 3} more")
        if lines:
            lines[0] += f"   ({reason})"
        self.update(Content("\n".join(lines)))

"""The lines at the top and at the bottom: who talks, in which state, at what speed, and which keys help."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from memchat.tui import text as form
from memchat.tui.actions import BY_ID, key_name
from memchat.tui.openers import suggestions

if TYPE_CHECKING:
    from memchat.tui.screens.chat import ChatScreen

_STATES = {
    "starting": ("◌", "$text-warning", "engine starting"),
    "loading": ("◌", "$text-warning", "loading model"),
    "ready": ("●", "$text-success", "ready"),
    "failed": ("✗", "$text-error", "no model"),
    "stopped": ("✗", "$text-error", "engine stopped"),
}
_MUTED = "$foreground 60%"

Part = tuple[str, str]


def click(content: str, style: str, action: str) -> Content:
    """Text that does something when it is clicked."""
    return Content.assemble((content, style)).stylize(Style.from_meta({"@click": action}))


class Bar(Widget):
    """One line that shows what the chat screen knows."""

    can_focus = False
    ALLOW_SELECT = False
    auto_links = False
    view: ChatScreen

    def __init__(self, view: ChatScreen, id: str) -> None:
        super().__init__(id=id)
        self.view = view


class HeaderBar(Bar):
    """Name, conversation and the state of the engine."""

    def render(self) -> Content:
        link, width = self.view.link, self.size.width
        name = form.line(link.session_name, max(8, width // 3)) or "new conversation"
        left = Content.assemble((" ◆ memchat ", "$text-primary bold"), (" ", ""), (name, "$foreground"))
        mark, colour, words = _STATES[link.state]
        if link.ready and self.view.conversation.busy:
            mark, words = "◍", "stopping" if self.view.conversation.stopping else "answering"
        progress = link.progress
        if progress is not None and progress.total > 0 and not link.ready:
            words = f"{words} {100 * progress.done / progress.total:.0f}%"
        right = Content.assemble((f"{mark} {words} ", colour))
        help_ = click(" F1 help ", _MUTED, "screen.act('help')")
        right = Content.assemble(right, help_) if width >= 60 else right
        gap = width - left.cell_length - right.cell_length
        return Content.assemble(left, " " * max(1, gap), right)


class StatusBar(Bar):
    """Model, mode and the figures of the last reply; what does not fit is left out from the right."""

    def render(self) -> Content:
        view = self.view
        link, conversation = view.link, view.conversation
        stats, context = conversation.stats, link.model.get("context")
        used = None if stats is None else stats.prompt_tokens + stats.new_tokens
        limit = stats.context if stats is not None else context
        speed = conversation.live_rate() if conversation.busy else stats.tokens_per_s if stats else None
        parts = [
            click(form.line(link.describe_model(), 30), "$text-accent", "screen.act('model')"),
            click(form.line(link.memory, 16), "$text-primary bold", "screen.act('memory')"),
            Content(f"ctx {form.count(used)}/{form.count(limit)}"),
            Content(form.rate(speed)),
            Content(f"ttft {form.seconds(stats.ttft_ms if stats else None)}"),
            Content(f"KV {form.size(stats.kv_bytes if stats else None)}"),
        ]
        if (recalled := conversation.recalled) is not None:
            parts.append(Content(f"held {recalled.held_turns} · dropped {recalled.dropped_turns}"))
        if (count := len(conversation.entries)) > 0:
            parts.append(Content(f"{count} messages"))
        line = Content(" ")
        for number, part in enumerate(parts):
            piece = Content.assemble(("  ", _MUTED), part) if number else part
            if line.cell_length + piece.cell_length > self.size.width - 1:
                break
            line = Content.assemble(line, piece)
        return line


class FooterBar(Bar):
    """At most eight keys, those of the place that has the focus."""

    PROMPT: ClassVar[tuple[str, ...]] = (
        "help", "palette", "memory", "model", "session.list", "panel", "session.new",
    )  # fmt: skip
    PLACES: ClassVar[dict[str, tuple[Part, ...]]] = {
        "transcript": (
            ("↑↓", "Choose"), ("c", "Copy"), ("e", "Edit"), ("r", "Again"), ("f", "Fork"), ("x", "Forget"),
            ("←→", "Versions"), ("Esc", "Back"),
        ),
        "inspector": (
            ("F7", "Next tab"), ("F8", "Prompt"), ("F9", "Enlarge"), ("⏎", "Open"), ("F6", "Hide"), ("Esc", "Back"),
        ),
    }  # fmt: skip

    def render(self) -> Content:
        line = Content("")
        for key, label, action in self._keys():
            piece = Content.assemble((f" {key} ", "$footer-key-foreground bold"), (f"{label} ", _MUTED))
            if action:
                piece = piece.stylize(Style.from_meta({"@click": action}))
            if line.cell_length + piece.cell_length > self.size.width:
                break
            line = Content.assemble(line, piece)
        return line

    def _keys(self) -> list[tuple[str, str, str]]:
        place = self.PLACES.get(self.view.place())
        if place is not None:
            return [(key, label, "") for key, label in place]
        keys = []
        if self.view.conversation.busy:
            keys.append(("Esc", "Stop", "screen.act('stop')"))
        names = list(self.PROMPT)
        if suggestions(self.view):
            names.insert(1, "suggest")
        for name in names:
            action = BY_ID[name]
            keys.append((key_name(action.keys[0]), action.footer, f"screen.act('{name}')"))
        return keys[:8]


class ProgressLine(Bar):
    """A bar with rate and time left while something long is under way."""

    def render(self) -> Content:
        progress = self.view.link.progress
        if progress is None:
            return Content("")
        task = form.line(progress.task, 60)
        if progress.total <= 0:
            return Content.assemble(("  ◌ ", "$text-warning"), (f"{task} …", _MUTED))
        share = progress.done / progress.total
        width = max(8, min(30, self.size.width - len(task) - 46))
        spent = max(0.001, time.monotonic() - self.view.link.progress_since)
        left = spent * (1 - share) / share if share > 0.001 else None
        amounts = f"{share:4.0%}"
        if progress.unit in ("B", "bytes"):
            amounts += f"  {form.size(progress.done)} of {form.size(progress.total)}"
            amounts += f"  {form.size(progress.done / spent)}/s"
        if left is not None and spent > 1:
            amounts += f"  {left:.0f} s left"
        stop = "  Esc cancels" if self.view.downloading is not None else ""
        return Content.assemble(
            ("  ", ""), (f"{task}  ", "$foreground"), (form.bar(share, width, "━", "─"), "$primary"),
            (f" {amounts}", _MUTED), (stop, _MUTED),
        )  # fmt: skip

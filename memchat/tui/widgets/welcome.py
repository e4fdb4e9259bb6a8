"""What an empty conversation shows: where one is, what this model is, how it can remember."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from memchat.tui import text as form

if TYPE_CHECKING:
    from memchat.tui.link import Link

_LOGO = (
    "┏┳┓┏━╸┏┳┓┏━╸╻ ╻┏━┓╺┳╸",
    "┃┃┃┣╸ ┃┃┃┃  ┣━┫┣━┫ ┃ ",
    "╹ ╹┗━╸╹ ╹┗━╸╹ ╹╹ ╹ ╹ ",
)
_KEYS = (
    ("F3", "how the model remembers"),
    ("F4", "another model"),
    ("F5", "earlier conversations"),
    ("F6", "watch the memory"),
    ("/", "commands"),
    ("F1", "help"),
)


class Welcome(Vertical):
    """The greeting; disappears with the first message."""

    def __init__(self) -> None:
        self._words = Static("", markup=False)
        super().__init__(self._words, id="welcome")

    def fill(self, link: Link) -> None:
        """Say what is known by now."""
        lines = [Content.styled(line, "$primary") for line in _LOGO]
        lines += [Content("a chat in which you choose how the model remembers, and watch it"), Content("")]
        lines += [self._about(link), Content("")]
        if link.modes:
            lines += [self._mode(mode, link.memory) for mode in link.modes] + [Content("")]
        pairs = [Content.assemble((f"{key:>3} ", "$text-accent bold"), (words.ljust(25), "")) for key, words in _KEYS]
        lines += [Content.assemble(*pairs[start : start + 2]) for start in range(0, len(pairs), 2)]
        self._words.update(Content("\n").join(lines))

    @staticmethod
    def _about(link: Link) -> Content:
        if link.state == "failed" and link.error is not None:
            words = f"{link.error.message}. {link.error.remedy}"
            return Content.styled(form.line(words), "$text-error")
        name = form.line(link.describe_model(), 40)
        if not link.model:
            return Content.styled(
                f"{name} is being loaded; write already, it is sent when it can be.", "$foreground 60%"
            )
        if link.model.get("random_weights"):
            return Content.styled(f"{name}: weights are random, it says nothing sensible.", "$text-warning")
        if link.model_name == "starter":
            words = "The starter is a tiny model that knows a tiny world; F4 offers real ones."
            return Content.styled(words, "$foreground 60%")
        millions = link.model.get("parameters", 0) / 1e6
        facts = f"{millions:,.0f} million parameters, reads {link.model.get('context', 0):,} tokens"
        return Content.styled(f"{name}: {facts}.", "$foreground 60%")

    @staticmethod
    def _mode(mode: dict[str, object], current: str) -> Content:
        name, chosen = str(mode.get("name")), mode.get("name") == current
        if not mode.get("available", True):
            why = form.line(str(mode.get("reason") or "not available"), 60)
            return Content.styled(f"  {name:<9}{why}", "$foreground 40%")
        mark = "▸ " if chosen else "  "
        style = "$text-primary bold" if chosen else "$foreground"
        summary = form.line(str(mode.get("summary") or ""), 60)
        return Content.assemble((f"{mark}{name:<9}", style), (summary, "$foreground 60%"))

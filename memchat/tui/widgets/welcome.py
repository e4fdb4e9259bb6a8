"""What an empty conversation shows: what this model is, how it remembers, and what one could say first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.content import Content
from textual.style import Style
from textual.widgets import Static

from memchat.tui import openers
from memchat.tui import text as form

if TYPE_CHECKING:
    from memchat.tui.link import Link

_LOGO = (
    "┏┳┓┏━╸┏┳┓┏━╸╻ ╻┏━┓╺┳╸",
    "┃┃┃┣╸ ┃┃┃┃  ┣━┫┣━┫ ┃ ",
    "╹ ╹┗━╸╹ ╹┗━╸╹ ╹╹ ╹ ╹ ",
)
_SLOGAN = "a chat: you choose how the model remembers, and watch it"
_WIDTH = 78
_MUTED = "$foreground 70%"
_KEY = "$text-accent bold"


class Welcome(Vertical):
    """The greeting; disappears with the first message. In a small terminal the logo goes first, then empty lines."""

    def __init__(self) -> None:
        self._words = Static("", markup=False)
        self._words.auto_links = False
        self._words.styles.max_width = _WIDTH
        self._parts: list[Content] = []
        self._offers: list[str] = []
        super().__init__(self._words, id="welcome")

    def fill(self, link: Link, offers: list[str]) -> None:
        """Say what is known by now, and what could be said: ``offers``."""
        logo = Content("\n").join([*(Content.styled(line, "$primary") for line in _LOGO), Content(_SLOGAN)])
        self._parts = [logo, self._about(link), Content("\n").join([self._mode(link), self._models(link)])]
        self._offers = offers
        self.on_resize()

    def on_resize(self) -> None:
        """Show as much as fits."""
        width, height = min(_WIDTH, self.size.width) or _WIDTH, self.size.height or 99  # not known before the layout
        parts = [*self._parts, *([self._openers(width)] if self._offers else [])]
        for gap, shown in (("\n\n", parts), ("\n\n", parts[1:]), ("\n", parts[1:])):
            words = Content(gap).join(shown)
            if words.get_height({}, width) <= height:
                break
        self._words.update(words)

    def _openers(self, width: int) -> Content:
        """The suggestions in one column, or in two; a click puts one into the input, too."""
        head = "Try: Ctrl+T writes one below, then the next; Enter sends it."
        cells = [
            Content.assemble((f"{number} ", _KEY), (form.line(text), "$foreground")).stylize(
                Style.from_meta({"@click": f"screen.act('suggest', '{number}')"})
            )
            for number, text in enumerate(self._offers, 1)
        ]
        column = max(cell.cell_length for cell in cells)
        across = 2 if 2 * column + 3 <= width else 1
        cells = [cell.pad_right(column - cell.cell_length) for cell in cells]
        rows = [Content("   ").join(cells[at : at + across]) for at in range(0, len(cells), across)]
        return Content("\n").join([Content.styled(head, _MUTED), *rows])

    @staticmethod
    def _about(link: Link) -> Content:
        if link.state == "failed" and link.error is not None:
            words = f"{link.error.message}. {link.error.remedy}"
            return Content.styled(form.line(words), "$text-error")
        name = form.line(link.describe_model(), 40)
        if link.model.get("random_weights"):
            return Content.styled(f"{name}: weights are random, it says nothing sensible.", "$text-warning")
        if link.model_name == "starter":
            return Content(f"{openers.STARTER} {openers.TOPICS}")
        if not link.model:
            return Content(f"{name} is being loaded; write already, it is sent when it can be. {openers.PRIVATE}")
        millions = link.model.get("parameters", 0) / 1e6
        facts = f"{millions:,.0f} million parameters, reads {link.model.get('context', 0):,} tokens"
        return Content(f"{name}: {facts}. {openers.PRIVATE}")

    @staticmethod
    def _mode(link: Link) -> Content:
        chosen = next((mode for mode in link.modes if mode.get("name") == link.memory), {})
        summary = form.line(str(chosen.get("summary") or ""), 100)
        return Content.assemble(
            ("Memory ", _MUTED), (form.line(link.memory, 16), "$text-primary bold"),
            (f": {summary}." if summary else ".", "$foreground"),
            (" F3", _KEY), (" changes it,", _MUTED), (" F6", _KEY), (" shows it.", _MUTED),
        )  # fmt: skip

    @staticmethod
    def _models(link: Link) -> Content:
        real = "A real model: " if link.model_name == "starter" else "Other models: "
        return Content.assemble(
            (real, _MUTED), ("F4", _KEY), (", or run memchat models list, memchat models recommend", _MUTED)
        )

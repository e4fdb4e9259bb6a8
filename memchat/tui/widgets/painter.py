"""Markdown and plain text painted into strips, in the colours of the current theme.

A reply is painted block by block (paragraph, list, fence), so that a growing one costs only its last block and a
finished one looks exactly as it did while it grew.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from io import StringIO
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

if TYPE_CHECKING:
    from rich.console import Console

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")
_LIST = re.compile(r"\s*([-*+]|\d{1,9}[.)])(\s|$)")
_HEADING = re.compile(r" {0,3}#{1,6}(\s|$)")
_REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s", re.MULTILINE)
_LONG_BLOCK = 6000
"""A block longer than this is painted as plain text: parsing it at every flush would be felt."""

CODE_THEMES = {
    "dracula": "dracula",
    "gruvbox": "gruvbox-dark",
    "monokai": "monokai",
    "nord": "nord",
    "solarized-dark": "solarized-dark",
    "solarized-light": "solarized-light",
}


@dataclass
class Blocks:
    """Splits Markdown into top-level blocks while it arrives; ``feed`` costs only what is new.

    ``done`` holds the finished blocks, ``tail`` the open one; ``fence`` is its fence marker while it is code.
    """

    done: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    partial: str = ""
    fence: str = ""

    def feed(self, text: str) -> None:
        *complete, self.partial = (self.partial + text).split("\n")
        for line in complete:
            self._take(line)

    def finish(self) -> None:
        """The text is over: the open block is finished as well."""
        if self.partial:
            self.feed("\n")
        self._close()

    @property
    def tail(self) -> str:
        return "\n".join([*self.lines, self.partial] if self.partial else self.lines).rstrip("\n")

    def _take(self, line: str) -> None:
        marker = _FENCE.fullmatch(line)
        if self.fence:
            self.lines.append(line)
            if marker and marker[1].startswith(self.fence) and not marker[2].strip():
                self.fence = ""
                self._close()
        elif marker and not (marker[1][0] == "`" and "`" in marker[2]):
            self._close()
            self.lines.append(line)
            self.fence = marker[1]
        elif not line.strip():
            self.lines.append(line)
        else:
            if self._starts_block(line):
                self._close()
            self.lines.append(line)

    def _starts_block(self, line: str) -> bool:
        if _HEADING.match(line) or (self.lines and _HEADING.match(self.lines[0])):
            return True
        if not self.lines or self.lines[-1].strip():
            return False
        in_list = next((_LIST.match(seen) for seen in self.lines if seen.strip()), None)
        return not (in_list and (line.startswith("  ") or _LIST.match(line)))

    def _close(self) -> None:
        if any(line.strip() for line in self.lines):
            self.done.append("\n".join(self.lines).strip("\n"))
        self.lines.clear()


def has_references(source: str) -> bool:
    """Whether links may refer from one block to another."""
    return _REFERENCE.search(source) is not None


def split(source: str) -> list[str]:
    """The top-level blocks of finished Markdown; one block when links refer across blocks."""
    if has_references(source):
        return [source]
    blocks = Blocks()
    blocks.feed(source)
    blocks.finish()
    return blocks.done


def trimmed(strips: list[Strip]) -> list[Strip]:
    """Without the empty lines at both ends."""
    full = [number for number, strip in enumerate(strips) if strip.text.strip() or _coloured(strip)]
    return strips[full[0] : full[-1] + 1] if full else []


def _coloured(strip: Strip) -> bool:
    return any(segment.style is not None and segment.style.bgcolor is not None for segment in strip)


class Painter:
    """Paints text for one theme.

    Args:
        styles: Rich styles by name: text, h1 ... h6, code, code_block, quote, link, bullet, rule, strong, muted.
        code_theme: a Pygments style.
    """

    def __init__(self, styles: dict[str, Style], code_theme: str) -> None:
        self.styles = styles
        self.code_theme = code_theme

    def markdown(self, block: str, width: int) -> list[Strip]:
        """One block as strips of at most ``width`` cells."""
        if len(block) > _LONG_BLOCK and not _FENCE.match(block):
            return self.plain(block, width)
        from memchat.tui.widgets.markdown import ChatMarkdown

        try:
            rendered = self._render(ChatMarkdown(block, code_theme=self.code_theme), width)
        except Exception:
            # Text from a model must never take the interface down, whatever the parser makes of it.
            return self.plain(block, width)
        return trimmed(rendered) or self.plain(block, width)

    def open_fence(self, lines: Iterable[str], width: int) -> list[Strip]:
        """Lines of code whose fence is still open: no highlighting yet."""
        style = self.styles["code_block"]
        return [strip for line in lines for strip in self._boxed(line, width, style)]

    def plain(self, text: str, width: int, style: Style | None = None) -> list[Strip]:
        """Text as it stands, wrapped."""
        from rich.text import Text

        return self._render(Text(text, style=style or self.styles["text"], overflow="fold"), width)

    def _boxed(self, line: str, width: int, style: Style) -> list[Strip]:
        edge = Segment(" ", style)
        if cell_len(line) <= width - 2:
            return [Strip([edge, Segment(line, style)]).extend_cell_length(width, style)]
        inner = self.plain(line, max(1, width - 2), style)
        return [Strip([edge, *strip]).extend_cell_length(width, style) for strip in inner]

    def _render(self, renderable: Any, width: int) -> list[Strip]:
        options = self._console.options.update(width=max(4, width), height=None)
        lines = self._console.render_lines(renderable, options, pad=False, new_lines=False)
        return [Strip(line) for line in lines]

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console
        from rich.theme import Theme

        styles = {name: self.styles[name] for name in self.styles}
        theme = {f"markdown.h{level}": styles[f"h{min(level, 4)}"] for level in range(1, 8)} | {
            "markdown.code": styles["code"],
            "markdown.code_block": styles["code_block"],
            "markdown.block_quote": styles["quote"],
            "markdown.link": styles["link"],
            "markdown.link_url": styles["muted"],
            "markdown.item.bullet": styles["bullet"],
            "markdown.item.number": styles["bullet"],
            "markdown.hr": styles["rule"],
            "markdown.table.border": styles["rule"],
            "markdown.table.header": styles["strong"],
        }
        return Console(
            file=StringIO(), force_terminal=True, color_system="truecolor", markup=False, emoji=False,
            highlight=False, legacy_windows=False, theme=Theme(theme),
        )  # fmt: skip

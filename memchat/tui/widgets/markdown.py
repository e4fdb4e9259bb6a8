"""Rich's Markdown as a chat wants it: line breaks kept, HTML shown instead of swallowed, quiet headings and code."""

from __future__ import annotations

from typing import Any, ClassVar

from markdown_it import MarkdownIt
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, HorizontalRule, ImageItem, Markdown, MarkdownElement
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

_PARSER = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")
_LONG_CODE = 20_000
"""Code beyond this many characters is not highlighted."""


class _Code(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        code = str(self.text).rstrip("\n")
        style = console.get_style("markdown.code_block", default="none")
        background = style.bgcolor.name if style.bgcolor else "default"
        lexer = self.lexer_name if len(code) <= _LONG_CODE else "text"
        syntax = Syntax(code, lexer, theme=self.theme, word_wrap=True, padding=(0, 1), background_color=background)
        yield syntax


class _Heading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self.text


class _Rule(HorizontalRule):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(style=console.get_style("markdown.hr", default="none"), characters="─")


class _Image(ImageItem):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text.assemble("[", self.text or "image", f"] ({self.destination})", end="")


class ChatMarkdown(Markdown):
    """Markdown whose text comes from a model."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = Markdown.elements | {
        "fence": _Code,
        "code_block": _Code,
        "heading_open": _Heading,
        "hr": _Rule,
        "image": _Image,
    }

    def __init__(self, markup: str, code_theme: str) -> None:
        self.markup = markup
        self.parsed = _PARSER.parse(markup)
        self.code_theme = self.inline_code_theme = code_theme
        self.justify = None
        self.style = "none"
        self.hyperlinks = False
        self.inline_code_lexer = None
        _keep_breaks(self.parsed)


def _keep_breaks(tokens: list[Any]) -> None:
    """In a chat a line break is meant."""
    for token in tokens:
        for child in token.children or ():
            if child.type == "softbreak":
                child.type = "hardbreak"

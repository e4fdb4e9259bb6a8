"""F1: every key and every command, from the table of actions."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import Static

from memchat.tui.actions import ACTIONS, key_name
from memchat.tui.screens.dialog import Dialog

_INPUT = (
    ("Enter", "send (Ctrl+J where the setting ui.enter_sends is false)"),
    ("Shift+Enter Alt+Enter ^j", "a new line"),
    ("↑ ↓", "at the edges: earlier prompts"),
    ("← →", "in an empty input: versions of the last reply"),
    ("PgUp PgDn", "scroll the conversation"),
    ("Tab", "to the conversation, to the inspector, and back"),
    ("Esc", "stop the reply; else back to the input"),
    ("^c", "copy the selection; else stop; twice: quit"),
    ("//", "a message that begins with a slash"),
)


class HelpScreen(Dialog):
    """Keys and commands."""

    heading = "Help"

    def inside(self) -> Any:
        with VerticalScroll(id="help"):
            yield Static(_page(), markup=False)


def _page() -> Content:
    lines = [Content.styled("Input", "$text-primary bold")]
    lines += [_row(keys, words) for keys, words in _INPUT]
    for group, actions in groupby(ACTIONS, key=lambda action: action.group):
        lines += [Content(""), Content.styled(group, "$text-primary bold")]
        for action in actions:
            keys = " ".join(key_name(key) for key in action.keys)
            slash = f"/{action.slash[0]} {action.args}".rstrip() if action.slash else ""
            words = f"{action.title}: {action.help}" if action.help else action.title
            lines.append(_row(f"{keys:<7}{slash}", words))
    return Content("\n").join(lines)


def _row(left: str, words: str) -> Content:
    return Content.assemble((f"  {left:<32} ", "$text-accent"), (words, "$foreground"))

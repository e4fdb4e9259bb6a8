"""Text of messages for the clipboard."""

from __future__ import annotations

import re
from collections.abc import Sequence

from memchat.tui.entries import Entry


def code_blocks(text: str) -> list[str]:
    """The fenced code of a message."""
    return re.findall(r"^ {0,3}```[^\n]*\n(.*?)^ {0,3}```", text, re.MULTILINE | re.DOTALL)


def markdown(name: str, entries: Sequence[Entry]) -> str:
    """The conversation with a heading per message."""
    parts = [f"# {name or 'conversation'}"]
    parts += [f"## {entry.role}\n\n{entry.text}" for entry in entries]
    return "\n\n".join(parts) + "\n"


def file_name(name: str, kind: str) -> str:
    """A file name for a conversation."""
    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name).strip('-.') or 'conversation'}.{kind}"

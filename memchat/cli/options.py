"""Options that several commands share, and what they turn into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from memchat.errors import UsageError

if TYPE_CHECKING:
    from memchat.config import Settings

ModelOption = Annotated[
    str | None, typer.Option("--model", help="'starter', a folder, a hub id, or 'shape:<name>'.", show_default=False)
]
MemoryOption = Annotated[
    str | None, typer.Option("--memory", help="How the model remembers: full, window or none.", show_default=False)
]
SessionOption = Annotated[
    str | None, typer.Option("--session", help="Conversation to continue, or to begin.", show_default=False)
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Set KEY=VALUE, as in --set generation.temperature=0.8.")
]


def settings_from(model: str | None, memory: str | None, pairs: list[str] | None) -> Settings:
    """Settings with the command line's flags on top.

    Raises:
        UsageError: a pair without ``=``, an unknown key or memory mode, a bad value.
    """
    from memchat.config import load_settings
    from memchat.memory import registry

    overrides: dict[str, Any] = {}
    for pair in pairs or []:
        key, separator, value = pair.partition("=")
        if not separator:
            raise UsageError(f"--set {pair!r} has no '='", "Write --set key=value.")
        overrides[key.strip()] = value.strip()
    overrides |= {k: v for k, v in (("model", model), ("memory", memory)) if v is not None}
    settings = load_settings(overrides)
    registry.check(settings.memory)
    return settings


def open_tui(settings: Settings, session: str | None) -> int:
    """Run the terminal interface; its exit code."""
    from memchat.tui.app import run

    return run(settings, session)


def span(text: str | None, option: str) -> tuple[int, int] | None:
    """The two numbers of ``LOW-HIGH``; None for None.

    Raises:
        UsageError: it is no range of whole numbers above zero.
    """
    if text is None:
        return None
    low, _, high = text.partition("-")
    if not (low.isdecimal() and high.isdecimal() and 0 < int(low) <= int(high)):
        raise UsageError(f"{option} {text!r} is no range", f"Write two numbers, as in {option} 200-1600.")
    return int(low), int(high)

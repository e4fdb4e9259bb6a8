"""Calling a command group in this process."""

from __future__ import annotations

from typing import Any

from typer import Typer
from typer.testing import CliRunner, Result

from memchat.errors import MemchatError


def invoke(app: Typer, *words: str, **how: Any) -> Result:
    """Run a command; a MemchatError counts as what the main program makes of it."""
    result = CliRunner().invoke(app, words, **how)
    if isinstance(result.exception, MemchatError):
        result.exit_code = result.exception.exit_code
    elif result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result

"""The shipped texts: TOML files below `assets`, each read once."""

from __future__ import annotations

import tomllib
from functools import cache
from typing import Any

from memchat.errors import MemchatError
from memchat.paths import shipped


def _tuples(value: Any) -> Any:
    """The value with tuples in place of lists, so that lists of patterns can be remembered."""
    if isinstance(value, dict):
        return {key: _tuples(inner) for key, inner in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


@cache
def texts(name: str, folder: str = "world") -> dict[str, Any]:
    """The tables of `assets/<folder>/<name>.toml`; lists are tuples. Callers must not change them.

    Raises:
        MemchatError: the file is missing or no TOML.
    """
    path = shipped("assets", folder, f"{name}.toml")
    try:
        found: dict[str, Any] = _tuples(tomllib.loads(path.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise MemchatError(f"cannot read {path}: {error}", "Install memchat again.") from error
    return found

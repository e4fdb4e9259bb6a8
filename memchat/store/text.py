"""Text as the store keeps it: valid Unicode, names that fit on a line, previews safe for a terminal."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime
from typing import Any

from memchat.errors import UsageError

NAME_LENGTH = 120

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""C0 and C1 controls, line separators and bidirectional overrides: a terminal or a table would obey them."""


def storable(text: str) -> str:
    """``text`` as valid Unicode: surrogate pairs are joined, lone ones become U+FFFD, the rest stays."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def one_line(text: str, limit: int = 200) -> str:
    """The beginning of ``text`` for a list: white space collapsed, control characters gone."""
    line = " ".join(_CONTROL.sub(" ", storable(text[: 4 * limit])).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def tidy_name(name: str) -> str:
    """A session name as it is stored.

    Raises:
        UsageError: nothing is left of it, or it is too long.
    """
    tidy = " ".join(_CONTROL.sub(" ", storable(name)).split())
    if not tidy:
        raise UsageError("a session needs a name", "Give it at least one visible character.")
    if len(tidy) > NAME_LENGTH:
        raise UsageError(f"the name {tidy[:30] + '…'!r} is too long", f"Use at most {NAME_LENGTH} characters.")
    return tidy


def is_time(text: str) -> bool:
    """Whether ``text`` is an ISO 8601 date or time."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def dump_meta(meta: dict[str, Any] | None) -> str:
    """``meta`` as JSON that every reader accepts: NaN and infinity become null."""
    try:
        text = json.dumps(meta or {}, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_finite(meta), ensure_ascii=False, allow_nan=False)
    return storable(text)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value

"""Text for the eye: untrusted characters made harmless, figures in fixed short forms."""

from __future__ import annotations

import re
from datetime import datetime

DASH = "–"
"""Shown for a figure that is not known; never a zero."""

# Control characters, bidirectional overrides, line separators, lone surrogates: they would reach the terminal.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff\ud800-\udfff]"
)


def _stand_in(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 32 else "\u2421" if code == 127 else "\ufffd"


def safe(text: str) -> str:
    """``text`` with everything that could move the cursor or turn the line around replaced by a visible sign."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    return _UNSAFE.sub(_stand_in, text)


def line(text: str, limit: int = 200) -> str:
    """``text`` as one safe line of at most ``limit`` characters."""
    flat = " ".join(safe(text[: limit * 4]).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def count(number: float | None) -> str:
    """A number in at most five characters: 412, 9.8k, 1.24M."""
    if number is None:
        return DASH
    if number < 1000:
        return f"{number:.0f}"
    if number < 1_000_000:
        return f"{number / 1000:.1f}k" if number < 99_950 else f"{number / 1000:.0f}k"
    return f"{number / 1_000_000:.2f}M" if number < 1e9 else f"{number / 1e9:.2f}G"


def size(nbytes: float | None) -> str:
    """Bytes with a binary unit: 12.6 MiB."""
    if nbytes is None:
        return DASH
    value, unit = float(nbytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"


def seconds(ms: float | None) -> str:
    """Milliseconds as seconds: 0.31 s."""
    if ms is None:
        return DASH
    return f"{ms / 1000:.2f} s" if ms < 10_000 else f"{ms / 1000:.0f} s"


def rate(tokens_per_s: float | None) -> str:
    """Tokens per second."""
    return f"{DASH} tok/s" if tokens_per_s is None else f"{tokens_per_s:.1f} tok/s"


def clock(at: str | None) -> str:
    """An ISO time as local hours and minutes, with the day when it is not today; empty when it is no time."""
    try:
        moment = datetime.fromisoformat(at or "").astimezone()
    except (ValueError, OverflowError, OSError):
        return ""
    same_day = moment.date() == datetime.now().astimezone().date()
    return f"{moment:%H:%M}" if same_day else f"{moment:%d %b %H:%M}"


def bar(share: float, width: int, full: str = "█", empty: str = "░") -> str:
    """A bar of ``width`` cells, ``share`` of them filled; anything above zero shows."""
    filled = round(max(0.0, min(1.0, share)) * width)
    if share > 0 and width:
        filled = max(1, filled)
    return full * filled + empty * (width - filled)


def plural(number: int, word: str) -> str:
    """``1 message``, ``2 messages``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"

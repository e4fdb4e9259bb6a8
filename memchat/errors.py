"""The one exception that is meant for the user's eyes."""

from __future__ import annotations


class MemchatError(Exception):
    """Something the user can understand and mend.

    Shown as one line, ``message``, followed by ``remedy``; never as a traceback. Bugs are other exceptions.

    Args:
        message: what went wrong, one sentence without a full stop at the end.
        remedy: what to do about it; a command where there is one.
        exit_code: the process' exit code when nothing catches it: 1 failed, 2 wrong usage.
    """

    def __init__(self, message: str, remedy: str = "", *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}" if self.remedy else self.message


class UsageError(MemchatError):
    """The command was called in a way that cannot work (exit code 2)."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message, remedy, exit_code=2)


def unknown(kind: str, given: str, known: list[str], remedy: str = "") -> UsageError:
    """An error for a name that does not exist, with the nearest one that does."""
    from difflib import get_close_matches

    near = get_close_matches(given, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose one of: {', '.join(known)}"
    return UsageError(f"unknown {kind} {given!r}", f"{hint[0].upper()}{hint[1:]} {remedy}".strip())

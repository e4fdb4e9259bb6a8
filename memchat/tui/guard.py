"""The screen is protected from what native code writes to file descriptor 2, logs are kept short, and nothing runs on
without its terminal."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from memchat import paths

_LIMIT = 2 << 20


def engine_log() -> Path:
    """Where the engine process' stderr goes."""
    return paths.state_dir() / "engine.log"


def open_log(path: Path) -> BinaryIO:
    """The log open for appending; a log above 2 MiB is moved aside first. Unwritable: the output is dropped."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > _LIMIT:
            path.replace(path.with_suffix(".1.log"))
        return path.open("ab")
    except OSError:
        return Path(os.devnull).open("ab")


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 200 * lines))
            return file.read().decode("utf-8", "replace").splitlines()[-lines:]
    except OSError:
        return []


@contextlib.contextmanager
def guard_stderr(path: Path) -> Iterator[None]:
    """Send file descriptor 2 to a log while the interface, which draws on ``sys.__stderr__``, keeps the terminal."""
    saved, original = sys.__stderr__, sys.stderr
    if saved is not None:
        saved.flush()
    former, terminal = os.dup(2), os.dup(2 if os.isatty(2) else 1)
    with open_log(path) as log, os.fdopen(terminal, "w", encoding="utf-8", errors="replace") as screen:
        os.dup2(log.fileno(), 2)
        sys.__stderr__ = screen  # type: ignore[misc]
        try:
            yield
        finally:
            sys.__stderr__, sys.stderr = saved, original  # type: ignore[misc]
            screen.flush()
            os.dup2(former, 2)
            os.close(former)


def leave_with_terminal() -> None:
    """End this process when its terminal is closed, even if a parent (make, for one) keeps the hangup to itself.

    What was typed and said is in the store already, and the engine process ends with its pipe.
    """
    if not hasattr(select, "poll") or not os.isatty(0):
        return
    poll = select.poll()
    poll.register(0, 0)  # nothing but the hangup is waited for

    def watch() -> None:
        if any(event & select.POLLHUP for _, event in poll.poll()):
            os.kill(os.getpid(), signal.SIGHUP)

    threading.Thread(target=watch, name="terminal", daemon=True).start()

"""Which process has a session open, and which process streams a reply.

A lease blocks nobody: because turns form a tree, two writers cannot harm each other, so it is enough to say
that there are two. A process is known by its id *and* its start time; leases of dead ones are taken over.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from functools import lru_cache

from memchat.errors import MemchatError
from memchat.store.connection import Connection, now

_SAME_START = 2.0
"""Seconds by which two readings of one start time may differ (the clock is adjusted meanwhile)."""


def this_process() -> str:
    """Identity of the running process, as ``<pid>@<start time>``."""
    return _identity(os.getpid())


@lru_cache(maxsize=4)
def _identity(pid: int) -> str:
    import psutil

    return f"{pid}@{psutil.Process(pid).create_time():.2f}"


def pid_of(process: str) -> int:
    return int(process.partition("@")[0])


def is_alive(process: str) -> bool:
    """Whether the process of this identity still runs; a program that got its pid since does not count."""
    import psutil

    pid, _, started = process.partition("@")
    try:
        found = psutil.Process(int(pid))
        same = abs(found.create_time() - float(started)) < _SAME_START
        return same and found.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:  # it is there, but we may not ask about it
        return True


class Lease:
    """Held while a session is open; a context manager.

    Attributes:
        session: id of the session.
        other: (pid, since) of another live process that had it open when this lease was taken, or None.
    """

    def __init__(self, session: str, other: tuple[int, str] | None, release: Callable[[], None]) -> None:
        self.session = session
        self.other = other
        self._release = release

    def close(self) -> None:
        """Give the lease back. Never fails: one that stays behind is taken over when the process is gone."""
        with contextlib.suppress(MemchatError):
            self._release()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class LeaseTable(Connection):
    """Queries over leases."""

    def open_elsewhere(self, session: str) -> tuple[int, str] | None:
        """(pid, since) of another live process that has the session (its id) open, or None."""
        rows = self._read("SELECT process, since FROM leases WHERE session = ? ORDER BY id", (session,))
        for process, since in rows:
            if process != this_process() and is_alive(process):
                return pid_of(process), since
        return None

    def _take_lease(self, session: str) -> Lease:
        with self._write() as db:
            known = db.execute("SELECT DISTINCT process FROM leases").fetchall()
            dead = [(process,) for (process,) in known if not is_alive(process)]
            db.executemany("DELETE FROM leases WHERE process = ?", dead)
            sql = "INSERT INTO leases (session, process, since) VALUES (?, ?, ?)"
            lease = db.execute(sql, (session, this_process(), now())).lastrowid
        return Lease(session, self.open_elsewhere(session), lambda: self._drop_lease(lease))

    def _drop_lease(self, lease: int | None) -> None:
        if self._db is None:  # the store was closed first
            return
        with self._write() as db:
            db.execute("DELETE FROM leases WHERE id = ?", (lease,))

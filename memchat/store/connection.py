"""The SQLite file itself: opening it safely, transactions, and errors that a user can mend.

One connection, guarded by a lock: a store may be used from any thread. Processes share the file through
SQLite's write-ahead log, so readers never wait for the writer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from memchat import paths
from memchat.errors import MemchatError
from memchat.store import migrations

BUSY_SECONDS = 10.0
"""How long a write waits for another process before it gives up."""

_SMALLEST = 512
"""Bytes of the smallest page, and so of the smallest database."""


def now() -> str:
    """This moment as ISO 8601 in UTC, of constant width, so that text order is time order."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Connection:
    """Base of the store: ``_read`` and ``_write`` are all that the queries use.

    A read-only connection to a file that does not exist yet answers like an empty store and finds the file as
    soon as another process has made it.

    Raises:
        MemchatError: the file cannot be opened, is damaged, foreign, or written by a newer memchat.
    """

    def __init__(self, path: Path | None = None, *, read_only: bool = False) -> None:
        self.file = path or paths.store_path()
        self.read_only = read_only
        self._lock = threading.RLock()
        self._depth = 0
        self._db: sqlite3.Connection | None = None
        self._closed = False
        with self._lock, self._explained():
            if read_only:
                self._look()
            else:
                self._db = _open_writer(self.file)

    def close(self) -> None:
        """Release the file; may be called twice."""
        with self._lock:
            self._closed = True
            if self._db is not None:
                self._db.close()
                self._db = None

    def _look(self) -> None:
        """Connect a read-only store once there is something to read."""
        if self._db is None and not self._closed and self.file.exists():
            self._db = _open_reader(self.file)

    def _read(self, sql: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[Any]:
        """All rows of a query."""
        with self._lock, self._explained():
            if self.read_only:
                self._look()
                if self._db is None and not self._closed:
                    return []
            return self._open_db().execute(sql, values).fetchall()

    @contextlib.contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        """A write transaction, durable when the block has ended; one inside another joins it."""
        if self.read_only:
            raise RuntimeError("this store was opened read only")
        with self._lock, self._explained():
            db, depth = self._open_db(), self._depth
            if depth == 0 and db.in_transaction:  # left behind by an interrupt between two statements
                db.execute("ROLLBACK")
            try:
                if depth == 0:
                    db.execute("BEGIN IMMEDIATE")
                self._depth = depth + 1
                yield db
                self._depth = depth
                if depth == 0:
                    db.execute("COMMIT")
            except BaseException:
                self._depth = depth
                if depth == 0 and db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """All writes inside become durable together at the end, or, after an exception, not at all."""
        with self._write():
            yield

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise RuntimeError("this store is closed")
        return self._db

    def _scrub(self) -> None:
        """Take what was erased off the disk; where another process is in the way it stays until the next time.

        ``secure_delete`` alone leaves remains: balancing the tree copies rows between pages without wiping them.
        """
        if self._depth:  # inside a batch: not durable yet
            return
        with contextlib.suppress(MemchatError):
            self._read("VACUUM")
            self._read("PRAGMA wal_checkpoint(TRUNCATE)")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what a user can cause into a MemchatError; anything else is a bug and passes."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            explained = explain(error, self.file)
            if explained is None:
                raise
            raise explained from error


def _open_writer(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():  # private from the first byte; SQLite gives its log the same permissions
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    if not os.access(path, os.W_OK):  # SQLite would open it and refuse the first message
        raise PermissionError(errno.EACCES, "it cannot be written", str(path))
    db = _connect(path, "mode=rw")
    try:
        _check(db, path)  # before anything is written
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
            db.execute(f"PRAGMA {pragma}").fetchall()
        if _check(db, path) != migrations.NAMES:
            migrations.upgrade(db)
    except BaseException:
        db.close()
        raise
    return db


def _open_reader(path: Path) -> sqlite3.Connection | None:
    """A connection that cannot write, or None while another process is still making the file."""
    db = _connect(path, "mode=ro")
    try:
        try:
            names = _check(db, path)
        except sqlite3.OperationalError:
            log = Path(f"{path}-wal")
            if not path.is_file() or os.access(path.parent, os.W_OK) or (log.exists() and log.stat().st_size):
                raise
            db.close()  # where the folder cannot be written there is no place for a log, and no need of one
            db = _connect(path, "immutable=1")
            names = _check(db, path)
        if names and names != migrations.NAMES:  # written by an older memchat: bring it up to date first
            db.close()
            _open_writer(path).close()
            db = _connect(path, "mode=ro")
    except BaseException:
        db.close()
        raise
    if not names:
        db.close()
        return None
    return db


def _connect(path: Path, how: str) -> sqlite3.Connection:
    if path.is_file() and 0 < path.stat().st_size < _SMALLEST:  # SQLite would take it for an empty file
        message, remedy = _MISHAPS[sqlite3.SQLITE_NOTADB]
        raise MemchatError(message.format(path=path), remedy)
    uri = f"{path.absolute().as_uri()}?{how}"
    db = sqlite3.connect(
        uri,
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=64,
    )
    db.create_function("casefold", 1, lambda text: text.casefold(), deterministic=True)
    return db


def _check(db: sqlite3.Connection, path: Path) -> list[str]:
    """The migrations that the file has seen."""
    names = migrations.applied(db)
    elsewhere = "set MEMCHAT_HOME to another folder."
    if names is None:
        raise MemchatError(f"{path} is the database of another program", f"Move it away, or {elsewhere}")
    if not set(names) <= set(migrations.NAMES):
        raise MemchatError(f"{path} was written by a newer memchat", f"Update memchat, or {elsewhere}")
    return names


def explain(error: sqlite3.Error | OSError, path: Path) -> MemchatError | None:
    """The error as something a user can mend, or None for a bug."""
    if isinstance(error, OSError):
        return MemchatError(f"cannot open {path}: {error.strerror}", "Check the folder, or set MEMCHAT_HOME.")
    message, remedy = _MISHAPS.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, ("", ""))
    return MemchatError(message.format(path=path), remedy.format(path=path)) if message else None


_ACCESS = "Check its permissions and those of its folder."
_MISHAPS = {
    sqlite3.SQLITE_FULL: ("the disk is full", "Free some space; everything stored before is safe."),
    sqlite3.SQLITE_IOERR: (
        "the disk failed to read or write {path}",
        "Check the disk and its free space; everything stored before is safe.",
    ),
    sqlite3.SQLITE_READONLY: ("{path} cannot be written", _ACCESS),
    sqlite3.SQLITE_CANTOPEN: ("cannot open {path}", _ACCESS),
    sqlite3.SQLITE_PERM: ("cannot open {path}", _ACCESS),
    sqlite3.SQLITE_BUSY: (
        f"{{path}} has been locked by another program for {BUSY_SECONDS:g} s",
        "Close the other program and try again.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "{path} is damaged",
        "Move it away, then save what can be read: sqlite3 MOVED .recover | sqlite3 {path}",
    ),
    sqlite3.SQLITE_NOTADB: (
        "{path} is not a memchat store",
        "Move it away, or set MEMCHAT_HOME to another folder.",
    ),
    sqlite3.SQLITE_TOOBIG: ("this text is too long to be stored", "Keep it below a gigabyte."),
}
"""Result codes of SQLite that are no bugs: what to say, and what to do."""

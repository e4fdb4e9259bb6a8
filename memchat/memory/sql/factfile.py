"""The SQLite file of the facts: opening it safely, one writer, backups, and what to do when it is damaged.

Beside `facts.db` stand `facts.backup-<time>.db` (the last three), `facts.damaged-<time>.db` (a file that could not be
read, kept for rescue) and `facts.export-<time>.jsonl` (made before a reset).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from memchat.errors import MemchatError
from memchat.memory.sql import schema
from memchat.store.connection import explain, now
from memchat.store.leases import is_alive, pid_of, this_process

BUSY_SECONDS = 5.0
"""How long a write waits for another process before it gives up."""

KEEP_BACKUPS = 3


class FactFile:
    """A connection to the file, behind a lock: usable from any thread.

    One process writes at a time. While another one does, or when only a backup could be read, the file is open
    read only and `notice` says why, in a line for the user.

    Attributes:
        path: the file that was asked for.
        read_only: whether facts can only be read.
        notice: empty, or one line for the user.

    Raises:
        MemchatError: the file cannot be opened, is foreign or from a newer memchat; or it is damaged (or gone) and
            there is no backup.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.notice = ""
        self._lock = threading.RLock()
        self._token = f"{this_process()}#{uuid.uuid4().hex[:8]}"
        self._db: sqlite3.Connection | None = None
        with self._explained():
            self._db = self._open()

    # --- opening and closing

    def _open(self) -> sqlite3.Connection:
        if not self.read_only:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        size = self.path.stat().st_size if self.path.exists() else None
        if size is None and (self.read_only or self.backups()):
            return self._open_backup(f"{self.path} is not there")
        try:
            if size is not None and size < 512 and (size or self.backups()):  # SQLite would take it for a new file
                raise sqlite3.DatabaseError("cut off")
            return self._connect(self.path, writable=not self.read_only)
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
            if code not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise
        if self.read_only:
            return self._open_backup(f"{self.path} is damaged")
        kept = self._beside("damaged", ".db")
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").replace(f"{kept}{suffix}")
        return self._open_backup(f"{self.path} was damaged and is kept as {kept.name}")

    def _open_backup(self, reason: str) -> sqlite3.Connection:
        self.read_only = True
        for backup in reversed(self.backups()):
            with contextlib.suppress(sqlite3.DatabaseError):
                db = self._connect(backup, writable=False)
                self.notice = f"{reason}; its backup {backup.name} is open read only until you restore it"
                return db
        raise MemchatError(reason, "There is no backup; the next start begins with an empty memory.")

    def _connect(self, path: Path, *, writable: bool) -> sqlite3.Connection:
        """Open and check a file; as its writer unless another process is that already."""
        if writable and not path.exists():  # private from the first byte; SQLite gives its log the same permissions
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        db = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode={'rw' if writable else 'ro'}",
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            if not _check(db, path) and not writable:
                raise MemchatError(f"{path} holds no facts yet", "Open it for writing first.")
            if writable:
                for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON"):
                    db.execute(f"PRAGMA {pragma}").fetchall()
                other = self._claim(db)
                if other:
                    db.close()
                    self.read_only = True
                    self.notice = f"the facts are open in another memchat (process {other}); here they are read only"
                    return self._connect(path, writable=False)
        except BaseException:
            db.close()
            raise
        return db

    def _claim(self, db: sqlite3.Connection) -> int | None:
        """Become the writer, with tables made where the file is new; or the id of the process that is."""
        db.execute("BEGIN IMMEDIATE")
        try:
            if not _tables(db):
                for statement in schema.TABLES.split("\n\n"):  # `executescript` would commit the open transaction
                    db.execute(statement)
                db.execute("INSERT INTO meta VALUES ('schema', ?)", (schema.VERSION,))
            found = db.execute("SELECT value FROM meta WHERE key = 'writer'").fetchone()
            process = found[0].partition("#")[0] if found else ""
            if process and process != this_process() and is_alive(process):
                db.execute("ROLLBACK")
                return pid_of(process)
            db.execute("INSERT OR REPLACE INTO meta VALUES ('writer', ?)", (self._token,))
            db.execute("INSERT INTO session (started_at) VALUES (?)", (now(),))
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise
        for part in self.path.parent.glob(f"{self.path.stem}.*.part*"):  # a backup that was cut off, and its journal
            part.unlink(missing_ok=True)
        return None

    def close(self, exit_kind: str = "closed") -> None:
        """Back up what is new and release the file; `exit_kind` is recorded. May be called twice."""
        with self._lock:
            if self._db is None:
                return
            try:
                if not self.read_only:
                    self._leave(exit_kind)
            finally:
                self._db.close()
                self._db = None

    def _leave(self, exit_kind: str) -> None:
        with self.write() as db:
            db.execute("DELETE FROM meta WHERE key = 'writer' AND value = ?", (self._token,))
            sql = "UPDATE session SET ended_at = ?, exit_kind = ? WHERE id = (SELECT max(id) FROM session)"
            db.execute(sql, (now(), exit_kind))
        if self._newest_op() > self._backed_up():
            self.backup()
        self.read("PRAGMA wal_checkpoint(TRUNCATE)")

    def last_session(self) -> tuple[str, str | None] | None:
        """When the facts were used before now (its end, or its start where it was cut off), and how that ended."""
        sql = "SELECT coalesce(ended_at, started_at), exit_kind FROM session ORDER BY id DESC LIMIT 1 OFFSET ?"
        rows = self.read(sql, (0 if self.read_only else 1,))
        return rows[0] if rows else None

    # --- reading and writing

    def read(self, sql: str, values: tuple[object, ...] = ()) -> list[Any]:
        """All rows of a query of our own; never SQL that a model wrote."""
        with self._lock, self._explained():
            return self._open_db().execute(sql, values).fetchall()

    @contextlib.contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """A transaction, durable when the block has ended and undone when it raises. They do not nest.

        Raises:
            MemchatError: the file is open read only, locked by another process, or the disk is full.
        """
        if self.read_only:
            raise MemchatError("the facts are open read only", self.notice or "Open them for writing.")
        with self._lock, self._explained():
            db = self._open_db()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise RuntimeError("these facts are closed")
        return self._db

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what a user can cause into a MemchatError; anything else is a bug and passes."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                message = f"{self.path} has been locked by another program for {BUSY_SECONDS:g} s"
                raise MemchatError(message, "Close the other program and try again.") from error
            explained = explain(error, self.path)
            if explained is None:
                raise
            raise explained from error

    # --- backups and erasure

    def _beside(self, kind: str, suffix: str) -> Path:
        stamp = now()[:26].translate({ord(char): None for char in "-:.T"})
        return self.path.with_name(f"{self.path.stem}.{kind}-{stamp}{suffix}")

    def backups(self) -> list[Path]:
        """Whole copies of the file, oldest first."""
        return sorted(self.path.parent.glob(f"{self.path.stem}.backup-*.db"))

    def companions(self) -> list[Path]:
        """Backups, damaged files and automatic exports: everything beside the file that may hold its facts."""
        kinds = ("backup", "damaged", "export")
        return sorted(file for kind in kinds for file in self.path.parent.glob(f"{self.path.stem}.{kind}-*"))

    def export_path(self) -> Path:
        """Where an automatic export goes."""
        return self._beside("export", ".jsonl")

    def backup(self) -> Path:
        """Copy the file while it is in use, and drop all but the newest copies."""
        target = self._beside("backup", ".db")
        part = target.with_suffix(".part")
        with self._lock, self._explained():
            os.close(os.open(part, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600))
            copy = sqlite3.connect(part, isolation_level=None)
            try:
                self._open_db().backup(copy)
                copy.execute(
                    "PRAGMA journal_mode = DELETE"
                ).fetchall()  # one file, readable where nothing can be written
            finally:
                copy.close()
            with part.open("rb") as file:
                os.fsync(file.fileno())
            for old in self.backups()[: 1 - KEEP_BACKUPS]:  # before the new one comes, so that a kill leaves no more
                old.unlink(missing_ok=True)
            part.replace(target)
            if not self.read_only:
                sql = "INSERT OR REPLACE INTO meta VALUES ('backed_up', ?)"
                self._open_db().execute(sql, (self._newest_op(),))
        return target

    def _newest_op(self) -> int:
        return int(self.read("SELECT coalesce(max(id), 0) FROM op")[0][0])

    def _backed_up(self) -> int:
        """The last op that a backup holds."""
        return int(self.read("SELECT coalesce((SELECT value FROM meta WHERE key = 'backed_up'), 0)")[0][0])

    def scrub(self) -> bool:
        """Take what was erased off the disk; False where a reader is in the way: then the next start does it.

        `secure_delete` alone leaves remains: balancing the tree copies rows between pages without wiping them.
        """
        with contextlib.suppress(MemchatError):
            self.read("VACUUM")
            if not self.read("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]:
                self.read("DELETE FROM meta WHERE key = 'scrub'")
                return True
        return False


def restore(path: Path) -> Path:
    """Put the newest backup that can be read in the place of a file that is gone or damaged; returns the backup.

    Raises:
        MemchatError: the file is there (move it away first), or there is no readable backup.
    """
    if path.exists():
        raise MemchatError(f"{path} is there", "Move it away first; nothing is overwritten.")
    with contextlib.closing(FactFile(path, read_only=True)) as facts:
        (_, _, name), *_ = facts.read("PRAGMA database_list")
    part = path.with_suffix(".part")
    shutil.copyfile(name, part)
    part.chmod(0o600)
    part.replace(path)
    return Path(name)


def _tables(db: sqlite3.Connection) -> set[str]:
    return {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _check(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the tables are there.

    Raises:
        sqlite3.DatabaseError: the file is damaged.
        MemchatError: it is another program's, or from a newer memchat.
    """
    (result,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if result != "ok":
        raise sqlite3.DatabaseError(result)
    tables = _tables(db)
    if tables and not {"meta", "fact", "op"} <= tables:
        raise MemchatError(f"{path} is the database of another program", "Move it away.")
    if tables and db.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone()[0] > schema.VERSION:
        raise MemchatError(f"{path} was written by a newer memchat", "Update memchat.")
    return bool(tables)

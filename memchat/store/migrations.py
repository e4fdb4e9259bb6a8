"""The schema, as numbered steps from an empty file to today's tables.

A step that has been released never changes; a new one is added below. sqlite-utils runs them and records each
in its table. All that is pending runs in one transaction: an upgrade happens as a whole or not at all, also
when two processes open the same old file at the same moment.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlite_utils import Database

SET = "memchat"
"""The name under which sqlite-utils records our steps."""


def m0001_sessions_and_turns(db: Database) -> None:
    """Sessions, and their turns as trees. Ids are never reused: memories refer to turns by id."""
    db.execute("""
        CREATE TABLE sessions (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            created_at TEXT NOT NULL,
            updated_at TEXT NOT NULL,
            model TEXT NOT NULL,
            memory TEXT NOT NULL,
            system TEXT NOT NULL DEFAULT '',
            head INTEGER REFERENCES turns(id) ON DELETE SET NULL,
            parent TEXT -- where it was forked from; a note that may outlive that session, so no foreign key
        )""")
    db.execute("""
        CREATE TABLE turns (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            session TEXT NOT NULL REFERENCES sessions(id),
            parent INTEGER REFERENCES turns(id),
            depth INTEGER NOT NULL, -- 1 for a root: length of the branch without walking it
            role TEXT NOT NULL,
            content TEXT NOT NULL,
            at TEXT NOT NULL,
            status TEXT NOT NULL DEFAULT 'complete',
            name TEXT,
            meta TEXT NOT NULL DEFAULT '{}',
            writer TEXT -- the process that streams into this turn
        )""")
    db.execute("CREATE INDEX turns_by_parent ON turns(parent, session)")
    db.execute("CREATE INDEX turns_by_session ON turns(session, depth)")
    db.execute("CREATE INDEX turns_streaming ON turns(id) WHERE status = 'streaming'")
    db.execute("CREATE INDEX sessions_by_use ON sessions(updated_at)")
    db.execute("CREATE INDEX sessions_by_head ON sessions(head)")


def m0002_search(db: Database) -> None:
    """Full-text search over finished turns: a growing reply is indexed once, when it is done."""
    db.execute("""
        CREATE VIEW searchable AS
        SELECT id, session, content FROM turns WHERE status NOT IN ('streaming', 'forgotten')""")
    db.execute("""
        CREATE VIRTUAL TABLE turns_fts USING fts5(
            content, content='searchable', content_rowid='id', tokenize='unicode61 remove_diacritics 2'
        )""")
    db.execute("""
        CREATE TRIGGER turns_fts_insert AFTER INSERT ON turns
        WHEN new.status NOT IN ('streaming', 'forgotten') BEGIN
            INSERT INTO turns_fts(rowid, content) VALUES (new.id, new.content);
        END""")
    db.execute("""
        CREATE TRIGGER turns_fts_delete AFTER DELETE ON turns
        WHEN old.status NOT IN ('streaming', 'forgotten') BEGIN
            INSERT INTO turns_fts(turns_fts, rowid, content) VALUES ('delete', old.id, old.content);
        END""")
    # One trigger, so that the old text always goes before the new one comes.
    db.execute("""
        CREATE TRIGGER turns_fts_update AFTER UPDATE OF content, status ON turns
        WHEN new.status <> 'streaming' OR old.status <> 'streaming' BEGIN
            INSERT INTO turns_fts(turns_fts, rowid, content)
                SELECT 'delete', old.id, old.content WHERE old.status NOT IN ('streaming', 'forgotten');
            INSERT INTO turns_fts(rowid, content)
                SELECT new.id, new.content WHERE new.status NOT IN ('streaming', 'forgotten');
        END""")
    db.execute("INSERT INTO turns_fts(turns_fts) VALUES ('rebuild')")


def m0003_leases(db: Database) -> None:
    """Which process has which session open."""
    db.execute("""
        CREATE TABLE leases (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            session TEXT NOT NULL REFERENCES sessions(id) ON DELETE CASCADE,
            process TEXT NOT NULL,
            since TEXT NOT NULL
        )""")
    db.execute("CREATE INDEX leases_by_session ON leases(session)")


STEPS: list[Callable[[Database], None]] = [m0001_sessions_and_turns, m0002_search, m0003_leases]
NAMES = [step.__name__ for step in STEPS]


def applied(connection: sqlite3.Connection) -> list[str] | None:
    """Names of the steps that the file has seen; None when it holds tables that are not memchat's."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if "_sqlite_migrations" in tables:
        sql = "SELECT name FROM _sqlite_migrations WHERE migration_set = ? ORDER BY id"
        names = [row[0] for row in connection.execute(sql, (SET,))]
        if names:
            return names
    return None if tables else []


def upgrade(connection: sqlite3.Connection, steps: list[Callable[[Database], None]] | None = None) -> None:
    """Run the steps that the file has not seen yet. ``connection`` is in autocommit mode."""
    from sqlite_utils import Database  # loads numpy where it is installed: only when there is work to do
    from sqlite_utils.migrations import Migrations

    migrations = Migrations(SET)
    for step in STEPS if steps is None else steps:
        migrations()(step)
    connection.execute("BEGIN IMMEDIATE")
    try:
        migrations.apply(Database(connection, recursive_triggers=False, execute_plugins=False))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise

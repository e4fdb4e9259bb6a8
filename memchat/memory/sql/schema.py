"""The tables of the fact store.

A fact has two times: the world's (`valid_from`, `valid_to`) and ours (`recorded_at`, `retired_at`); at most one fact of
a cell is live. People and fields that were taken back stay as rows that are not live, so that ids are never reused.
The turns are in the turn log; `session` says only when the facts were open and how that ended.
"""

VERSION = 1
"""Stands in `meta`; a file of a higher one is refused."""

TABLES = """CREATE TABLE meta (key TEXT PRIMARY KEY, value);

CREATE TABLE session (id INTEGER PRIMARY KEY, started_at TEXT NOT NULL, ended_at TEXT, exit_kind TEXT);

CREATE TABLE person (
    id INTEGER PRIMARY KEY, relation TEXT NOT NULL CHECK (relation IN ('user', 'assistant', 'other')),
    display_name TEXT NOT NULL, name_source TEXT, turn_id INTEGER, created_at TEXT NOT NULL,
    live INTEGER NOT NULL DEFAULT 1);

CREATE UNIQUE INDEX one_of_each ON person(relation) WHERE live AND relation <> 'other';

CREATE TABLE alias (
    person_id INTEGER NOT NULL REFERENCES person(id), alias TEXT COLLATE NOCASE, PRIMARY KEY (person_id, alias));

CREATE TABLE field (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, merged_into INTEGER REFERENCES field(id),
    turn_id INTEGER, created_op INTEGER NOT NULL, live INTEGER NOT NULL DEFAULT 1);

CREATE UNIQUE INDEX one_name ON field(name) WHERE live;

CREATE TABLE fact (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- never reused: the editor tells by it whether a cell has changed
    person_id INTEGER NOT NULL REFERENCES person(id), field_id INTEGER NOT NULL REFERENCES field(id),
    value TEXT NOT NULL, valid_from TEXT NOT NULL, valid_to TEXT, recorded_at TEXT NOT NULL, retired_at TEXT,
    superseded_by INTEGER, source TEXT NOT NULL CHECK (source IN ('model', 'user_edit', 'import', 'rule')),
    turn_id INTEGER, op_id INTEGER NOT NULL, locked INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0);

CREATE UNIQUE INDEX one_live ON fact(person_id, field_id) WHERE retired_at IS NULL;

CREATE INDEX fact_by_cell ON fact(person_id, field_id);

CREATE INDEX fact_by_turn ON fact(turn_id) WHERE turn_id IS NOT NULL;

CREATE TABLE op (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, actor TEXT NOT NULL, turn_id INTEGER, at TEXT NOT NULL,
    raw_output TEXT NOT NULL, executed_sql TEXT NOT NULL, diff_json TEXT NOT NULL, status TEXT NOT NULL,
    error TEXT NOT NULL, adapter TEXT NOT NULL, ms REAL NOT NULL, target INTEGER, -- what an undo or redo is about
    salt TEXT NOT NULL, content_hash TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL,
    undone_by INTEGER, once TEXT UNIQUE, erased INTEGER NOT NULL DEFAULT 0);

CREATE INDEX op_by_turn ON op(turn_id) WHERE turn_id IS NOT NULL;

CREATE VIRTUAL TABLE fact_fts USING fts5(field, value, tokenize = 'porter unicode61');

CREATE TRIGGER fact_fts_insert AFTER INSERT ON fact WHEN new.retired_at IS NULL BEGIN
    INSERT INTO fact_fts(rowid, field, value) SELECT new.id, name, new.value FROM field WHERE id = new.field_id;
END;

CREATE TRIGGER fact_fts_retire AFTER UPDATE OF retired_at ON fact
WHEN old.retired_at IS NULL AND new.retired_at IS NOT NULL BEGIN
    DELETE FROM fact_fts WHERE rowid = old.id;
END;

CREATE TRIGGER fact_fts_delete AFTER DELETE ON fact WHEN old.retired_at IS NULL BEGIN
    DELETE FROM fact_fts WHERE rowid = old.id;
END;

CREATE TRIGGER fact_fts_rename AFTER UPDATE OF name ON field WHEN old.name <> new.name BEGIN
    UPDATE fact_fts SET field = new.name
    WHERE rowid IN (SELECT id FROM fact WHERE field_id = new.id AND retired_at IS NULL);
END;"""
"""Statements with empty lines between them."""

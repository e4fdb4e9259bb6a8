"""The sandbox of the SQL memory: every shape of SQL works, nothing can be destroyed, nothing made up is read."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from random import Random
from time import perf_counter, thread_time

import pytest

import memchat.memory
from memchat.data.grammar import SPLITS
from memchat.data.tasks import sql_table
from memchat.data.tasks.sql import retrieval_case, storage_case
from memchat.memory.sql.box import Box, RefusedError
from memchat.memory.sql.policy import judge
from memchat.memory.sql.sandbox import BYTES, ROWS, SELECTS, STATEMENTS, run_retrieval, run_storage, split
from memchat.memory.sql.table import Difference, Person, Table

PEOPLE = (Person(1, "user", "Brian", ("Bri",)), Person(2, "assistant", "Skye"), Person(3, "other", "Ana"))
CELLS = {
    (1, "job"): "baker", (1, "city"): "Paris", (2, "city"): "Rome", (2, "job"): "cook", (3, "city"): "Oslo",
    (1, "pet_name"): "Rex",
}  # fmt: skip
TABLE = Table(PEOPLE, ("job", "city", "pet_name", "favourite_food"), CELLS, {(1, "job"): "2024-01-02"})


def changes(sql: str, table: Table = TABLE, target: int = 1) -> dict[tuple[int, str], str | None]:
    return {(c.person, c.field): c.new for c in run_storage(sql, table, target).difference.changes}


def outcomes(sql: str) -> list[str]:
    return [statement.outcome for statement in run_storage(sql, TABLE, 1).statements]


def test_who_is_named_for_the_first_time_is_added() -> None:
    done = run_storage("UPDATE users SET job = 'pilot' WHERE name = 'O''Neil';", TABLE, 1)
    assert [(p.name, p.cells) for p in done.difference.people] == [("O'Neil", (("job", "pilot"),))]
    assert [s.outcome for s in done.statements] == ["repaired"] and not done.difference.changes
    for known in ("ana", "Bri", "me"):
        assert not run_storage(f"UPDATE users SET job = 'pilot' WHERE name = '{known}'", TABLE, 1).difference.people
    for more in ("WHERE name = 'Eve' AND city = 'Oslo'", "WHERE relation = 'friend'"):
        assert not run_storage(f"UPDATE users SET job = 'pilot' {more}", TABLE, 1).difference.people


# What the starter's agents are trained to write


def table_of(rows: Mapping[str, Mapping[str, str]], columns: list[str]) -> Table:
    people, cells = [], {}
    for i, (key, row) in enumerate(rows.items(), 1):
        people.append(Person(i, key if key in sql_table.SPEAKERS else "other", row["name"]))
        cells.update({(i, name): value for name, value in row.items() if name != "name"})
    return Table(tuple(people), tuple(columns), cells)


def test_statements_of_the_storage_task_do_what_the_task_says() -> None:
    for i in range(900):
        case = storage_case(SPLITS[i % 3], Random(f"sandbox {i}"), 200 + i % 900)
        before = table_of(case.before.rows, case.before.columns)
        execution = run_storage(case.sql, before, 1)
        assert {s.outcome for s in execution.statements} <= {"ok"}, execution.statements
        assert len(execution.statements) == (0 if case.sql == "NOOP" else case.sql.count("\n") + 1)
        found = execution.difference
        names = list(case.before.rows)
        rows = {key: dict(row) for key, row in case.before.rows.items()}
        for change in found.changes:
            row = rows[names[change.person - 1]]
            assert row.get(change.field) == change.old
            if change.new is None:
                del row[change.field]
            else:
                row[change.field] = change.new
        rows.update({p.name: {"name": p.name, **dict(p.cells)} for p in found.people})
        assert (rows, [*before.fields, *found.columns]) == (case.after.rows, case.after.columns)


def test_statements_of_the_retrieval_task_read_their_cells() -> None:
    for i in range(600):
        case = retrieval_case(SPLITS[i % 3], Random(f"sandbox {i}"), 200 + i % 900)
        table = table_of(case.before.rows, case.before.columns)
        read = run_retrieval(case.sql, table)
        ids = {key: n for n, key in enumerate(case.before.rows, 1)}
        same_name = {row["name"] for row in case.before.rows.values()}
        assert {s.outcome for s in read.statements} <= {"ok"}
        expected = {(ids[key], name) for key, name in case.reads}
        assert read.cells == expected or len(same_name) < len(ids)
        assert expected <= read.cells
        assert all(row.value == table.cells[row.person, row.field] for row in read.rows)


# Every shape of SQL


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE users SET job = 'vet' WHERE name = 'brian'", {(1, "job"): "vet"}),
        ("UPDATE users SET job = 'vet' WHERE id = 1;", {(1, "job"): "vet"}),
        ("update Users set Job = 'vet' where Relation = 'USER'", {(1, "job"): "vet"}),
        ("INSERT INTO users (name, relation, job) VALUES ('Brian', 'user', 'vet')", {(1, "job"): "vet"}),
        ("INSERT INTO users (name, job) VALUES ('bri', 'vet')", {(1, "job"): "vet"}),
        ("INSERT INTO users (id, job) VALUES (1, 'vet') ON CONFLICT(id) DO UPDATE SET job = excluded.job",
         {(1, "job"): "vet"}),
        ("INSERT INTO users (name, job) VALUES ('Brian', 'vet') ON CONFLICT(name) DO UPDATE SET job = excluded.job",
         {(1, "job"): "vet"}),
        ("INSERT INTO users (name, job) VALUES ('Brian', 'vet') ON CONFLICT(name) DO NOTHING", {}),
        ("UPDATE users SET job = CASE relation WHEN 'user' THEN 'vet' ELSE job END", {(1, "job"): "vet"}),
        ("UPDATE users SET (job, city) = ('vet', 'Rome') WHERE id = 1", {(1, "job"): "vet", (1, "city"): "Rome"}),
        ("UPDATE users SET job = upper(job) WHERE id = 1 RETURNING *", {(1, "job"): "BAKER"}),
        ("WITH x AS (SELECT 'vet' AS v) UPDATE users SET job = (SELECT v FROM x) WHERE id = 1", {(1, "job"): "vet"}),
        ("UPDATE users SET job = NULL WHERE id = 1", {(1, "job"): None}),
        ("UPDATE users SET job = '' WHERE id = 1", {(1, "job"): None}),
        ("UPDATE users SET job = 12 WHERE id = 1", {(1, "job"): "12"}),
        ("UPDATE users SET job = X'00' WHERE id = 1", {}),
        ("UPDATE users SET job = 'baker' WHERE id = 1", {}),
        ("UPDATE users SET name = 'Bob' WHERE relation = 'user'", {(1, "name"): "Bob"}),
        ("UPDATE users SET job = 'vet'", {(1, "job"): "vet", (2, "job"): "vet", (3, "job"): "vet"}),
        ("ALTER TABLE users ADD COLUMN age TEXT\nUPDATE users SET age = '9' WHERE id = 1", {(1, "age"): "9"}),
        ("UPDATE users SET age = '9' WHERE id = 1", {(1, "age"): "9"}),
        ("UPDATE users SET a_b = '1', \"c d\" = '2', job = 'x' WHERE id = 1",
         {(1, "a_b"): "1", (1, "c_d"): "2", (1, "job"): "x"}),
        ("INSERT INTO users (name, relation, age) VALUES ('Brian', 'user', 9)", {(1, "age"): "9"}),
        ("UPDATE users SET favorite_food = 'soup' WHERE id = 1", {(1, "favourite_food"): "soup"}),
        ("UPDATE users SET name_of_pet = NULL WHERE id = 1", {(1, "pet_name"): None}),
        ("UPDATE users SET job = 'vet' WHERE name = 'me'", {(1, "job"): "vet"}),
        ("UPDATE users SET job = 'vet' WHERE name = 'Bri'", {(1, "job"): "vet"}),
        ("UPDATE users SET job = 'vet' WHERE name = 'assistant'", {(2, "job"): "vet"}),
        ("UPDATE users SET job = 'vet' WHERE name = 'Nobody'", {}),
        ("UPDATE users SET job = coach WHERE id = 1", {}),
        ("UPDATE users SET job = 'I'm a vet' WHERE id = 1", {(1, "job"): "I'm a vet"}),
        ("DROP TABLE users; UPDATE users SET job = 'vet' WHERE id = 1; nonsense", {(1, "job"): "vet"}),
        ("INSERT INTO users (name, relation, city) VALUES ('ana', 'other', 'Rome')",
         {(3, "city"): "Rome"}),
        ("INSERT INTO users (name, relation, city) VALUES ('Skye', 'user', 'Rome')", {(1, "city"): "Rome"}),
        ("noop", {}), ("", {}), (";;;", {}),
    ],
)  # fmt: skip
def test_shapes(sql: str, expected: dict[tuple[int, str], str | None]) -> None:
    assert changes(sql) == expected


def test_new_people_are_told_apart_from_known_ones() -> None:
    sql = "INSERT INTO users (name, relation, job) VALUES ('Zed', 'friend', 'vet');"
    sql += "UPDATE users SET city = 'Rome' WHERE name = 'Zed'"
    found = run_storage(sql, TABLE, 1).difference
    assert [(p.name, p.relation, dict(p.cells)) for p in found.people] == [
        ("Zed", "other", {"job": "vet", "city": "Rome"})
    ]
    assert not found.changes
    same = "INSERT INTO users (name, relation, job) VALUES ('Brian', 'other', 'vet')"
    assert [p.name for p in run_storage(same, TABLE, 1).difference.people] == ["Brian"], "another Brian"


def test_a_merged_field_is_found_by_its_alias() -> None:
    found = run_storage("UPDATE users SET home_town = 'Rome' WHERE id = 1", TABLE, 1, {"home_town": "city"}).difference
    assert [(c.field, c.new) for c in found.changes] == [("city", "Rome")]
    assert not found.columns


def test_me_is_the_target() -> None:
    assert changes("UPDATE users SET job = 'vet' WHERE name = 'I'", target=2) == {(2, "job"): "vet"}
    named = Table((PEOPLE[0], Person(2, "assistant", "Me")), TABLE.fields)
    assert changes("UPDATE users SET job = 'vet' WHERE name = 'me'", named) == {(2, "job"): "vet"}


def test_what_happened_is_told() -> None:
    execution = run_storage("```\nUPDATE users SET job='I'm' WHERE id=1;\nDROP TABLE users;\nSELECT (;\n```", TABLE, 1)
    assert execution.repairs == ("code fence",)
    assert [s.outcome for s in execution.statements] == ["repaired", "refused", "failed"]
    assert [bool(s.reason) for s in execution.statements] == [False, True, True]
    slow = run_storage(CROSS, TABLE, 1).statements[0]
    assert (slow.outcome, slow.reason) == ("failed", "took longer than 100 ms")
    assert outcomes("SELECT 1;" * (STATEMENTS + 2)) == ["ok"] * STATEMENTS + ["refused"] * 2


def test_split() -> None:
    assert split("SELECT ';'; SELECT /* ; */ 2\nUPDATE users SET a = 'x\nUPDATE y'") == [
        "SELECT ';'", "SELECT /* ; */ 2", "UPDATE users SET a = 'x\nUPDATE y'",
    ]  # fmt: skip
    assert split("INSERT INTO users (a)\nSELECT b FROM users") == ["INSERT INTO users (a)\nSELECT b FROM users"]
    assert split("INSERT INTO users (id) VALUES (1) ON CONFLICT(id) DO\nUPDATE SET a = 1")[1:] == []
    assert split("SELECT a FROM users UNION\nSELECT b FROM users")[1:] == []
    assert len(split("SELECT a FROM users\nSELECT b FROM users")) == 2


# Hostile SQL

CROSS = "SELECT count(*) FROM " + ", ".join(f"users t{i}" for i in range(24))
SORT = "SELECT 1 FROM " + ", ".join(f"users t{i}" for i in range(24)) + " ORDER BY t0.job || t1.job, t2.city"
HOSTILE = [
    "DROP TABLE users", "DELETE FROM users", "DELETE FROM users WHERE 1 = 1", "ALTER TABLE users RENAME TO old",
    "ALTER TABLE users DROP COLUMN job", "ALTER TABLE users RENAME COLUMN job TO work", "CREATE TABLE x (a)",
    "CREATE TEMP TABLE x AS SELECT * FROM users", "CREATE VIEW v AS SELECT * FROM users",
    "CREATE INDEX i ON users (job)",
    "CREATE TRIGGER t AFTER UPDATE ON users BEGIN DELETE FROM users; END",
    "CREATE VIRTUAL TABLE f USING fts5(a)", "DROP INDEX i", "REINDEX users", "ANALYZE", "VACUUM",
    "VACUUM INTO 'copy.db'",
    "ATTACH 'other.db' AS other", "ATTACH ':memory:' AS other", "DETACH main", "PRAGMA user_version = 7",
    "PRAGMA writable_schema = 1", "PRAGMA database_list", "SELECT * FROM pragma_table_info('users')",
    "SELECT * FROM sqlite_master", "UPDATE sqlite_master SET sql = ''", "DELETE FROM sqlite_master",
    "SELECT load_extension('x.so')", "SELECT randomblob(1000000000)", "SELECT zeroblob(1000000000)",
    "SELECT printf('%.*c', 100000000, 'x')", "SELECT hex(randomblob(9))", "SELECT * FROM json_each('[1]')",
    "SELECT * FROM generate_series(1, 9)", "SELECT writefile('x', 'y')", "SELECT readfile('/etc/passwd')",
    "SELECT * FROM dbstat", "SELECT sqlite_version()", "BEGIN", "BEGIN IMMEDIATE", "COMMIT", "END", "ROLLBACK",
    "SAVEPOINT statement", "RELEASE statement", "ROLLBACK TO statement", "UPDATE users SET id = 9 WHERE id = 1",
    "UPDATE users SET relation = 'assistant' WHERE id = 1", "UPDATE users SET rowid = 9",
    "UPDATE users SET _rowid_ = 9",
    "INSERT INTO users (id) VALUES (1) ON CONFLICT(id) DO UPDATE SET relation = 'other'",
    "INSERT OR ROLLBACK INTO users (id) VALUES (1)", "INSERT OR FAIL INTO users (id) VALUES (9), (1)",
    "REPLACE INTO users (id, name, relation) VALUES (1, 'x', 'assistant')",
    "REPLACE INTO users (id, name, relation) VALUES (1, 'x', 'user')", "INSERT OR REPLACE INTO users (id) VALUES (2)",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "WITH x AS (SELECT 1) DELETE FROM users", "WITH x AS (SELECT 1) REPLACE INTO users (id) SELECT 1 FROM x",
    "EXPLAIN DROP TABLE users", "SELECT " + "(" * 60 + "1" + ")" * 60, "SELECT " + "1 + " * 60 + "1",
    " UNION ".join(["SELECT 1"] * 20), "SELECT " + ", ".join(["1"] * 400),
    "UPDATE users SET job = ? WHERE id = 1", "UPDATE users SET job = :x", "SELECT 'x", "/* open", "--",
    "SELECT 1; SELECT 2",
]  # fmt: skip


@pytest.mark.parametrize("sql", HOSTILE, ids=lambda s: s[:40])
def test_the_box_itself_stops_hostile_sql(sql: str) -> None:
    """Without the list of verbs in front of it: authorizer, limits and checks stand alone."""
    harmless = {"/* open", "--", "REINDEX users", "SELECT " + "(" * 60 + "1" + ")" * 60}
    with closing(Box(TABLE)) as box:
        before = box.rows()
        box.deadline = float("inf")
        if sql in harmless:
            box.write(sql)
        else:
            with pytest.raises((sqlite3.Error, sqlite3.Warning, RefusedError)):
                box.write(sql)
        assert box.rows() == before
        assert not box.base.in_transaction
        box.write("UPDATE users SET job = 'vet' WHERE id = 1")
        assert box.rows()[1][2] == "vet", "the box still works"


@pytest.mark.parametrize("sql", HOSTILE, ids=lambda s: s[:40])
def test_hostile_sql_changes_nothing(sql: str) -> None:
    execution = run_storage(f"{sql};\nUPDATE users SET city = 'Bonn' WHERE id = 1;", TABLE, 1)
    assert not {"job", "pet_name", "relation", "name"} & {c.field for c in execution.difference.changes}
    assert not execution.difference.people and not execution.difference.columns
    assert run_retrieval(sql, TABLE).cells == frozenset()


@pytest.mark.parametrize("sql", [CROSS, SORT, CROSS.replace("count(*)", "group_concat(t0.city)")])
def test_endless_queries_are_stopped(sql: str) -> None:
    def run() -> None:
        assert [s.outcome for s in run_storage(sql, TABLE, 1).statements] == ["failed"]

    def read() -> None:
        assert [s.outcome for s in run_retrieval(sql, TABLE).statements] == ["failed"]

    assert best_time(run) < 0.25 and best_time(read) < 0.25


def best_time(call: Callable[[], object]) -> float:
    """Seconds of the quickest of three calls: the machine may be busy."""
    times = []
    for _ in range(3):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return min(times)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE users SET job = replace(replace(replace('aaaaaaaaaa', 'a', 'aaaaaaaaaa'), 'a', 'aaaaaaaaaa'), 'a', '"
        + "a" * 1000 + "') WHERE id = 1",
        "UPDATE users SET job = '" + "x" * 5000 + "' WHERE id = 1",
        "SELECT '" + "a" * 2000 + "' LIKE '" + "%a" * 100 + "b' FROM users",
        "SELECT '" + "a" * 2000 + "' GLOB '" + "*a" * 100 + "b' FROM users",
        "UPDATE users SET job = 'x' WHERE " + " OR ".join(["name LIKE '%a%b%c%'"] * 39),
        ";" * 16000, "'" + ";" * 16000, "SELECT 1;" * 4000, "(" * 16000, "[" * 50000, "['" * 8000, "\n" * 20000,
        "-- " * 9000, "/*" * 9000, "a " * 30000, '"' * 20001, "UPDATE users SET " + "a" * 4000 + " = 1",
        "UPDATE users SET " + ", ".join(f"f{i} = '{i}'" for i in range(300)), "ALTER TABLE users ADD " + "a " * 2000,
        "ALTER TABLE users ADD COLUMN " + ", ADD COLUMN ".join(f"f{i}" for i in range(200)),
        "UPDATE users SET job = " + "'x'y " * 800, "```" * 5000, "INSERT INTO users (" * 500, "1. " * 9000,
    ],
    ids=lambda s: s[:24],
)  # fmt: skip
def test_giants_are_quick_and_harmless(sql: str) -> None:
    assert all(c.new is not None for c in run_storage(sql, TABLE, 1).difference.changes)
    assert best_time(lambda: run_storage(sql, TABLE, 1)) < 0.25
    assert best_time(lambda: run_retrieval(sql, TABLE)) < 0.25


MARKS = ["'", '"', ";", "\n", "\\'", "\x00", "--", "/*", "(", ")", ",", "\ud83d", "[", "`", "é", "’", "😀"]
WORDS = ["NULL", " OR ", "WHERE ", "users", "name", "DROP TABLE users;", "NOOP\n", "SELECT ", "id", "relation"]
WORDS += [" = 'x'", "REPLACE INTO ", "me", "ADD COLUMN "]


def mutated(rng: Random, seeds: list[str]) -> str:
    text = rng.choice(seeds)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 6))):
        at, kind = rng.randrange(len(text) + 1), rng.randrange(6)
        if kind == 0:
            text = text[:at] + text[at + rng.randint(1, 8) :]
        elif kind < 3:
            text = text[:at] + rng.choice(MARKS if kind == 1 else WORDS) + text[at:]
        elif kind == 3:
            other = rng.choice(seeds)
            text = text[:at] + other[rng.randrange(len(other) + 1) :]
        elif kind == 4:
            text = text[:at] + "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0x3000)))) for _ in range(4))
        else:
            text = text[:at] + text[at : at + 20] * 2 + text[at + 20 :]
    return text


def test_ten_thousand_mutated_statements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("TMPDIR", "SQLITE_TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    rng = Random(5)
    cases = [storage_case("train", Random(f"fuzz {i}"), 600).sql for i in range(60)]
    cases += [retrieval_case("train", Random(f"fuzz {i}"), 600).sql for i in range(30)]
    seeds = [line for sql in cases for line in sql.split("\n")] + HOSTILE
    seeds += ["UPDATE users SET job = 'I'm' WHERE name = 'Brian'", "UPDATE users SET job = NULL"]
    seeds += ["INSERT INTO users (name, job) VALUES ('Zed', 'vet')"]
    cells, known = dict(CELLS), {p.id for p in PEOPLE}
    strings = statements = 0
    for i in range(2_040):
        parts = [mutated(rng, [CROSS, SORT] if i % 100 == 0 else seeds) for _ in range(5 if i % 100 else 1)]
        text = ";\n".join(parts)
        strings += len(parts)
        for attempt in range(3):  # a machine that is busy may be slow once
            start = perf_counter()
            if i % 4:
                execution = run_storage(text, TABLE, 1)
                found, done = execution.difference, execution.statements
            else:
                read = run_retrieval(text, TABLE)
                found, done = Difference(), read.statements
                assert all(row.value == {**cells, **NAMES}.get((row.person, row.field)) for row in read.rows), text
            if perf_counter() - start < 0.25 * max(1, len(done)):
                break
            assert attempt < 2, text
        statements += len(done)
        assert {s.outcome for s in done} <= {"ok", "repaired", "refused", "failed", "dropped"}
        assert all(re.fullmatch("[a-z][a-z0-9_]{1,39}", name) for name in found.columns), text
        assert {c.person for c in found.changes} <= known
        assert {c.field for c in found.changes} <= {"name", *TABLE.fields, *found.columns}
        assert all(c.new is None or isinstance(c.new, str) for c in found.changes)
        kept = judge(found, TABLE, 1)
        assert all(d.change.person == 1 and d.change.new for d in kept.accepted), text
        assert not kept.people
    assert dict(CELLS) == cells and dict(TABLE.cells) == cells
    assert strings >= 10_000 and statements > 6_000
    assert list(tmp_path.rglob("*")) == []


NAMES = {(p.id, "name"): p.name for p in PEOPLE}


# Retrieval


@pytest.mark.parametrize(
    ("sql", "cells"),
    [
        ("SELECT job FROM users WHERE relation = 'user'", {(1, "job"): "baker"}),
        ("SELECT job, city FROM users WHERE name = 'skye'", {(2, "job"): "cook", (2, "city"): "Rome"}),
        ("SELECT favourite_food FROM users WHERE id = 1", {(1, "favourite_food"): None}),
        ("SELECT favorite_food FROM users WHERE id = 1", {(1, "favourite_food"): None}),
        ("SELECT * FROM users WHERE id = 3", {(3, "name"): "Ana", (3, "job"): None, (3, "city"): "Oslo",
                                              (3, "pet_name"): None, (3, "favourite_food"): None}),
        ("SELECT name FROM users WHERE city = 'Oslo'", {(3, "name"): "Ana", (3, "city"): "Oslo"}),
        ("SELECT job FROM users WHERE name = 'me'", {(1, "job"): "baker"}),
        ("SELECT job FROM users WHERE name = 'you'", {(2, "job"): "cook"}),
        ("SELECT upper(job) FROM users WHERE id = 1", {(1, "job"): "baker"}),
        ("SELECT count(pet_name) FROM users", {(1, "pet_name"): "Rex"}),
        ("SELECT city FROM users ORDER BY id LIMIT 1", {(1, "city"): "Paris"}),
        ("SELECT a.city, b.city FROM users a, users b WHERE a.id = 1 AND b.id = 2",
         {(1, "city"): "Paris", (2, "city"): "Rome"}),
        ("WITH x AS (SELECT job AS y FROM users WHERE id = 1) SELECT y FROM x", {(1, "job"): "baker"}),
        ("SELECT job FROM users WHERE id = 1 UNION SELECT 'made up'", {(1, "job"): "baker"}),
        ("SELECT job FROM users WHERE id = 1\nSELECT job FROM users WHERE id = 2",
         {(1, "job"): "baker", (2, "job"): "cook"}),
        ("SELECT job FROM users WHERE name = 'O'Neil'", {}),
        ('SELECT "unknown_column" FROM users', {}),
        ('SELECT "unknown_column", \'x\' FROM users WHERE name = \'Brian\'', {}),
        ('SELECT "unknown_column", job FROM users WHERE id = 1', {(1, "job"): "baker"}),
        ('SELECT "unknown_column" AS job FROM users', {}),
        ("SELECT 'made up' AS name FROM users", {}),
        ("SELECT count(*) FROM users", {}), ("SELECT 1", {}), ("NOOP", {}),
        ("UPDATE users SET job = 'x'", {}), ("ALTER TABLE users ADD COLUMN x", {}),
    ],
)  # fmt: skip
def test_retrieval(sql: str, cells: dict[tuple[int, str], str | None]) -> None:
    read = run_retrieval(sql, TABLE)
    assert read.cells == set(cells)
    assert {(row.person, row.field): row.value for row in read.rows} == cells


def test_what_retrieval_drops_is_told() -> None:
    read = run_retrieval('SELECT "nope" FROM users; DELETE FROM users; SELECT (; SELECT city FROM users;', TABLE)
    assert [s.outcome for s in read.statements] == ["dropped", "refused", "failed", "ok"]
    assert [s.reason for s in read.statements][:2] == ["reads no field", "DELETE is not allowed"]
    many = run_retrieval("SELECT job FROM users;" * (SELECTS + 1), TABLE)
    assert [s.outcome for s in many.statements] == ["ok"] * SELECTS + ["refused"]
    dated = run_retrieval("SELECT job FROM users WHERE id = 1", TABLE).rows[0]
    assert dated.since == "2024-01-02"


def large(count: int = 200, length: int = 12) -> Table:
    names = tuple(f"field_{i}" for i in range(count))
    return Table(PEOPLE, names, {(p.id, name): f"{p.name} {name}".ljust(length, "x") for p in PEOPLE for name in names})


def test_retrieval_is_capped() -> None:
    read = run_retrieval("SELECT * FROM users", large(length=190))
    assert len(read.cells) == 3 * 201
    assert 0 < len(read.rows) <= ROWS
    assert sum(len(row.field) + len(row.value or "") for row in read.rows) <= BYTES
    assert len(run_retrieval("SELECT * FROM users", large()).rows) == ROWS


def test_a_full_table_fits() -> None:
    names = tuple(f"field_{i}" for i in range(256))
    table = Table(PEOPLE, names, {(1, name): "😀" * 200 for name in names})
    assert changes("UPDATE users SET field_3 = 'x' WHERE id = 1", table) == {(1, "field_3"): "x"}


# Promises about code and time


def test_no_memory_runs_a_script() -> None:
    """`executescript` commits the open transaction, and would run what comes after a `;`."""
    files = sorted(Path(memchat.memory.__file__).parent.rglob("*.py"))
    assert any(file.name == "box.py" for file in files)
    assert not [file for file in files if re.search(r"\.\s*executescript\s*\(", file.read_text("utf-8"))]


def test_load_at_two_hundred_fields(capsys: pytest.CaptureFixture[str]) -> None:
    table = large()
    store = "ALTER TABLE users ADD COLUMN new_{i} TEXT;\nUPDATE users SET new_{i} = 'x' WHERE relation = 'user';"
    read = "SELECT field_{i} FROM users WHERE relation = 'user';\nSELECT field_{j} FROM users WHERE name = 'Skye';"
    times: dict[str, list[float]] = {"build": [], "storage": [], "retrieval": []}
    for i in range(100):
        start = thread_time()
        Box(table).close()
        built = thread_time()
        changed = changes(store.replace("{i}", f"{chr(97 + i % 26)}{i}"), table)
        stored = thread_time()
        rows = run_retrieval(read.format(i=i, j=199 - i), table).rows
        times["retrieval"].append(thread_time() - stored)
        times["storage"].append(stored - built)
        times["build"].append(built - start)
        assert len(changed) == 1 and len(rows) == 2
    with capsys.disabled():
        shown = (f"{name} {sorted(t)[50] * 1000:.2f} / {sorted(t)[94] * 1000:.2f} ms" for name, t in times.items())
        print(f"\nSQL sandbox at 200 fields, p50 / p95 of processor time: {', '.join(shown)}")

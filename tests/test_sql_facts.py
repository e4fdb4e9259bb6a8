"""The fact store: one live value a cell, nothing lost by a kill, a damaged file, or a second process."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memchat.errors import MemchatError, UsageError
from memchat.memory.sql import factfile
from memchat.memory.sql.factfile import restore
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.history import edit, lock, verify
from memchat.memory.sql.search import search
from memchat.memory.sql.table import ASSISTANT, OTHER, USER, Change, Decision, NewPerson

ROOT = Path(__file__).parents[1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "facts" / "facts.db"


def decide(store: FactStore, field: str, new: str | None, relation: str = USER) -> Decision:
    """The decision of a policy that saw the table as it is."""
    table = store.table()
    person = table.person(relation)
    old = person.name if field == "name" else table.cells.get((person.id, field))
    return Decision("forget" if new is None else "update" if old else "add", Change(person.id, field, old, new))


def tell(store: FactStore, field: str, new: str | None, turn: int | None = None, relation: str = USER, **call: object):
    return store.apply([decide(store, field, new, relation)], turn=turn, **call)  # type: ignore[arg-type]


def values(store: FactStore, relation: str = USER) -> dict[str, str]:
    table = store.table()
    return table.row(table.person(relation).id)


# --- one op


def test_a_new_store_has_a_user_and_an_assistant(file: Path) -> None:
    with FactStore(file) as store:
        table = store.table()
        assert [(p.relation, p.name) for p in table.people] == [(USER, "User"), (ASSISTANT, "Assistant")]
        assert (table.fields, table.cells) == ((), {})
        assert store.last_session() is None
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete", "busy_timeout")
        assert [store.read(f"PRAGMA {name}")[0][0] for name in pragmas] == ["wal", 2, 1, 1, 5000]
        assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


def test_an_op_keeps_what_led_to_it(file: Path) -> None:
    with FactStore(file) as store:
        op = store.apply(
            [decide(store, "city", "Paris"), Decision("refused", Change(2, "city", None, "Rome"), "not theirs")],
            turn=7,
            raw="UPDATE users ...",
            executed="UPDATE users SET city = 'Paris'",
            adapter="sql_storage_1",
            ms=12.5,
            said_at="2024-05-01T00:00:00+00:00",
        )
        assert (op.kind, op.actor, op.turn, op.status, op.adapter, op.ms) == (
            "store", "model", 7, "done", "sql_storage_1", 12.5,
        )  # fmt: skip
        assert [(d.kind, d.reason) for d in op.declined] == [("refused", "not theirs")]
        fact = store.fact(1, "city")
        assert fact is not None
        assert (fact.value, fact.turn, fact.source, fact.valid_from[:10]) == ("Paris", 7, "model", "2024-05-01")
        assert store.op(fact.op) == op
        assert op.raw == "UPDATE users ..." and "Paris" in op.executed
        assert store.table().since[1, "city"][:10] == "2024-05-01"
        assert [f.field for f in store.facts_of([7, 8])] == ["city"] and store.facts_of([8]) == []


def test_an_update_retires_one_and_leaves_one(file: Path) -> None:
    with FactStore(file) as store:
        tell(store, "city", "Paris")
        tell(store, "city", "Rome")
        old, new = store.facts("d.name = 'city'")
        assert (old.value, old.superseded_by, old.retired_at) == ("Paris", new.id, new.recorded_at)
        assert (new.value, new.retired_at, old.valid_to) == ("Rome", None, new.valid_from)
        with pytest.raises(sqlite3.IntegrityError), store.write() as db:
            db.execute(
                "INSERT INTO fact (person_id, field_id, value, valid_from, recorded_at, source, op_id)"
                " SELECT person_id, field_id, 'both', valid_from, recorded_at, source, op_id FROM fact WHERE id = ?",
                (new.id,),
            )
        assert values(store) == {"city": "Rome"}


def test_the_same_twice_is_a_noop_and_deletes_nothing(file: Path) -> None:
    with FactStore(file) as store:
        decision = decide(store, "city", "Paris")
        first = store.apply([decision])
        before = store.facts()
        again = store.apply([decision])
        assert (first.status, again.status, again.declined[0].kind) == ("done", "noop", "noop")
        assert store.facts() == before
        person = NewPerson("Zoe", OTHER, (("pet", "cat"),))
        store.apply([], people=[person])
        assert store.apply([], people=[person]).status == "noop"
        assert [p.name for p in store.table().people] == ["User", "Assistant", "Zoe"]


def test_the_store_holds_the_line_without_a_policy(file: Path) -> None:
    with FactStore(file) as store:
        tell(store, "city", "Paris")
        stale = decide(store, "city", "Rome")
        edit(store, 1, "city", "Oslo", lock=False)
        assert store.apply([stale]).declined[0].reason == "changed meanwhile"
        lock(store, 1, "city")
        assert tell(store, "city", "Rome").declined[0].reason == "locked"
        assert tell(store, "city", None).declined[0].reason == "locked"
        for field in ("id", "relation"):
            assert store.apply([Decision("update", Change(1, field, None, "2"))]).declined[0].kind == "refused"
        assert store.apply([Decision("add", Change(99, "city", None, "Bonn"))]).declined[0].kind == "refused"
        with pytest.raises(ValueError, match="one user"):
            store.apply([], people=[NewPerson("Eve", USER)])
        assert values(store) == {"city": "Oslo"}
        assert store.apply([], columns=["hobby"]).status == "done" and store.table().fields == ("city", "hobby")
        failed = store.apply([], error="no such table", raw="DROP TABLE x")
        assert (failed.status, failed.error) == ("failed", "no such table")


def test_a_turn_is_stored_once(file: Path) -> None:
    with FactStore(file) as store:
        first = tell(store, "city", "Paris", 3, once=True)
        assert tell(store, "city", "Rome", 3, once=True) == first
        assert tell(store, "city", "Rome", 4, once=True).status == "done"
        assert tell(store, "city", "Oslo", 4).status == "done", "not asked for"
        assert values(store) == {"city": "Oslo"}


def test_renaming_keeps_ids_and_facts_also_of_namesakes(file: Path) -> None:
    with FactStore(file) as store:
        for relation in (USER, ASSISTANT):
            tell(store, "city", f"the {relation}'s", relation=relation)
        before = store.facts()
        for name in ("O'Brien", "SELECT", "Łukasz", "王芳", "user"):
            tell(store, "name", name)
            tell(store, "name", name, relation=ASSISTANT)
        people = store.table().people
        assert [(p.id, p.relation, p.name) for p in people] == [(1, USER, "user"), (2, ASSISTANT, "user")]
        assert "Łukasz" in people[0].aliases and "User" not in people[0].aliases
        assert store.facts() == before
        assert (values(store), values(store, ASSISTANT)) == ({"city": "the user's"}, {"city": "the assistant's"})


def test_the_table_of_an_earlier_moment(file: Path) -> None:
    with FactStore(file) as store:
        seen = []
        for city in ("Paris", "Rome", None, "Oslo"):
            op = tell(store, "city", city)
            tell(store, "name", f"Name {city}")
            seen.append((op.at, store.ops(1)[0].at, store.table()))
        for _, after, table in seen:
            assert store.table(after) == table
        assert store.table("2001-01-01").people == ()
        assert store.table("2999-01-01T00:00:00+02:00") == store.table()
        with pytest.raises(UsageError, match="no time"):
            store.table("yesterday")


# --- the file


def test_bye_and_restart_give_the_same_table(file: Path) -> None:
    store = FactStore(file)
    tell(store, "city", "Paris")
    table = store.table()
    store.close("bye")
    store.close()
    assert not Path(f"{file}-wal").exists()
    with FactStore(file) as store:
        assert store.table() == table
        when, how = store.last_session() or ("", "")
        assert how == "bye" and when > "2020"
    with pytest.raises(RuntimeError, match="closed"):
        store.table()


WRITER = """
import sys
from pathlib import Path
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.history import undo
from memchat.memory.sql.table import Change, Decision

store = FactStore(Path(sys.argv[1]))
assert not store.read_only, store.notice
for index in range(10_000):
    old = store.table().cells
    changes = [Change(1, f, old.get((1, f)), f"{sys.argv[2]} {index} {f}") for f in ("a", "b", "c")]
    op = store.apply([Decision("update", change) for change in changes], turn=index)
    print(op.id, f"{sys.argv[2]} {index}", flush=True)
    if index % 4 == 3:
        op = undo(store)[0]
        print(op.id, "", flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_twenty_kills_lose_at_most_the_call_in_flight(file: Path) -> None:
    chance = random.Random(0)
    acknowledged: list[tuple[int, str]] = []
    for label in range(20):
        command = [sys.executable, "-c", WRITER, str(file), str(label)]
        with subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            assert first, "the writer failed"
            time.sleep(chance.uniform(0, 0.15))
            process.kill()
            lines = (first + process.stdout.read()).decode().split("\n")[:-1]
        assert process.returncode == -signal.SIGKILL
        acknowledged += [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines]
        with FactStore(file) as store:
            assert not store.read_only, store.notice
            assert verify(store) == []  # among others: the log leads to the facts
            ops = {op.id: op for op in store.ops()}
            for number, said in acknowledged:
                new = [change.new["value"] for change in ops[number].edits if change.new and change.key[0] == "cell"]
                assert not said or sorted(new) == [f"{said} {field}" for field in "abc"], "whole, or not at all"
            assert max(ops) - acknowledged[-1][0] <= 1
            row = values(store)
            assert len({value.rsplit(" ", 1)[0] for value in row.values()}) == 1, "a call is never stored in part"
    assert len(acknowledged) > 60
    assert len(list(file.parent.glob("*.backup-*"))) <= factfile.KEEP_BACKUPS
    assert not list(file.parent.glob("*.part"))


def filled(file: Path, count: int = 3) -> FactStore:
    store = FactStore(file)
    for index in range(count):
        tell(store, f"field{index}", f"value {index} " * 20)
    return store


def damage(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    if how == "header":
        data[:100] = bytes(100)
    elif how == "pages":
        data[4096:] = b"\xff" * (len(data) - 4096)
    else:
        data = data[: {"half": len(data) // 2, "stub": 100, "empty": 0}[how]]
    file.write_bytes(data)


@pytest.mark.parametrize("how", ["header", "pages", "half", "stub", "empty"])
def test_a_damaged_file_gives_its_backup_read_only(file: Path, how: str) -> None:
    with filled(file) as store:
        table = store.table()
    damage(file, how)
    bad = file.read_bytes()
    for start in range(2):  # also at the next start: an empty memory never takes the place of the lost one silently
        with FactStore(file) as store:
            assert store.read_only and "read only" in store.notice and "\n" not in store.notice
            assert (" was damaged" in store.notice) == (start == 0)
            assert store.table() == table
            with pytest.raises(MemchatError, match="read only"):
                tell(store, "city", "Paris")
    (kept,) = file.parent.glob("facts.damaged-*.db")
    assert kept.read_bytes() == bad and not file.exists()
    restore(file)
    with FactStore(file) as store:
        assert (store.read_only, store.notice, store.table()) == (False, "", table)
        assert tell(store, "city", "Paris").status == "done" and verify(store) == []
    with pytest.raises(MemchatError, match="is there"):
        restore(file)


def test_a_damaged_file_without_backup_is_kept_and_said(file: Path) -> None:
    with filled(file):
        pass
    for backup in file.parent.glob("*.backup-*"):
        backup.unlink()
    damage(file, "header")
    with pytest.raises(MemchatError, match=r"damaged and is kept as facts\.damaged-\d+\.db.*no backup"):
        FactStore(file)
    with FactStore(file) as store:
        assert store.table().cells == {}


def test_backups_are_made_while_it_works_and_three_are_kept(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memchat.memory.sql.facts.BACKUP_EVERY", 5)
    with FactStore(file) as store:
        for index in range(22):
            tell(store, "count", str(index))
        backups = store.backups()
        assert len(backups) == 3
    assert len(store.backups()) == 3 and store.backups()[:2] == backups[1:], "one more when it is closed"
    for backup in backups[1:]:
        with sqlite3.connect(f"file:{backup}?immutable=1", uri=True) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()
    with FactStore(file):
        pass
    assert store.backups()[0] == backups[1], "nothing new, no new backup"


def test_foreign_and_newer_files_are_refused_and_left_alone(tmp_path: Path) -> None:
    foreign, newer = tmp_path / "foreign.db", tmp_path / "newer.db"
    with sqlite3.connect(foreign) as db:
        db.execute("CREATE TABLE theirs (x)")
    db.close()
    with filled(newer) as store, store.write() as db:
        db.execute("UPDATE meta SET value = 99 WHERE key = 'schema'")
    for path, message in ((foreign, "another program"), (newer, "newer memchat")):
        before = path.read_bytes()
        with pytest.raises(MemchatError, match=message):
            FactStore(path)
        assert path.read_bytes() == before
    with pytest.raises(MemchatError, match="not there"):
        FactStore(tmp_path / "none.db", read_only=True)


OTHER_PROCESS = """
import sys
from pathlib import Path
from memchat.memory.sql.facts import FactStore

store = FactStore(Path(sys.argv[1]))
print(store.read_only, flush=True)
sys.stdin.readline()
"""


def test_a_second_process_reads_and_takes_over_when_the_first_is_gone(file: Path) -> None:
    command = [sys.executable, "-c", OTHER_PROCESS, str(file)]
    how = {"env": os.environ | {"PYTHONPATH": str(ROOT)}, "text": True}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **how) as process:  # type: ignore[call-overload]
        assert process.stdout.readline() == "False\n"
        with FactStore(file) as store:
            assert store.read_only and str(process.pid) in store.notice
            assert len(store.table().people) == 2
            with pytest.raises(MemchatError, match="read only"):
                tell(store, "city", "Paris")
        process.kill()
    with FactStore(file) as store:
        assert not store.read_only and tell(store, "city", "Paris").status == "done"
        reader = FactStore(file, read_only=True)
        tell(store, "city", "Rome")
        assert values(reader) == {"city": "Rome"}
        assert reader.last_session() is not None
        reader.close()


def test_a_writer_that_waits_too_long_says_so(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(factfile, "BUSY_SECONDS", 0.05)
    with FactStore(file) as store:
        decision = decide(store, "city", "Paris")
        with sqlite3.connect(file, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(MemchatError, match="locked by another program"):
                store.apply([decision])
            other.execute("ROLLBACK")
        other.close()
        assert store.apply([decision]).status == "done"


# --- search


def test_search_follows_the_live_facts(file: Path) -> None:
    with FactStore(file) as store:
        tell(store, "favourite_food", "baked potatoes")
        tell(store, "job", "baker")
        tell(store, "city", "Paris", relation=ASSISTANT)
        assert [f.fact.field for f in search(store, "What is your favourite food?")] == ["favourite_food"]
        assert [f.fact.value for f in search(store, "potato")] == ["baked potatoes"], "another form of the word"
        assert search(store, "what is it") == search(store, '"') == search(store, "x' OR 1 NEAR( *") == []
        tell(store, "favourite_food", "rice")
        assert search(store, "potato") == []
        assert [f.fact.value for f in search(store, "paris rice")] and len(search(store, "paris rice", 1)) == 1
        assert verify(store) == []


def test_benchmark_of_ten_thousand_facts(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [f"word{i}" for i in range(500)]
    chance = random.Random(0)
    with FactStore(file) as store:
        started = time.process_time()
        rows = [[(f"field{f}", " ".join(chance.choices(words, k=4))) for f in range(50)] for _ in range(200)]
        store.apply([], people=[NewPerson(f"Person{p}", OTHER, tuple(row)) for p, row in enumerate(rows)])
        bulk = time.process_time() - started
        assert len(store.facts()) == 10_000
        singles = []
        for index in range(200):
            started = time.process_time()
            store.apply([Decision("add", Change(1 + index % 2, f"field{index // 4}", None, f"new {index}"))])
            singles.append(time.process_time() - started)
        finds = []
        for _ in range(100):
            started = time.process_time()
            assert search(store, " ".join(chance.choices(words, k=3)))
            finds.append(time.process_time() - started)
        started = time.process_time()
        store.table()
        table = time.process_time() - started
    with capsys.disabled():
        print(
            f"\n10,000 facts, CPU time: insert {bulk:.2f} s, one more call {1e3 * sorted(singles)[100]:.1f} ms,"
            f" search {1e3 * sorted(finds)[50]:.1f} ms, whole table {1e3 * table:.0f} ms"
        )

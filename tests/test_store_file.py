"""The file behind the store: upgrades, full and read-only disks, damage, several processes at once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from memchat.errors import MemchatError
from memchat.store import Store, connection, migrations

ROOT = Path(__file__).parents[1]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "memchat.db"


def run(code: str, *args: object, **how: object) -> subprocess.Popen[str]:
    env = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code, *map(str, args)]
    return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE, **how)  # type: ignore[call-overload]


def filled(file: Path) -> Path:
    with Store(file) as store:
        session = store.create_session("trip", model="m", memory="full")
        store.add_turn(session.id, "user", "kept", parent=None)
    return file


def intact(file: Path) -> None:
    with sqlite3.connect(file) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert db.execute("PRAGMA foreign_key_check").fetchall() == []
        db.execute("INSERT INTO turns_fts(turns_fts, rank) VALUES ('integrity-check', 1)")
    db.close()


# --- making and upgrading


def test_new_file_is_private_durable_and_scrubbed(file: Path) -> None:
    with Store(filled(file)) as store:
        pragmas = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        assert [store._read(f"PRAGMA {name}")[0][0] for name in pragmas] == ["wal", 2, 1, 1]
        assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}
    assert file.parent.stat().st_mode & 0o777 == 0o700
    intact(file)


def test_default_path_is_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMCHAT_HOME", str(tmp_path))
    with Store() as store:
        assert store.file == tmp_path / "data" / "memchat.db" and store.file.exists()


def old_file(file: Path, steps: int) -> None:
    """A store as the first ``steps`` migrations left it, with rows in it."""
    file.parent.mkdir()
    db = sqlite3.connect(file, isolation_level=None)
    migrations.upgrade(db, migrations.STEPS[:steps])
    db.execute("INSERT INTO sessions VALUES ('aaaaaaaaaaaa', 'old', 'then', 'then', 'm', 'full', '', NULL, NULL)")
    for turn, parent, role, text in ((1, None, "user", "my cat is Mo"), (2, 1, "assistant", "hello Mo")):
        columns = "id, session, parent, depth, role, content, at"
        row = (turn, "aaaaaaaaaaaa", parent, turn, role, text, "2024-01-01T00:00:00+00:00")
        db.execute(f"INSERT INTO turns ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", row)
    db.execute("UPDATE sessions SET head = 2")
    db.close()


@pytest.mark.parametrize("steps", range(1, len(migrations.STEPS) + 1))
@pytest.mark.parametrize("read_only", [False, True])
def test_every_older_version_is_upgraded_with_its_rows(file: Path, steps: int, read_only: bool) -> None:
    old_file(file, steps)
    with Store(file, read_only=read_only) as store:
        assert [turn.content for turn in store.path("old")] == ["my cat is Mo", "hello Mo"]
        assert [hit.turn for hit in store.search("cat")] == [1]
        assert [row.name for row in store.sessions()] == ["old"]
    with Store(file) as store:
        store.lease("old").close()
        assert store.add_turn("old", "user", "and a dog", parent=2).id == 3
        recorded = "SELECT name FROM _sqlite_migrations ORDER BY id"
        assert [name for (name,) in store._read(recorded)] == migrations.NAMES
    intact(file)


def test_a_failed_upgrade_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old_file(file, 1)

    def m0004_broken(db: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(migrations, "STEPS", [*migrations.STEPS, m0004_broken])
    monkeypatch.setattr(migrations, "NAMES", [*migrations.NAMES, "m0004_broken"])
    with pytest.raises(ZeroDivisionError):
        Store(file)
    db = sqlite3.connect(file)
    assert db.execute("SELECT name FROM _sqlite_migrations").fetchall() == [(migrations.NAMES[0],)]
    assert db.execute("SELECT count(*) FROM turns").fetchone() == (2,)
    assert not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'turns_fts'").fetchall()


@pytest.mark.parametrize("read_only", [False, True])
def test_newer_files_are_refused(file: Path, read_only: bool) -> None:
    with Store(filled(file)) as store, store._write() as db:
        db.execute("INSERT INTO _sqlite_migrations (migration_set, name) VALUES ('memchat', 'm0099_future')")
    with pytest.raises(MemchatError, match="written by a newer memchat") as caught:
        Store(file, read_only=read_only)
    assert "Update memchat" in caught.value.remedy


def test_foreign_databases_are_refused_untouched(file: Path) -> None:
    file.parent.mkdir()
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    before = file.read_bytes()
    with pytest.raises(MemchatError, match="another program"):
        Store(file)
    assert file.read_bytes() == before


# --- damage


@pytest.mark.parametrize("content", [b"x", b"not a database\n" * 500, b"SQLite format 3\0", bytes(5000)])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database_is_refused_untouched(file: Path, content: bytes, read_only: bool) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    with pytest.raises(MemchatError) as caught:
        Store(file, read_only=read_only)
    assert "Move it away" in caught.value.remedy and "\n" not in str(caught.value)
    assert file.read_bytes() == content


@pytest.mark.parametrize("cut", [700, 3000, 10_000])
def test_a_truncated_file_is_refused_untouched(file: Path, cut: int) -> None:
    content = filled(file).read_bytes()[:cut]
    file.write_bytes(content)
    with pytest.raises(MemchatError, match=r"damaged.*Move it away.*recover"):
        Store(file)
    assert file.read_bytes() == content


def test_damage_inside_is_told_when_it_is_met(file: Path) -> None:
    with Store(filled(file)) as store:
        session = store.session("trip").id
        for index in range(200):
            store.add_turn(session, "user", f"{index} " * 200, parent=None)
        (root,) = store._read("SELECT rootpage FROM sqlite_master WHERE name = 'turns'")[0]
    content = bytearray(file.read_bytes())
    content[(root - 1) * 4096 : root * 4096] = b"\xff" * 4096
    file.write_bytes(bytes(content))
    with Store(file) as store, pytest.raises(MemchatError, match="is damaged"):
        store.search("199")


def test_a_folder_in_the_place_of_the_file(file: Path) -> None:
    file.mkdir(parents=True)
    with pytest.raises(MemchatError, match="cannot open"):
        Store(file)


def test_a_file_in_the_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    with pytest.raises(MemchatError, match="cannot open"):
        Store(tmp_path / "data" / "memchat.db")


# --- full and read-only disks, locks


def test_full_disk_loses_nothing_and_the_store_goes_on(file: Path) -> None:
    with Store(filled(file)) as store:
        reply = store.add_turn("trip", "assistant", "begun", parent=1, status="streaming")
        (pages,) = store._read("PRAGMA page_count")[0]
        store._read(f"PRAGMA max_page_count = {pages}")
        big = "word " * 50_000
        for failing in (
            lambda: store.add_turn("trip", "user", big, parent=1),
            lambda: store.update_turn(reply.id, content=big),
            lambda: store.create_session("x" * 100, model=big, memory="full"),
        ):
            with pytest.raises(MemchatError, match="the disk is full") as caught:
                failing()
            assert "Free some space" in caught.value.remedy
        assert [turn.content for turn in store.path("trip")] == ["kept", "begun"]
        assert len(store.sessions()) == 1
        store._read("PRAGMA max_page_count = 1000000")
        store.update_turn(reply.id, content=big, status="complete")
        assert len(store.search("word")) == 1
    intact(file)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on files")
def test_really_full_disk(tmp_path: Path) -> None:
    """A file-size limit makes the operating system itself refuse the write."""
    code = """
import resource, signal, sys
from pathlib import Path
from memchat.errors import MemchatError
from memchat.store import Store
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Path(sys.argv[1]))
key = store.create_session("trip", model="m", memory="full").id
kept = store.add_turn(key, "user", "kept", parent=None)
resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))
try:
    store.add_turn(key, "user", "x" * 1_000_000, parent=None)
except MemchatError as error:
    print(error)
print(store.add_turn(key, "assistant", "goes on", parent=kept.id).content)
"""
    with run(code, tmp_path / "memchat.db") as process:
        out = process.communicate()[0].splitlines()
    assert process.returncode == 0 and "disk" in out[0] and out[1] == "goes on"
    with Store(tmp_path / "memchat.db") as store:
        assert [turn.content for turn in store.path("trip")] == ["kept", "goes on"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can reach."""
    made = Path(tempfile.mkdtemp(prefix="memchat-"))
    made.chmod(0o777)
    yield made
    made.chmod(0o777)
    shutil.rmtree(made)


READ = """
import difflib, os, psutil, sqlite_utils, sqlite_utils.migrations, sys
from pathlib import Path
from memchat.errors import MemchatError
from memchat.store import Store
if os.geteuid() == 0:  # permissions do not hold for root
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
def read():
    with Store(Path(sys.argv[1]), read_only=True) as store:
        print(*[turn.content for turn in store.path("trip")])
def write():
    with Store(Path(sys.argv[1])) as store:
        store.add_turn("trip", "user", "more", parent=None)
for step in (read, write):
    try:
        step()
    except MemchatError as error:
        print(error)
"""


@pytest.mark.parametrize("readonly", ["file", "folder", "both"])
def test_read_only_store_can_be_read_and_refuses_writes(folder: Path, readonly: str) -> None:
    file = filled(folder / "memchat.db")
    file.chmod(0o444 if readonly in ("file", "both") else 0o666)
    folder.chmod(0o555 if readonly in ("folder", "both") else 0o777)
    with run(READ, file) as process:
        kept, error = process.communicate()[0].splitlines()
    assert kept == "kept"
    assert str(file) in error and "cannot" in error and "Check" in error
    folder.chmod(0o777)
    with Store(file) as store:
        assert len(store.path("trip")) == 1


def test_a_folder_that_cannot_be_made(folder: Path) -> None:
    folder.chmod(0o555)
    with run(READ, folder / "new" / "memchat.db") as process:
        empty, error = process.communicate()[0].splitlines()
    assert "no session" in empty
    assert error == f"cannot open {folder}/new/memchat.db: Permission denied. Check the folder, or set MEMCHAT_HOME."


def test_a_file_that_cannot_be_read(folder: Path) -> None:
    filled(folder / "memchat.db").chmod(0)
    with run(READ, folder / "memchat.db") as process:
        errors = process.communicate()[0].splitlines()
    assert len(errors) == 2 and all("cannot" in line and "Check" in line for line in errors)


def test_a_lock_that_stays_is_told_and_passes(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_SECONDS", 0.05)
    with Store(filled(file)) as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(MemchatError, match="locked by another program"):
            store.add_turn("trip", "user", "x", parent=None)
        assert len(store.path("trip")) == 1, "reading goes on"
        other.execute("ROLLBACK")
        other.close()
        assert store.add_turn("trip", "user", "x", parent=None).content == "x"


# --- read-only stores


def test_read_only_store_sees_the_file_when_it_comes(file: Path) -> None:
    with Store(file, read_only=True) as reader:
        assert reader.sessions() == [] and reader.search("x") == [] and reader.prompts() == []
        with pytest.raises(MemchatError, match="no session"):
            reader.session("trip")
        assert not file.parent.exists(), "looking creates nothing"
        file.parent.mkdir()
        file.touch()
        assert reader.sessions() == [], "another process is about to fill it"
        filled(file)
        assert [row.name for row in reader.sessions()] == ["trip"]
        with Store(file) as writer:
            writer.add_turn("trip", "assistant", "news", parent=1)
            assert [turn.content for turn in reader.path("trip")] == ["kept", "news"]
        with pytest.raises(RuntimeError, match="read only"):
            reader.rename_session("trip", "x")


def test_a_closed_store_says_so(file: Path) -> None:
    store = Store(filled(file))
    store.close()
    store.close()
    with pytest.raises(RuntimeError, match="closed"):
        store.sessions()


# --- several processes

HAMMER = """
import sys
from pathlib import Path
from memchat.store import Store
file, name, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
sys.stdin.readline()
with Store(file) as store:
    if store.find_session("shared") is None:
        try:
            store.create_session("shared", model="m", memory="full")
        except Exception as error:
            assert "already" in str(error), error
    with store.lease("shared"):
        parent = None
        for index in range(rounds):
            parent = store.add_turn("shared", "user", f"{name} asks {index}", parent=parent).id
            reply = store.add_turn("shared", "assistant", "", parent=parent, status="streaming")
            for part in range(3):
                store.update_turn(reply.id, content=f"{name} answers {index} " * part)
            store.update_turn(reply.id, status="complete")
            parent = reply.id
            store.create_session(model="m", memory="full")
            store.select(parent)
        print(parent)
"""


def test_processes_that_hammer_one_session(file: Path) -> None:
    """They also make the file at the same moment."""
    rounds = 40
    names = ("ant", "bee", "cow")
    workers = [run(HAMMER, file, name, rounds, stdin=subprocess.PIPE) for name in names]
    for worker in workers:
        worker.stdin.write("go\n")  # type: ignore[union-attr]
        worker.stdin.flush()  # type: ignore[union-attr]
    with Store(file, read_only=True) as reader:
        while any(worker.poll() is None for worker in workers):
            assert len(reader.sessions()) <= 1 + len(names) * rounds
    leaves = [int(worker.communicate()[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * len(names)
    with Store(file) as store:
        for name, leaf in zip(names, leaves, strict=True):
            path = store.path("shared", leaf)
            questions = [turn.content for turn in path if turn.role == "user"]
            assert questions == [f"{name} asks {index}" for index in range(rounds)]
            assert path[-1].content == f"{name} answers {rounds - 1} " * 2
            assert path[0].versions == len(names)
        assert len(store.tree("shared")) == len(names) * rounds * 2
        assert len(store.sessions()) == 1 + len(names) * rounds
        assert store.session("shared").head in leaves
        assert store.recover() == [] and store._read("SELECT * FROM leases") == []
    intact(file)


@pytest.mark.parametrize("name", ["a b?mode=memory#x%41.db", "ü'\".db"])
def test_odd_paths(tmp_path: Path, name: str) -> None:
    filled(tmp_path / name)
    with Store(tmp_path / name, read_only=True) as store:
        assert len(store.path("trip")) == 1
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".db"] == [name]

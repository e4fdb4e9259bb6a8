"""``memchat memory``: what it shows and changes of a session's facts, what it refuses, and that it loads no model."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memchat import paths
from memchat.cli.memory import app
from memchat.config import Settings, SqlSettings
from memchat.errors import MemchatError
from memchat.memory.registry import MODES
from memchat.memory.sql import exchange, factfile, history
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.table import ASSISTANT, OTHER, NewPerson
from memchat.session import Session
from memchat.store import Store
from tests.calling import invoke
from tests.fakes import FakeEngine
from tests.test_imports import HEAVY, ROOT
from tests.test_sql_facts import OTHER_PROCESS, damage, tell, values

ALL = (
    ("show",), ("export",), ("import", "facts.csv", "--yes"), ("forget", "user.dog"), ("reset", "--yes"), ("verify",),
)  # fmt: skip
"""Every command, as it would work in a session with a dog."""


call = partial(invoke, app)


def refused(code: int, *words: str, **how: Any) -> str:
    """The one line of a command that fails; it has a remedy."""
    result = call(*words, **how)
    assert result.exit_code == code and isinstance(result.exception, MemchatError), (result.output, result.exception)
    assert result.exception.remedy and "\n" not in str(result.exception)
    return str(result.exception)


def make(name: str, memory: str = "sql") -> None:
    with Store() as store:
        store.create_session(name, model="org/model", memory=memory)


def place(name: str) -> Path:
    with Store(read_only=True) as store:
        return store.memory_folder(store.session(name).id) / "sql" / "facts.db"


def facts(name: str) -> FactStore:
    return FactStore(place(name))


@pytest.fixture
def trip() -> str:
    make("trip")
    with facts("trip") as store:
        tell(store, "dog", "Rex", 7)
        tell(store, "city", "Lund", 9)
        tell(store, "cat", "Tom", 8, ASSISTANT)
        tell(store, "name", "Ann", 5)
        store.apply([], people=[NewPerson("Zoe", OTHER, (("pet", "a \x1b[31mnewt"),))], turn=11)
        history.edit(store, 1, "city", "Malmö")
    return "trip"


# --- which session


def test_the_session_used_last_is_meant(trip: str) -> None:
    make("other")
    with facts("other") as store:
        tell(store, "dog", "Bo")
    assert "user.dog: Bo (" in call("show").stdout
    assert "user.dog: Rex (" in call("show", "--session", "trip").stdout


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "sql"])
def test_a_memory_without_a_table_says_what_it_keeps_and_where_it_shows(
    mode: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("my trip", mode)
    monkeypatch.chdir(home)
    Path("facts.csv").write_text("relation,name,hat\nuser,Ann,red\n")
    for words in ALL:
        text = refused(2, *words)
        assert MODES[mode].summary in text and "memchat sessions export 'my trip'" in text
    assert not place("my trip").parent.exists()


def test_no_session_or_not_this_one(home: Path) -> None:
    assert "there are no sessions yet" in refused(1, "show") and not home.exists()
    make("trip")
    for words in (("show",), ("export",), ("forget", "user.dog"), ("reset", "--yes"), ("verify",)):
        assert "Did you mean 'trip'?" in refused(2, *words, "--session", "tripp")


def test_a_session_that_knows_nothing_yet_reads_as_empty_and_is_left_alone() -> None:
    make("new")
    assert "Nothing is known" in call("show").stderr and json.loads(call("show", "--json").stdout) == []
    assert (
        call("export", "--format", "csv").stdout_bytes
        == b"id,relation,name\r\n1,user,User\r\n2,assistant,Assistant\r\n"
    )
    assert call("verify").exit_code == 0
    assert not place("new").parent.exists()
    assert "nothing is known of user.dog" in refused(2, "forget", "user.dog")


# --- show


def test_show_tells_each_fact_with_its_origin(trip: str) -> None:
    result = call("show")
    lines = [line.partition(" (") for line in result.stdout.splitlines()]
    known = ["user.name: Ann", "user.dog: Rex", "user.city: Malmö", "assistant.cat: Tom", "Zoe.pet: a [31mnewt"]
    assert result.exit_code == 0 and [line[0] for line in lines] == known
    assert lines[0][2] == "model, message 5)"
    assert lines[1][2].startswith("since 20") and lines[1][2].endswith(", model, message 7)")
    assert lines[2][2].endswith(", user edit, locked)")


def test_show_filters_and_goes_back(trip: str) -> None:
    assert [line.split(" (")[0] for line in call("show", "USER.d").stdout.splitlines()] == ["user.dog: Rex"]
    nothing = call("show", "zebra")
    assert (nothing.exit_code, nothing.stdout) == (0, "") and "'zebra'" in nothing.stderr
    with facts("trip") as store:
        then = next(op.at for op in store.ops() if op.turn == 9)
    rows = json.loads(call("show", "--as-of", then, "--json").stdout)
    assert [(row["who"], row["field"], row["value"]) for row in rows] == [
        ("user", "dog", "Rex"),
        ("user", "city", "Lund"),
    ]
    rows = json.loads(call("show", "city", "--json").stdout)
    assert [(row["value"], row["source"], row["turn"], row["locked"]) for row in rows] == [
        ("Malmö", "user_edit", None, True)
    ]
    assert "'noon' is no time" in refused(2, "show", "--as-of", "noon")


# --- export and import


@pytest.mark.parametrize("format", exchange.FORMATS)
def test_export(trip: str, home: Path, format: str) -> None:
    result = call("export", "--format", format)
    with facts("trip") as store:
        expected = exchange.export(store, format)
    assert result.exit_code == 0 and result.stderr == ""
    skip = 1 if format == "jsonl" else 0  # its first line has the time
    assert result.stdout_bytes.decode().split("\n")[skip:] == expected.split("\n")[skip:]
    out = home / f"facts.{format}"
    out.write_text("older")
    written = call("export", "--format", format, "--out", str(out))
    assert written.exit_code == 0 and written.stdout == "" and "Wrote" in written.stderr
    assert out.read_bytes().split(b"\n")[skip:] == result.stdout_bytes.split(b"\n")[skip:]
    assert out.stat().st_mode & 0o777 == 0o600 and [f.name for f in home.glob("facts*")] == [out.name]


def test_export_fails_plainly(trip: str, home: Path) -> None:
    assert "unknown format 'jsn'. Did you mean 'jsonl'?" in refused(2, "export", "-f", "jsn", "-o", str(home / "x"))
    assert list(home.glob("x*")) == []
    assert "cannot write" in refused(1, "export", "--out", str(home / "no" / "x"))
    assert "cannot write" in refused(1, "export", "--out", str(home))
    assert call("export", "--out", "/dev/null").exit_code == 0 and not Path("/dev/null").is_file()


def test_a_round_trip_into_another_session_gives_the_identical_table(trip: str, home: Path) -> None:
    file = home / "facts.jsonl"
    call("export", "--out", str(file))
    make("copy")
    asked = call("import", str(file), input="n\n")
    assert asked.exit_code == 1 and "4 added, 1 changed, 0 kept, 0 refused; the history comes with" in asked.stderr
    assert "user.name: User → Ann" in asked.stderr and "Zoe.pet: a [31mnewt" in asked.stderr
    with facts("copy") as store:
        assert values(store) == {} and len(store.ops()) == 1
    done = call("import", str(file), input="y\n")
    assert done.exit_code == 0 and "Imported into 'copy'" in done.stderr
    with facts("trip") as one, facts("copy") as two:
        assert (two.table(), two.state(), two.ops()) == (one.table(), one.state(), one.ops())
    assert call("verify", "--session", "copy").exit_code == 0
    assert call("show", "--session", "copy").stdout == call("show", "--session", "trip").stdout


def test_imported_facts_hold_in_the_chat_and_a_restored_session_learns_nothing_twice(home: Path) -> None:
    def opened(store: Store, name: str) -> Session:
        settings = Settings(memory="sql", sql=SqlSettings(decoding="free"))
        return Session.open(store, FakeEngine(), settings, name)  # type: ignore[arg-type]

    file = str(home / "facts.jsonl")
    with Store() as store:
        with opened(store, "one") as session:
            list(session.ask("My dog is called Rex."))
        assert call("export", "--out", file, "--session", "one").exit_code == 0
        make("two")
        assert call("import", file, "--yes", "--session", "two").exit_code == 0
        with opened(store, "two") as session:
            list(session.ask("what is my dog?"))
            assert "user.dog: Rex" in session.engine.prompts[-1]  # type: ignore[attr-defined]
        assert call("reset", "--hard", "--yes", "--session", "one").exit_code == 0
        assert call("import", file, "--yes", "--session", "one").exit_code == 0
        with opened(store, "one") as session:
            assert session.engine.calls == []  # type: ignore[attr-defined]
    assert "user.dog: Rex" in call("show", "--session", "one").stdout


def test_a_merge_is_shown_before_it_is_done(home: Path) -> None:
    make("one")
    make("two")
    with facts("one") as one, facts("two") as two:
        history.edit(two, 1, "boss", "mine")
        for store in (two, one):
            tell(store, "same", "equal")
        tell(two, "changed", "old")
        for field in ("changed", "boss", "extra"):
            tell(one, field, "new")
        one.apply([], people=[NewPerson("Zoe", OTHER, (("pet", "cat"),))])
        before = two.table()
    file = str(home / "facts.jsonl")
    call("export", "--out", file, "--session", "one")
    asked = call("import", file, "--session", "two", input="n\n")
    assert asked.exit_code == 1 and "\n2 added, 1 changed, 1 kept, 1 refused\n" in asked.stderr
    for line in (
        "user.changed: old → new",
        "user.boss: new is refused: locked",
        "user.extra: new",
        "Zoe.pet: cat",
    ):
        assert f"{line}\n" in asked.stderr
    with facts("two") as two:
        assert two.table() == before
    assert call("import", file, "--session", "two", "--yes").exit_code == 0
    with facts("two") as two:
        assert values(two) == {"boss": "mine", "same": "equal", "changed": "new", "extra": "new"}
        count = len(two.ops())
    again = call("import", file, "--session", "two")
    assert again.exit_code == 0 and "There is nothing to import" in again.stderr
    with facts("two") as two:
        assert len(two.ops()) == count


def test_a_csv_is_known_by_its_name_and_standard_input_needs_yes(trip: str, home: Path) -> None:
    file = home / "facts.csv"
    call("export", "--format", "csv", "--out", str(file))
    rows = list(csv.DictReader(io.StringIO(file.read_text("utf-8"), newline="")))
    assert rows[0]["dog"] == "Rex"
    make("copy")
    assert call("import", str(file), "--yes").exit_code == 0
    with facts("trip") as one, facts("copy") as two:
        assert values(two) == values(one) and [p.name for p in two.table().people] == ["Ann", "Assistant", "Zoe"]
    text = call("export", "--session", "trip").stdout_bytes
    make("piped")
    assert "Add --yes" in refused(2, "import", "-", input=text)
    assert call("import", "-", "--yes", input=text).exit_code == 0
    with facts("trip") as one, facts("piped") as two:
        assert two.table() == one.table()


def test_what_cannot_be_imported_changes_nothing(trip: str, home: Path) -> None:
    good = call("export").stdout
    files = {
        "cut.jsonl": good[: len(good) // 2],
        "forged.jsonl": good.replace("Rex", "Bo"),
        "facts.md": call("export", "-f", "md").stdout,
        "plain.txt": "hello",
        "bad.csv": "name\nAnn\n",
    }
    for name, text in files.items():
        (home / name).write_text(text, "utf-8")
    (home / "binary.csv").write_bytes(b"relation,name\nuser,\xff\n")
    with facts("trip") as store:
        before = (store.state(), store.ops())
    for name, code, says in (
        ("cut.jsonl", 1, "no export of facts"),
        ("forged.jsonl", 1, "was changed by hand"),
        ("facts.md", 2, "Only these can be imported"),
        ("plain.txt", 1, "no export of facts"),
        ("bad.csv", 1, "no export of facts"),
        ("binary.csv", 1, "is not UTF-8"),
        ("absent.csv", 1, "cannot read"),
    ):
        assert says in refused(code, "import", str(home / name), "--yes")
    with facts("trip") as store:
        assert (store.state(), store.ops()) == before


# --- forget and reset


def test_forget_can_be_undone(trip: str) -> None:
    done = call("forget", "user.dog")
    assert done.exit_code == 0 and "forgotten: user.dog; undo brings it back." in done.stderr
    assert call("forget", "name").exit_code == 0 and call("forget", "zoe.pet").exit_code == 0
    with facts("trip") as store:
        assert values(store) == {"city": "Malmö"} and store.table().people[0].name == "User"
        history.undo(store, 3)
        assert values(store)["dog"] == "Rex" and store.table().people[0].name == "Ann"


def test_forget_names_what_it_does_not_know(trip: str) -> None:
    call("forget", "user.dog")
    for text in ("user.dog", "user.cat", "user.colour", "assistant.name"):
        assert f"nothing is known of {text}. 'memchat memory show'" in refused(2, "forget", text)
    assert "nothing is known of user.colour" in refused(2, "forget", "user.colour", "--erase", "--yes")
    assert "unknown person 'usr'. Did you mean 'user'?" in refused(2, "forget", "usr.dog")
    assert call("forget").exit_code == 2


def holds(text: str) -> bool:
    """Whether a file of any memory has these bytes."""
    files = [file for file in (paths.data_dir() / "memory").rglob("*") if file.is_file()]
    assert files
    return any(text.encode() in file.read_bytes() for file in files)


def test_an_erased_fact_leaves_no_byte(trip: str) -> None:
    with facts("trip") as store:
        tell(store, "dog", "Biscuitville", 13, raw="UPDATE users SET dog = 'Biscuitville';")
        tell(store, "home", "near Biscuitville", 14)
    call("reset", "--yes")  # leaves a copy, and the fact is known no more
    assert holds("Biscuitville")
    asked = call("forget", "user.dog", "--erase", input="n\n")
    assert asked.exit_code == 1 and "Erase user.dog of 'trip' for good" in asked.stderr and holds("Biscuitville")
    with facts("trip") as store:
        history.undo(store)
    done = call("forget", "user.dog", "--erase", input="y\n")
    assert done.exit_code == 0 and "Erased user.dog, and " in done.stderr and "also stands in user.home" in done.stderr
    assert call("forget", "user.home", "--erase", "--yes").exit_code == 0
    assert not holds("Biscuitville")
    with facts("trip") as store:
        assert values(store) == {"city": "Malmö"} and history.history(store, 1, "dog") == []
    assert call("verify").exit_code == 0


@pytest.mark.parametrize("words", [("forget", "user.dog", "--erase"), ("reset", "--hard")])
def test_a_reader_that_keeps_the_bytes_is_told(
    trip: str, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(factfile, "BUSY_SECONDS", 0.1)
    with facts("trip") as store:
        tell(store, "dog", "Biscuitville")
        reader = sqlite3.connect(store.path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM fact").fetchall()
    assert "another program reads it. Close the other program" in refused(1, *words, "--yes")
    assert "Biscuitville" not in call("show").stdout and holds("Biscuitville")
    reader.close()
    with facts("trip"):
        pass
    assert not holds("Biscuitville")


def test_reset_asks_and_can_be_undone(trip: str) -> None:
    asked = call("reset", input="n\n")
    assert asked.exit_code == 1 and "Empty the table of 'trip'?" in asked.stderr
    assert call("reset", input="").exit_code == 1, "nobody there to answer"
    assert "user.dog: Rex" in call("show").stdout
    done = call("reset", input="y\n")
    assert done.exit_code == 0 and "The table is empty; undo brings it back" in done.stderr
    assert call("show").stdout.startswith("user.name: Ann") and "user.dog" not in call("show").stdout
    (copy,) = place("trip").parent.glob("facts.export-*.jsonl")
    assert str(copy) in done.stderr
    with facts("trip") as store:
        history.undo(store)
        assert values(store) == {"dog": "Rex", "city": "Malmö"}


def test_a_hard_reset_erases(trip: str) -> None:
    asked = call("reset", "--hard", input="n\n")
    assert asked.exit_code == 1 and "for good" in asked.stderr and holds("Malmö")
    done = call("reset", "--hard", "--yes")
    assert done.exit_code == 0 and "Everything is erased." in done.stderr and not holds("Malmö")
    assert call("show").stdout == "user.name: Ann\n", "names stay"
    assert call("verify").exit_code == 0


# --- verify, and files that are not as they should be


def test_verify_finds_what_was_changed_behind_its_back(trip: str) -> None:
    fine = call("verify")
    assert (fine.exit_code, fine.stdout) == (0, "") and "Nothing was changed" in fine.stderr
    with sqlite3.connect(place("trip")) as db:
        db.execute("UPDATE fact SET value = 'Bo' WHERE value = 'Rex'")
    db.close()
    found = call("verify")
    assert found.exit_code == 1 and "the facts are not those that the operations lead to\n" in found.stdout
    assert "'trip' are not as memchat left them" in refused(1, "verify")


def test_a_damaged_file_is_read_from_its_backup_and_not_written(trip: str) -> None:
    file = place("trip")
    damage(file, "header")
    shown = call("show")
    assert shown.exit_code == 0 and "user.dog: Rex" in shown.stdout
    assert "is damaged; its backup facts.backup-" in shown.stderr and shown.stderr.count("\n") == 1
    refused(1, "verify")
    for words in (("forget", "user.dog"), ("reset", "--yes")):
        assert "Copy that backup to facts.db beside it" in refused(1, *words)
    shutil.copyfile(max(file.parent.glob("facts.backup-*")), file)  # the remedy
    assert call("forget", "user.dog").exit_code == 0 and call("verify").exit_code == 0


def test_a_damaged_file_without_a_backup_is_one_line(trip: str) -> None:
    for backup in place("trip").parent.glob("*.backup-*"):
        backup.unlink()
    damage(place("trip"), "header")
    for words in (("show",), ("verify",), ("export",), ("forget", "user.dog")):
        assert "There is no backup" in refused(1, *words)


def test_facts_that_another_process_has_open_can_be_read_only(trip: str, home: Path) -> None:
    file = home / "facts.jsonl"
    call("export", "--out", str(file))
    command = [sys.executable, "-c", OTHER_PROCESS, str(place("trip"))]
    how: dict[str, Any] = {"env": os.environ | {"PYTHONPATH": str(ROOT)}, "text": True}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **how) as process:
        assert process.stdout and process.stdout.readline() == "False\n"
        assert "user.dog: Rex" in call("show").stdout
        assert call("verify").exit_code == 0 and call("export").exit_code == 0
        for words in (("forget", "user.dog"), ("reset", "--yes"), ("import", str(file), "--yes")):
            text = refused(1, *words)
            assert f"(process {process.pid})" in text and "Close it there first" in text
        process.kill()
    assert call("forget", "user.dog").exit_code == 0


# --- no model


EVERYTHING = """
import json, sys
from typer.testing import CliRunner
from memchat.cli.main import app

codes = [CliRunner().invoke(app, ["memory", *words]).exit_code for words in json.loads(sys.argv[1])]
print(codes, sorted(set(json.loads(sys.argv[2])) & set(sys.modules)))
"""


def test_no_command_loads_torch(trip: str, home: Path) -> None:
    (home / "facts.csv").write_text("relation,name,hat\nuser,Ann,red\n")
    words = json.dumps([["--help"], *ALL])
    done = subprocess.run(
        [sys.executable, "-c", EVERYTHING, words, json.dumps(sorted(HEAVY))],
        cwd=home,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "[0, 0, 0, 0, 0, 0, 0] []\n", done.stdout + done.stderr
    with facts("trip") as store:
        assert values(store) == {} and store.ops()[-1].kind == "reset"

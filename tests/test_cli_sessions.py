"""``memchat sessions``: what it prints, what it changes, how it fails."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from memchat import paths
from memchat.cli.sessions import app, complete_session
from memchat.store import Store
from tests.calling import invoke


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMCHAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


@pytest.fixture
def filled() -> None:
    with Store() as store:
        for name, text in (("trip", "Where did I park?"), ("cooking", "How long for an egg?\n\x1b[31m[red]x")):
            session = store.create_session(name, model="org/model", memory="window")
            user = store.add_turn(session.id, "user", text, parent=None)
            store.add_turn(session.id, "assistant", f"About {name}: ü.", parent=user.id)


call = partial(invoke, app)


def names() -> list[str]:
    with Store(read_only=True) as store:
        return [row.name for row in store.sessions()]


def test_list_without_a_store_creates_nothing(home: Path) -> None:
    result = call("list")
    assert (result.exit_code, result.stdout) == (0, "") and "No sessions yet" in result.stderr
    assert call("list", "--json").stdout.strip() == "[]"
    assert not (home / "home").exists()


def test_list_shows_a_table(filled: None) -> None:
    result = call("list")
    lines = [line for line in result.stdout.splitlines() if line.strip()]
    assert result.exit_code == 0 and len(lines) == 3
    assert lines[1].startswith("cooking") and "How long for an egg? [31m[red]x" in lines[1]
    assert lines[2].startswith("trip") and "window" in lines[2] and " model " in lines[2]
    assert "\x1b" not in result.stdout


def test_list_as_json_and_filtered(filled: None) -> None:
    rows = json.loads(call("list", "--json").stdout)
    assert [row["name"] for row in rows] == ["cooking", "trip"]
    assert rows[1]["turns"] == 2 and rows[1]["preview"] == "Where did I park?"
    assert [row["name"] for row in json.loads(call("list", "egg", "--json").stdout)] == ["cooking"]
    assert [row["name"] for row in json.loads(call("list", "--json", "--limit", "1").stdout)] == ["cooking"]
    result = call("list", "zebra")
    assert result.exit_code == 0 and "No session has 'zebra'" in result.stderr
    assert call("list", "--limit", "0").exit_code == 2


def test_rename(filled: None) -> None:
    assert call("rename", "trip", "tour").exit_code == 0
    assert sorted(names()) == ["cooking", "tour"]
    assert call("rename", "tour", "cooking").exit_code == 1
    assert call("rename", "nothing", "x").exit_code == 2
    assert call("rename", "tour", " ").exit_code == 2
    assert call("rename", "tour").exit_code == 2
    assert sorted(names()) == ["cooking", "tour"]


def test_delete_asks(filled: None) -> None:
    refused = call("delete", "trip", input="n\n")
    assert refused.exit_code == 1 and "'trip' (2 messages)" in refused.stderr
    assert call("delete", "trip", input="").exit_code == 1, "nobody there to answer"
    assert sorted(names()) == ["cooking", "trip"]
    assert call("delete", "trip", input="y\n").exit_code == 0
    assert names() == ["cooking"]


def test_delete_several_or_none(filled: None) -> None:
    assert call("delete", "trip", "nothing", "--yes").exit_code == 2
    assert len(names()) == 2
    assert call("delete", "trip", "trip", "cooking", "--yes").exit_code == 0
    assert names() == []


def test_delete_says_that_a_session_is_open(filled: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Store, "open_elsewhere", lambda self, key: (4711, "now"))
    assert "'trip' is open in another memchat (process 4711)" in call("delete", "trip", input="n\n").stderr


@pytest.mark.parametrize(("format", "begins"), [("json", "{"), ("md", "# trip"), ("html", "<!doctype html>")])
def test_export(filled: None, home: Path, format: str, begins: str) -> None:
    result = call("export", "trip", "--format", format)
    assert result.exit_code == 0 and result.stdout.startswith(begins) and "About trip: ü." in result.stdout
    assert result.stderr == ""
    out = home / f"trip.{format}"
    out.write_text("older")
    written = call("export", "trip", "--format", format, "--out", str(out))
    assert written.exit_code == 0 and written.stdout == "" and "Wrote" in written.stderr
    assert out.read_bytes() == result.stdout_bytes
    assert list(home.glob("*.tmp")) == []


def test_export_fails_plainly(filled: None, home: Path) -> None:
    assert call("export", "nothing").exit_code == 2
    assert call("export", "trip", "--format", "pdf").exit_code == 2
    result = call("export", "trip", "--out", str(home / "no" / "folder" / "x"))
    assert result.exit_code == 1 and "cannot write" in str(result.exception)
    (home / "folder").mkdir()
    assert call("export", "trip", "--out", str(home / "folder")).exit_code == 1
    assert call("export", "trip", "--out", "/dev/null").exit_code == 0 and not Path("/dev/null").is_file()


@pytest.mark.parametrize("format", ["json", "md"])
def test_export_and_import(filled: None, home: Path, format: str) -> None:
    out = home / "trip"
    call("export", "trip", "--format", format, "--out", str(out))
    result = call("import", str(out))
    assert result.exit_code == 0 and "Imported 'trip-2' (2 messages)" in result.stderr
    assert call("import", "-", input=out.read_bytes()).exit_code == 0
    assert sorted(names()) == ["cooking", "trip", "trip-2", "trip-3"]


def test_imported_conversations_get_the_users_model_and_mode(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMCHAT_MEMORY", "window")
    line = {"id": "c", "sessions": [{"at": None, "turns": [{"role": "user", "content": "hi"}]}], "probes": []}
    assert call("import", "-", input=json.dumps(line)).exit_code == 0
    (row,) = json.loads(call("list", "--json").stdout)
    assert (row["model"], row["memory"], row["turns"]) == ("starter", "window", 1)


def test_import_fails_plainly(home: Path) -> None:
    binary = home / "binary"
    binary.write_bytes(b"# T\n\n## User\n\xff\xfe")
    for words, message in (
        (("import", str(home / "absent")), "cannot read"),
        (("import", str(home)), "cannot read"),
        (("import", str(binary)), "line 4: "),
        (("import", "-"), "line 1: "),
    ):
        result = call(*words, input="")
        assert result.exit_code == 1 and message in str(result.exception)
    assert call("import", str(binary), "--format", "html").exit_code == 1
    binary.write_text("x")
    assert call("import", str(binary), "--format", "html").exit_code == 2
    assert call("import").exit_code == 2
    assert names() == []


def test_a_damaged_store_is_one_line(filled: None) -> None:
    paths.store_path().write_bytes(b"damaged" * 1000)
    for words in (("list",), ("export", "trip"), ("delete", "trip", "--yes"), ("rename", "trip", "x")):
        result = call(*words)
        assert result.exit_code == 1 and "is not a memchat store. Move it away" in str(result.exception)
    assert complete_session("") == []
    assert paths.store_path().read_bytes() == b"damaged" * 1000


def test_names_are_completed(filled: None) -> None:
    assert complete_session("tr") == ["trip"]
    assert complete_session("") == ["cooking", "trip"]

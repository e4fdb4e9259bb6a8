"""``memchat models`` and ``memchat adapters``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from memchat.cli.main import app
from memchat.errors import MemchatError, UsageError
from tests.fake_hub import FakeHub, serving
from tests.tiny import tiny_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMCHAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf/hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("memchat.paths.shipped", lambda *parts: tmp_path.joinpath("shipped", *parts))
    return tmp_path / "home"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    folder = tiny_folder(tmp_path, "llama")
    with serving(FakeHub({"tiny/llama": {p.name: p.read_bytes() for p in folder.iterdir()}})) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def run(*arguments: str, input: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=input)


def fails(*arguments: str) -> MemchatError:
    error = run(*arguments).exception
    assert isinstance(error, MemchatError)
    return error


def test_download_list_remove(served: FakeHub, home: Path) -> None:
    done = run("models", "download", "tiny/llama")
    assert done.exit_code == 0, done.output
    folder = home / "data/models/tiny/llama"
    assert done.stdout == f"{folder}\n"
    assert "100%" in done.stderr or "/" in done.stderr
    again = run("models", "download", "tiny/llama")
    assert "already here" in again.stderr and again.stdout == ""
    listed = json.loads(run("models", "list", "--json").stdout)
    assert [(row["id"], row["source"], row["path"]) for row in listed] == [("tiny/llama", "memchat", str(folder))]
    assert "tiny/llama" in run("models", "list").stdout
    kept = run("models", "remove", "tiny/llama", input="n\n")
    assert kept.exit_code == 1 and folder.is_dir()
    removed = run("models", "remove", "tiny/llama", input="y\n")
    assert removed.exit_code == 0 and "freed" in removed.stderr
    assert not folder.exists()
    assert "No model is here" in run("models", "list").stderr


def test_a_stopped_download_is_listed_and_resumed(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from memchat.engine import hub

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hub, "_stream", interrupted)
        error = fails("models", "download", "tiny/llama")
    assert "was stopped" in error.message and "run it again" in error.remedy
    listed = json.loads(run("models", "list", "--json").stdout)
    assert [(row["id"], row["source"]) for row in listed] == [("tiny/llama", "unfinished")]
    assert run("models", "download", "tiny/llama").exit_code == 0
    assert [row["source"] for row in json.loads(run("models", "list", "--json").stdout)] == ["memchat"]


def test_wrong_names() -> None:
    assert isinstance(fails("models", "download", "starter"), UsageError)
    assert "Did you mean 'Qwen/Qwen3-0.6B'?" in fails("models", "download", "qwen3-0.6b").remedy
    assert isinstance(fails("models", "remove", "a/b", "--yes"), MemchatError)


def test_recommend_judges_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memchat.engine.device.free_memory", lambda _: 4 * 10**9)
    monkeypatch.setattr("memchat.engine.device.memory_bandwidth", lambda _: 25e9)
    answer = json.loads(run("models", "recommend", "--json").stdout)
    assert answer["machine"]["free_bytes"] == 4 * 10**9
    assert answer["models"][0]["fits"] and not answer["models"][0]["model"]["gated"]
    assert not answer["models"][-1]["fits"]
    table = run("models", "recommend")
    for entry in answer["models"]:
        assert entry["model"]["id"] in table.stdout
    assert "too large" in table.stdout
    assert "4.0 GB are free" in table.stderr


def test_adapters_list_and_show(home: Path, tmp_path: Path) -> None:
    empty = run("adapters", "list")
    assert empty.exit_code == 0 and "No adapter is here" in empty.stderr and "memchat train" in empty.stderr
    assert "memchat train" in fails("adapters", "show", "starter/ccm").remedy
    mine, theirs = home / "data/adapters/starter/ccm", tmp_path / "shipped/adapters/starter/ccm"
    other = tmp_path / "shipped/adapters/starter/sql"
    for folder in (mine, theirs, other):
        folder.mkdir(parents=True)
        (folder / "config.json").write_text('{"rank": 8}')
    (mine / "card.md").write_text("# My adapter\n\nMade by hand.")
    (mine / "metrics.json").write_text('{"recall": 0.5}')
    listed = json.loads(run("adapters", "list", "--json").stdout)
    assert [(row["method"], row["shipped"]) for row in listed] == [("ccm", False), ("sql", True)]
    assert listed[0]["path"] == str(mine), "the user's adapter stands before the shipped one"
    shown = run("adapters", "show", "starter/ccm").stdout
    assert "My adapter" in shown and '"rank": 8' in shown and '"recall": 0.5' in shown
    assert json.loads(run("adapters", "show", "starter/sql", "--json").stdout)["metrics"] is None
    assert "did you mean" in fails("adapters", "show", "starter/cmm").remedy.lower()
    (mine / "metrics.json").write_text("{")
    assert "damaged" in fails("adapters", "show", "starter/ccm").message

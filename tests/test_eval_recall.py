"""The evaluation of recall, over real sessions: what is in view, what it counts, and that it can be stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memchat.config import EngineSettings, Settings, load_settings
from memchat.data.formats import Conversation, Probe, Turn, write_conversations
from memchat.data.formats import Session as Sitting
from memchat.errors import MemchatError, UsageError
from memchat.evals import figures
from memchat.evals.probesets import FIT, Wanted, select
from memchat.evals.recall import Task, run
from memchat.session import Session
from memchat.store import Store
from tests.fakes import FakeEngine
from tests.tiny import tiny_folder

ROOT = Path(__file__).resolve().parent.parent
TIMES = {"recall_ms", "write_ms", "ttft_ms", "tokens_per_s", "wall_s"}


class Parrot(FakeEngine):
    """Replies with everything it sees but the question: right exactly when the answer is in view."""

    def _words(self, prompt: str, last: str) -> list[str]:
        return prompt.removesuffix(last).split()


@pytest.fixture
def store() -> Iterator[Store]:
    with Store() as opened:
        yield opened


def conversation(name: str, fillers: int = 4) -> Conversation:
    """A fact, small talk, a second sitting with another fact; three probes."""
    talk = [Turn(role, f"small talk {i}") for i in range(fillers) for role in ("user", "assistant")]
    first = Sitting([Turn("user", f"my dog is Rex{name}", name="Ann"), Turn("assistant", "nice"), *talk])
    second = Sitting([Turn("user", "my cat is Tom"), Turn("assistant", "")], at="2024-05-03T10:00:00")
    probes = [
        Probe("dog?", [f"Rex{name}"], "fact", [(0, 0)]),
        Probe("cat?", ["Tom"], "update", [(1, 0)], superseded=["Felix"]),
        Probe("bird?", [], "abstain"),
    ]
    return Conversation(name, [first, second], probes)


@pytest.fixture
def data(tmp_path: Path) -> str:
    path = tmp_path / "told.jsonl"
    write_conversations(path, [conversation("a"), conversation("b", 6), conversation("c", 1)])
    return str(path)


def timeless(value: Any) -> Any:
    """A result or a line without what differs from run to run."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES and k != "ms"}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "transcripts.jsonl").read_text("utf-8").splitlines()]


# -- the session ------------------------------------------------------------------------------------------------------


def test_what_is_added_is_stored_and_remembered(store: Store) -> None:
    session = Session.open(store, Parrot(), Settings())
    receipt = session.add("user", "my dog is Rex", name="Ann", at="2024-05-03T10:00:00")
    session.add("assistant", "nice")
    assert receipt.added == 1 and not session.engine.prompts
    first, second = store.path(session.row.id)
    assert (first.content, first.name, first.at) == ("my dog is Rex", "Ann", "2024-05-03T10:00:00")
    assert (second.role, second.parent, second.name) == ("assistant", first.id, None)
    assert "my dog is Rex" in "".join(e.text for e in session.ask("dog?") if e.kind == "token")
    with pytest.raises(UsageError, match="empty"):
        session.add("user", " ")


def test_a_probe_answers_as_ask_would_and_leaves_no_trace(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from memchat.memory import registry

    monkeypatch.setitem(registry.MODES, "diary", registry.Mode("tests.toy_memory:Diary", "a toy"))
    for mode in ("full", "window", "none", "diary"):
        session = Session.open(store, Parrot(), Settings(memory=mode))
        for i in range(4):
            list(session.ask(f"hello {i}"))
        before = (store.tree(session.row.id), session.row, session.items(), session.prompt(), _state(session))
        events = list(session.probe("dog?"))
        assert [e.kind for e in events if e.kind != "token"] == ["recalled", "stats", "finished"]
        assert (store.tree(session.row.id), session.row, session.items(), session.prompt(), _state(session)) == before
        asked = [e for e in session.ask("dog?") if e.kind in ("token", "recalled", "stats")]
        for probe, ask in zip((e for e in events if e.kind != "finished"), asked, strict=True):
            probe.ms = ask.ms = 0
            assert probe == ask


def _state(session: Session) -> dict[str, bytes]:
    """Every byte that the memory would save."""
    folder = Path(os.environ["MEMCHAT_HOME"]) / "state"
    folder.mkdir(parents=True, exist_ok=True)
    session.memory.save(folder)
    return {f.name: f.read_bytes() for f in folder.iterdir()}


# -- the run ----------------------------------------------------------------------------------------------------------


def test_full_sees_everything_and_window_what_is_near(tmp_path: Path, data: str) -> None:
    result = run(Task(["full", "window", "none"], Wanted(data)), Parrot(), Settings(), tmp_path / "out")
    full, window, none = result["rows"]
    assert [row["memory"] for row in result["rows"]] == ["full", "window", "none"]
    assert result == json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    assert full["overall"]["n"] == 9 and full["overall"]["right"] == 6, "a parrot never says that it does not know"
    assert full["in_view"]["accuracy"] == 1 and full["out_of_view"]["n"] == 0
    assert full["overall"]["evidence_recall"] == 1
    # six messages are kept: all five of c, and of the others only the second fact
    assert window["kinds"]["fact"]["right"] == 1 and window["kinds"]["update"]["right"] == 3
    assert (window["in_view"]["n"], window["out_of_view"]["n"]) == (4, 2)
    assert window["out_of_view"]["accuracy"] == 0 and window["in_view"]["accuracy"] == 1
    assert none["in_view"]["n"] == 0 and none["in_view"]["accuracy"] is None and none["overall"]["right"] == 0
    assert none["prompt_tokens"]["max"] < window["prompt_tokens"]["max"] < full["prompt_tokens"]["max"]
    assert full["bytes"]["host"]["max"] > 0 and full["write_ms"]["p95"] > 0


def test_every_probe_has_its_line(tmp_path: Path, data: str) -> None:
    run(Task(["window"], Wanted(data)), Parrot(), Settings(), tmp_path / "out")
    found = lines(tmp_path / "out")
    assert [(row["conversation"], row["probe"]) for row in found] == [(c, i) for c in "abc" for i in range(3)]
    dog, cat, bird = found[:3]
    assert (dog["kind"], dog["right"], dog["in_view"], dog["answers"]) == ("fact", False, 0, ["Rexa"])
    assert (cat["right"], cat["in_view"], cat["exact"], cat["superseded"]) == (True, 1, False, ["Felix"])
    assert (bird["in_view"], bird["exact"], bird["f1"]) == (None, None, None)
    assert cat["reply"].endswith("user: my cat is Tom user:") and cat["prompt_tokens"] > 8


def test_a_share_of_the_evidence_counts_as_out_of_view(tmp_path: Path) -> None:
    told = conversation("a")
    told.probes = [Probe("pets?", ["Tom"], "count", [(0, 0), (1, 0)])]
    write_conversations(tmp_path / "x.jsonl", [told])
    (row,) = run(Task(["window"], Wanted(str(tmp_path / "x.jsonl"))), Parrot(), Settings(), tmp_path / "out")["rows"]
    assert row["out_of_view"]["n"] == 1 and row["in_view"]["n"] == 0
    assert row["overall"]["evidence_recall"] == 0.5


@pytest.mark.parametrize("stop", [1, 3, 7, 9, 13])
def test_an_interrupted_run_continues_to_the_same_result(tmp_path: Path, data: str, stop: int) -> None:
    task = Task(["full", "window"], Wanted(data))
    whole = run(task, Parrot(), Settings(), tmp_path / "whole")

    def interrupt(total: int, memory: str, done: int) -> None:
        assert total == 18
        if done == stop:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(task, Parrot(), Settings(), out, report=interrupt)
    assert len(lines(out)) == stop and not (out / "result.json").exists()
    with (out / "transcripts.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"memory": "full", "conv')  # as a crash leaves it
    engine = Parrot()
    again = run(task, engine, Settings(), out, resume=True)
    assert len(engine.prompts) == 18 - stop, "nothing is asked twice"
    assert timeless(again) == timeless(whole) and timeless(lines(out)) == timeless(lines(tmp_path / "whole"))
    engine = Parrot()
    assert run(task, engine, Settings(), out, resume=True) == again and not engine.prompts


def test_a_real_model_resumes_to_the_same_result(tmp_path: Path, data: str) -> None:
    from memchat.engine.engine import Engine

    settings = load_settings({"generation.max_new_tokens": 8})
    engine = Engine.load(str(tiny_folder(tmp_path)), EngineSettings(device="cpu", dtype="float32"))
    task = Task(["full", "window"], Wanted(data, n=2))
    whole = run(task, engine, settings, tmp_path / "whole")
    assert whole["weight_hash"] and all(row["reply"] for row in lines(tmp_path / "whole"))
    assert whole["rows"][0]["tokens_per_s"]["median"] > 0 and whole["rows"][0]["ttft_ms"]["p95"] > 0

    def interrupt(total: int, memory: str, done: int) -> None:
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(task, engine, settings, tmp_path / "out", report=interrupt)
    engine.reset()
    assert timeless(run(task, engine, settings, tmp_path / "out", resume=True)) == timeless(whole)


def test_a_folder_with_results_is_not_overwritten_by_accident(tmp_path: Path, data: str) -> None:
    task, out = Task(["none"], Wanted(data)), tmp_path / "out"
    run(task, Parrot(), Settings(), out)
    with pytest.raises(UsageError, match="not empty"):
        run(task, Parrot(), Settings(), out)
    with pytest.raises(UsageError, match="other settings: memories was .*none.*, is .*full"):
        run(Task(["full"], Wanted(data)), Parrot(), Settings(), out, resume=True)
    with pytest.raises(UsageError, match="other settings: system was"):
        run(task, Parrot(), Settings(system="Be kind."), out, resume=True)
    write_conversations(Path(data), [conversation("other")])
    with pytest.raises(UsageError, match="other settings: data_hash was"):
        run(task, Parrot(), Settings(), out, resume=True)
    (out / "notes.txt").write_text("mine")
    assert run(task, Parrot(), Settings(), out, force=True)["rows"][0]["overall"]["n"] == 3
    assert len(lines(out)) == 3 and (out / "notes.txt").read_text() == "mine"
    with pytest.raises(MemchatError, match="cannot write"):
        run(task, Parrot(), Settings(), Path(data) / "below-a-file")


def test_limits_choose_conversations_by_the_tokens_of_the_full_prompt(tmp_path: Path, data: str) -> None:
    def chosen(engine: Parrot | None = None, **limits: int) -> list[str]:
        folder = tmp_path / f"{limits}"
        run(Task(["none"], Wanted(data, **limits)), engine or Parrot(), Settings(), folder)
        return [row["conversation"] for row in lines(folder) if row["probe"] == 0]

    # "user: my dog is Rexa" 5, nice 2, small talk 4 each, "user: my cat is Tom" 5, "user: bird?" 2
    assert chosen() == ["a", "b", "c"]
    assert chosen(limit_tokens=14 + 4 * 8) == ["a", "c"]
    assert chosen(limit_tokens=13 + 4 * 8) == ["c"]
    assert chosen(min_tokens=14 + 4 * 8) == ["a", "b"]
    assert chosen(Parrot(context=60), limit_tokens=FIT) == ["c"], "a quarter is kept for the reply"
    with pytest.raises(MemchatError, match="3 are too long or too short"):
        chosen(limit_tokens=5)


def test_the_world_is_searched_until_enough_conversations_fit() -> None:
    sizes = (300, 3000)
    every = select(Wanted("world", n=6, sizes=sizes), _letters)
    some = select(Wanted("world", n=6, sizes=sizes, limit_tokens=1500), _letters)
    assert len(every.conversations) == len(some.conversations) == 6 and some.left_out > 0
    assert max(some.tokens) <= 1500 < max(every.tokens)
    assert some.digest == select(Wanted("world:test", n=6, sizes=sizes, limit_tokens=1500), _letters).digest
    assert some.digest != select(Wanted("world:valid", n=6, sizes=sizes, limit_tokens=1500), _letters).digest


def _letters(told: Conversation) -> int:
    return sum(len(turn.content) for sitting in told.sessions for turn in sitting.turns)


def test_data_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'everyday'"):
        select(Wanted("evryday"), _letters)
    with pytest.raises(UsageError, match="world:test"):
        select(Wanted("world:tset"), _letters)
    with pytest.raises(MemchatError, match="cannot read"):
        select(Wanted(str(tmp_path / "absent.jsonl")), _letters)
    write_conversations(tmp_path / "twice.jsonl", [conversation("a"), conversation("a")])
    with pytest.raises(MemchatError, match="two conversations 'a'"):
        select(Wanted(str(tmp_path / "twice.jsonl")), _letters)


# -- figures ----------------------------------------------------------------------------------------------------------


def _probe(name: str, right: bool, f1: float | None = None, in_view: float | None = None) -> dict[str, Any]:
    return {
        "conversation": name,
        "right": right,
        "exact": None if f1 is None else f1 == 1,
        "f1": f1,
        "in_view": in_view,
    }


def test_scores_by_hand() -> None:
    rows = [_probe("a", True, 1.0, 1.0), _probe("a", True, 0.5, 0.5), _probe("b", False, 0.0), _probe("b", True)]
    score = figures.score(rows)
    assert (score["n"], score["right"], score["accuracy"]) == (4, 3, 0.75)
    assert score["interval"] == pytest.approx([0.3006, 0.9544], abs=1e-4)
    assert (score["exact_match"], score["token_f1"], score["evidence_recall"]) == (1 / 3, 0.5, 0.75)
    assert figures.score([])["accuracy"] is None


def test_thirds_by_length() -> None:
    tokens = {name: length for length, name in enumerate("gfedcba", 10)}
    parts = figures.by_length([_probe(name, name in "ga") for name in "abcdefg"], tokens)
    assert [(p["part"], p["tokens"], p["conversations"], p["right"]) for p in parts] == [
        ("shortest", [10, 11], 2, 1),
        ("middle", [12, 14], 3, 0),
        ("longest", [15, 16], 2, 1),
    ]
    assert [p["part"] for p in figures.by_length([_probe("a", True)], {"a": 5})] == ["middle"]


def test_medians_and_tails() -> None:
    assert figures.spread([3, None, 1, 2], max=max) == {"median": 2, "max": 3}
    assert figures.spread([None], p95=figures.p95) == {"median": None, "p95": None}
    assert figures.p95([float(i) for i in range(101)]) == 95 and figures.p95([7.0]) == 7


# -- the command ------------------------------------------------------------------------------------------------------


def command(*arguments: str, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tests.fake_memchat", "eval", "recall", "--model", "fake", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=120, **kwargs)


def test_the_command_prints_tables_and_how_to_do_it_again(home: Path, data: str) -> None:
    flags = ("--memory", "full", "--memory", "none", "--data", data, "--set", "remember.window_turns=3")
    done = command(*flags)
    assert done.returncode == 0, done.stderr
    for text in ("Recall of fake on", "evidence out of view", "shortest third", "recall ms"):
        assert text in done.stdout
    again = f"--memory full --memory none --model fake --data {data} --n 300 --seed 0 --set remember.window_turns=3"
    assert f"again: memchat eval recall {again}" in done.stdout
    (folder,) = (home / "data" / "evals").iterdir()
    assert f"{folder}" in done.stdout and folder.name.startswith("recall-fake-told-")
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert result["generation"]["temperature"] == 0 and result["generation"]["max_new_tokens"] == 48


def test_the_command_prints_json(tmp_path: Path, data: str) -> None:
    done = command("--data", data, "--json", "--out", str(tmp_path / "out"), "--limit-tokens", "fit", "--n", "2")
    assert json.loads(done.stdout) == json.loads((tmp_path / "out" / "result.json").read_text("utf-8"))
    assert done.stderr.count("\n") == 1 and "--limit-tokens fit" in json.loads(done.stdout)["command"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--resume"], "needs the folder"),
        (["--memory", "ful"], "Did you mean 'full'"),
        (["--size", "9-3"], "is no range"),
        (["--limit-tokens", "many"], "is no number"),
        (["--data", "nothing"], "unknown data"),
    ],
)
def test_wrong_usage_is_one_line(flags: list[str], message: str) -> None:
    done = command(*flags)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr


def test_ctrl_c_leaves_a_run_that_can_be_continued(tmp_path: Path) -> None:
    told, path, out = conversation("a"), tmp_path / "slow.jsonl", tmp_path / "out"
    told.probes = [Probe(f"slow question number {i}", ["you"], "fact") for i in range(12)]
    write_conversations(path, [told])
    line = [sys.executable, "-m", "tests.fake_memchat", "eval", "recall", "--model", "fake"]
    flags = ["--data", str(path), "--out", str(out)]
    with subprocess.Popen([*line, *flags], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(600):
            if (out / "transcripts.jsonl").exists() and len(lines(out)) >= 2:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in errors
    assert "memchat: stopped; what was asked is kept. Go on: memchat eval recall" in errors and "--resume" in errors
    assert 2 <= len(lines(out)) < 12
    assert command(*flags, "--resume").returncode == 0
    assert [row["probe"] for row in lines(out)] == list(range(12))

"""The evaluation of the SQL memory: what it counts, by hand; predict, judge and report over a scripted engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from memchat.config import Settings, load_settings
from memchat.data.formats import Conversation, Probe, Session, Turn, write_conversations
from memchat.engine.adapters import Adapter
from memchat.engine.run import Outcome
from memchat.errors import MemchatError
from memchat.evals import judge as judges
from memchat.evals.probesets import Wanted
from memchat.evals.recall import Task, check_unseen, run
from memchat.evals.sql_figures import failure, figures, mcnemar, rouge_l, rung
from memchat.evals.sql_record import read_probes, write_record
from memchat.evals.transcripts import read_lines
from memchat.evals.variants import applied
from tests.fakes import FakeEngine, marked
from tests.tiny import tiny_folder

ROOT = Path(__file__).resolve().parent.parent


class Reader(FakeEngine):
    """Answers with everything it sees, the rows of the memory among it; as storage agent it makes chosen mistakes."""

    def _words(self, prompt: str, last: str) -> list[str]:
        return prompt.removesuffix(last).split()

    def sql_for(self, prompt: str) -> str:
        last = marked(prompt)
        if "leak" in last:
            return "UPDATE users SET name = 'Bo' WHERE relation = 'assistant';"
        if "broken" in last:
            return "UPDATE users SET WHERE;"
        return super().sql_for(prompt)


@pytest.fixture
def data(tmp_path: Path) -> str:
    lines = ["my dog is Rex", "hello", "my dog is Tom", "leak", "my cat is Ann", "broken"]
    turns = [turn for line in lines for turn in (Turn("user", line), Turn("assistant", "fine"))]
    probes = [
        Probe("what is my dog?", ["Tom"], "update", [(0, 4)], superseded=["Rex"]),
        Probe("what is my cat?", ["Ann"], "fact", [(0, 8)]),
        Probe("what is my fish?", ["Bubbles"], "fact", []),
    ]
    path = tmp_path / "told.jsonl"
    write_conversations(path, [Conversation(name, [Session(turns)], probes) for name in "ab"])
    return str(path)


# -- figures ----------------------------------------------------------------------------------------------------------


def test_what_the_agents_wrote_and_what_is_held_is_counted(tmp_path: Path, data: str) -> None:
    run(Task(["sql", "window"], Wanted(data)), Reader(), Settings(), tmp_path / "out")
    probes, conversations = read_probes(tmp_path / "out"), read_lines(tmp_path / "out" / "conversations.jsonl")
    found = figures([p for p in probes if p["memory"] == "sql"], [c for c in conversations if c["memory"] == "sql"])
    sql = found["sql"]
    assert sql["storage_calls"] == 24, "every line of either speaker, in two conversations"
    # three tellings: one column and one value each for dog and cat, one value for the new dog; a leak, a broken one
    assert sql["storage_statements"] == 2 * 7
    assert sql["valid"] == pytest.approx(12 / 14) and sql["quiet_calls"] == pytest.approx(14 / 24)
    assert sql["wrong_speaker_before"] == pytest.approx(1 / 4) and sql["wrong_speaker_after"] == 0
    assert sql["facts_held"] == 4 and sql["duplicate_fields"] == 0
    assert sql["stale"] == {"n": 2, "share": 0.0, "interval": sql["stale"]["interval"]}
    assert sql["lost"]["share"] == 0 and sql["gold_cell_recall"] == pytest.approx(2 / 3)
    assert sql["failures"]["not stored"] == 2 and sum(sql["failures"].values()) == 2
    assert sql["bytes_per_1000_turns"] > 1000
    assert found["quality"]["overall"]["right"] == 4
    window = figures(
        [p for p in probes if p["memory"] == "window"], [c for c in conversations if c["memory"] == "window"]
    )
    assert "sql" not in window


def test_no_adapter_is_measured_on_what_it_was_trained_on(tmp_path: Path, data: str) -> None:
    adapter, conversation = Adapter("x", "sql_storage", tmp_path, False), Conversation("b", [], [])
    (tmp_path / "config.json").write_text(json.dumps({"trained_on": ["world:train", "b"]}))
    for wanted, conversations in ((Wanted(data), [conversation]), (Wanted("world:train"), [])):
        with pytest.raises(MemchatError, match="x/sql_storage was trained on"):
            check_unseen(wanted, conversations, [adapter])
    check_unseen(Wanted("world"), [Conversation("c", [], [])], [adapter])
    (tmp_path / "config.json").write_text(json.dumps({"trained_on": ["world:test"]}))
    with pytest.raises(MemchatError, match="trained on world:test"):
        check_unseen(Wanted("world"), [], [adapter])


def test_rouge_counts_the_longest_common_subsequence() -> None:
    assert rouge_l("the cat sat here", ["a cat sat on it"]) == pytest.approx(
        (2 / 4, 2 * (2 / 4) * (2 / 3) / (2 / 4 + 2 / 3))
    )
    assert rouge_l("nothing", ["Oslo"]) == (0, 0) and rouge_l("Oslo", ["Rome", "Oslo"]) == (1, 1)


def test_mcnemar_looks_only_where_two_systems_differ() -> None:
    def rows(*right: bool) -> list[dict[str, Any]]:
        return [{"conversation": "a", "probe": n, "right": r} for n, r in enumerate(right)]

    found = mcnemar(rows(True, True, True, True, True, False), rows(True, False, False, False, False, False))
    assert found == {"n": 6, "won": 4, "lost": 0, "p": pytest.approx(0.125)}
    assert mcnemar(rows(True), rows(True))["p"] == 1


def test_every_wrong_answer_has_its_cause() -> None:
    def probe(kind: str = "fact", rows: tuple[str, ...] = (), old: tuple[str, ...] = ()) -> dict[str, Any]:
        recalled = [{"kind": "row", "text": text, "meta": {}} for text in rows]
        return {"kind": kind, "answers": ["Rex"], "superseded": list(old), "recalled": recalled}

    def held(who: str, value: str) -> list[dict[str, Any]]:
        return [{"meta": {"who": who, "value": value}}]

    assert failure(probe(), []) == "not stored"
    assert failure(probe("update", old=("Tom",)), held("user", "Tom")) == "stale"
    assert failure(probe(), held("assistant", "Rex")) == "stored wrong person"
    assert failure(probe(rows=("user.cat: Ann",)), held("user", "Rex")) == "not retrieved"
    assert failure(probe(rows=("user.dog: Rex (since 3 May)",)), held("user", "Rex")) == "retrieved unused"
    assert failure(probe("quote"), []) == ""


def test_the_rung_says_how_rows_were_found() -> None:
    sql = {"kind": "sql", "text": "NOOP", "meta": {"rung": "sql"}}
    row = {"kind": "row", "text": "user.dog: Rex", "meta": {}}
    assert rung({"recalled": []}) == "empty" and rung({"recalled": [sql]}) == "noop"
    assert rung({"recalled": [sql, row]}) == "sql"
    assert rung({"recalled": [{**sql, "meta": {"rung": "search"}}, row]}) == "search"


def test_variants_change_what_they_say_and_nothing_else() -> None:
    settings = load_settings({"sql.people": True})
    mode, changed = applied("sql-grammar", settings)
    assert mode == "sql" and changed.sql.decoding == "grammar" and not changed.sql.adapters and changed.sql.people
    assert applied("full", settings) == ("full", settings) and settings.sql.adapters


# -- record and judge -------------------------------------------------------------------------------------------------


def test_the_record_can_be_read(tmp_path: Path, data: str) -> None:
    run(Task(["sql"], Wanted(data, n=1)), Reader(), Settings(), tmp_path / "out")
    text = write_record(tmp_path / "out", {"model": "fake"}, read_probes(tmp_path / "out")).read_text("utf-8")
    assert text.startswith("model: fake\n") and text.count("\nquestion: ") == 3
    block = text.split("== ")[1]
    assert "gold:       Tom" in block and "row:        user.dog: Tom" in block and "found by:   sql" in block
    assert "sql:        SELECT dog FROM users WHERE relation = 'user';" in block
    with pytest.raises(MemchatError, match="holds no predictions"):
        read_probes(tmp_path)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ("It names Oslo. CORRECT", "correct"),
        ("It is another name.\nWRONG.", "wrong"),
        ("The reply is correct in part, but the name differs. WRONG", "wrong"),
        ("CORRECT or WRONG, hard to say.", "ambiguous"),
        ("I cannot tell.", "ambiguous"),
        ("the reply names the city. correct.", "correct"),
        ("That is INCORRECT", "ambiguous"),
        ("", "ambiguous"),
    ],
)
def test_a_verdict_is_one_word(said: str, verdict: str) -> None:
    assert judges.parse(said) == verdict


def test_kappa_is_agreement_beyond_chance() -> None:
    one, other = (
        [True] * 20 + [True] * 5 + [False] * 10 + [False] * 15,
        [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15,
    )
    assert judges.kappa(one, other) == pytest.approx(0.4)  # agreement 0.7, by chance 0.5
    assert judges.kappa([True, False], [True, False]) == 1 and judges.kappa([True], [True]) == 0


class Critic(FakeEngine):
    """Says CORRECT when the right answer stands in the reply, word for word."""

    def generate(self, prompt: Any, *_: Any, **__: Any) -> Any:
        self.prompts.append(prompt.text)
        answer, reply = prompt.text.rsplit("Right answer: ", 1)[1].split("\nReply: ")
        yield f"It says so or not. {'CORRECT' if answer in reply else 'WRONG'}"
        yield Outcome("stop", 1, 0, 1, 1.0, 1.0, 1, None, None, None)


def test_the_judge_is_judged_and_goes_on_where_it_was_stopped(tmp_path: Path, data: str) -> None:
    run(Task(["sql"], Wanted(data)), Reader(), Settings(), tmp_path / "out")
    probes, critic = read_probes(tmp_path / "out"), Critic()
    judge = judges.Judge(critic)
    found = judges.judge_run(judge, tmp_path / "out", probes[:4])
    assert found["rows"][0]["n"] == 4 and found["rows"][0]["correct"] == 3
    assert found["self"]["n"] == 40 and 0.6 < found["self"]["accuracy"] < 1, "some answers come in other words"
    asked = len(critic.prompts)
    assert judges.judge_run(judge, tmp_path / "out", probes)["rows"][0]["correct"] == 4
    assert len(critic.prompts) == asked + 2 + 40
    assert "Be generous" in critic.prompts[0] and "Be strict" not in critic.prompts[0]
    assert not any("SELECT" in prompt for prompt in critic.prompts), "the judge sees no SQL"
    assert judges.Judge(critic, strict=True).name == "fake-strict"


# -- side by side, and the commands -----------------------------------------------------------------------------------


def test_conversations_side_by_side_give_the_same_lines(tmp_path: Path, data: str) -> None:
    from memchat.config import EngineSettings
    from memchat.engine.engine import Engine

    settings = load_settings({"generation.max_new_tokens": 6, "engine.dtype": "float32", "engine.device": "cpu"})
    settings.model = str(tiny_folder(tmp_path))
    engine = Engine.load(settings.model, EngineSettings(device="cpu", dtype="float32", threads=1))
    alone = run(Task(["window"], Wanted(data)), engine, settings, tmp_path / "alone")
    both = run(Task(["window"], Wanted(data), jobs=2), engine, settings, tmp_path / "both")
    times = ("recall_ms", "ttft_ms", "tokens_per_s", "ms")

    def lines(folder: str) -> list[dict[str, Any]]:
        return [{k: v for k, v in row.items() if k not in times} for row in read_probes(tmp_path / folder)]

    assert lines("alone") == lines("both") and len(lines("both")) == 6
    assert alone["rows"][0]["overall"] == both["rows"][0]["overall"]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "tests.fake_memchat", "eval", "sql", *arguments]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, timeout=120)


def test_predict_judge_and_report(tmp_path: Path, data: str) -> None:
    out = str(tmp_path / "out")
    done = command("predict", "--model", "fake", "--data", data, "--out", out, "--system", "sql", "--system", "window")
    assert done.returncode == 0, done.stderr
    for text in ("McNemar to the first", "right cell read", "not stored", "predictions: "):
        assert text in done.stdout
    assert (tmp_path / "out" / "eval_record.txt").read_text("utf-8").count("question:") == 12
    assert json.loads((tmp_path / "out" / "settings.json").read_text("utf-8"))["sql"]["people"] is True
    done = command("judge", out, "--model", "fake")
    assert done.returncode == 0 and "replies judged by hand" in done.stdout, done.stderr
    done = command("report", out, "--json")
    found = json.loads(done.stdout)
    assert set(found["systems"]) == {"sql", "window"} and found["judges"][0]["rows"][0]["n"] == 6
    done = command("report", out, "--published", "--differ", "2")
    assert "arXiv 2310.08560" in done.stdout and "Judge fake-lenient" in done.stdout


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["predict", "--model", "fake", "--system", "sqll"], 2, "Did you mean 'sql'"),
        (["predict", "--model", "fake", "--resume"], 2, "needs the folder"),
        (["report", "nowhere"], 1, "holds no predictions"),
    ],
)
def test_wrong_usage_is_one_line(flags: list[str], code: int, message: str) -> None:
    done = command(*flags)
    assert done.returncode == code and message in done.stderr and done.stderr.count("\n") == 1, done.stderr

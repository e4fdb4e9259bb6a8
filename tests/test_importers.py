"""Importers, on small hand-made files in the published formats, and on real ones where MEMCHAT_TEST_DATA names them."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memchat.cli.data import app
from memchat.data.formats import Conversation, read_conversations
from memchat.data.importers import reading
from memchat.data.importers.convert import asked_kind, iso_time, part_of, turns
from memchat.data.importers.prepare import Report, Request, prepare
from memchat.data.importers.sources import SOURCES
from memchat.errors import MemchatError, UsageError

REAL = Path(os.environ.get("MEMCHAT_TEST_DATA", "/nowhere"))

LOCOMO: dict[str, Any] = {
    "sample_id": "conv-1",
    "conversation": {
        "speaker_a": "Ana",
        "speaker_b": "Ben",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ben", "dia_id": "D1:1", "text": "Hi Ana!"},
            {"speaker": "Ana", "dia_id": "D1:2", "text": "I adopted Kiwi.", "blip_caption": "a beagle", "img_url": []},
        ],
        "session_2_date_time": "12:05 am on 20 December, 2023",
        "session_2": [
            {"speaker": "Ana", "dia_id": "D2:1", "text": "Kiwi ate a shoe."},
            {"speaker": "Ben", "dia_id": "D2:2", "text": "  "},
            {"speaker": "Ben", "dia_id": "D2:3", "text": "Poor shoe."},
        ],
        "session_10": [{"speaker": "Ben", "dia_id": "D10:1", "text": "Bye."}],
        "session_11_date_time": "1:00 pm on 21 December, 2023",
    },
    "qa": [
        {"question": "Who is Kiwi?", "answer": "a dog", "evidence": ["D1:2; D2:3", "D:10:01"], "category": 1},
        {"question": "When was Kiwi adopted?", "answer": 2023, "evidence": ["D1:2"], "category": 2},
        {"question": "Does Ana like pets?", "answer": "Yes; she has one", "evidence": "['D1:2']", "category": 3},
        {"question": "How many shoes?", "answer": 1, "evidence": ["D2:1", "D", "D9:9"], "category": "4"},
        {"question": "What is Ben's dog called?", "adversarial_answer": "Kiwi", "evidence": [], "category": 5},
        {"question": "Unanswered?", "evidence": [], "category": 4},
    ],
}
MSC: dict[str, Any] = {
    "personas": [["I train falcons."], ["I bake sourdough."]],
    "init_personas": [["I train falcons."], ["I bake sourdough."]],
    "metadata": {"initial_data_id": "valid:9", "session_id": 3},
    "previous_dialogs": [
        {
            "personas": [["I train falcons."], []],
            "dialog": [{"text": "Hi! I train birds."}, {"text": "I bake."}, {"text": "Nice."}],
            "time_num": 5,
            "time_unit": "days",
            "time_back": "12 days 2 hours ago",
        },
        {"dialog": [{"text": "Hello."}], "time_num": 7, "time_unit": "hours"},
    ],
    "dialog": [
        {"text": "My bird is Ziggy.", "id": "Speaker 2", "convai2_id": "valid_9"},
        {"text": "Great name.", "id": "Speaker 1"},
    ],
}


def write(path: Path, *rows: Any) -> Path:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"
    packed = path.suffix == ".gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def run(source: str, path: Path | str | None, out: Path, **options: Any) -> tuple[list[Any], Report]:
    report = prepare(Request(source, out, None if path is None else str(path), **options))
    return [json.loads(line) for line in out.read_text().splitlines()], report


def talk(source: str, path: Path, out: Path, **options: Any) -> list[Conversation]:
    """The conversations as evaluations read them, which checks their shape too."""
    run(source, path, out, **options)
    return list(read_conversations(out))


def spoken(conversation: Conversation) -> list[list[tuple[str, str, str]]]:
    return [[(t.role, t.name, t.content) for t in s.turns] for s in conversation.sessions]


# LoCoMo


def test_locomo_keeps_names_dates_and_evidence(tmp_path: Path) -> None:
    (found,) = talk("locomo", write(tmp_path / "x", json.dumps([LOCOMO], indent=1)), tmp_path / "out")
    assert found.id == "conv-1"
    assert [s.at for s in found.sessions] == ["2023-05-08T13:56:00", "2023-12-20T00:05:00", None]
    first, second, third = spoken(found)
    assert first == [("assistant", "Ben", "Hi Ana!"), ("user", "Ana", "I adopted Kiwi. [shows a beagle]")]
    assert second == [("user", "Ana", "Kiwi ate a shoe."), ("assistant", "Ben", "Poor shoe.")]
    assert third == [("assistant", "Ben", "Bye.")]
    assert [(p.kind, p.answers, p.evidence) for p in found.probes] == [
        ("fact", ["a dog"], [(0, 1), (1, 1), (2, 0)]),
        ("date", ["2023"], [(0, 1)]),
        ("fact", ["Yes; she has one", "Yes"], [(0, 1)]),
        ("count", ["1"], [(1, 0)]),
        ("abstain", [], []),
    ]


def test_locomo_rows_are_read_like_the_published_file(tmp_path: Path) -> None:
    conversation = LOCOMO["conversation"]
    sessions = [
        {
            "session": n,
            "date": conversation.get(f"session_{n}_date_time"),
            "turns": [
                {"id": t["dia_id"], "speaker": t["speaker"], "text": t["text"]}
                | ({"image_caption": t["blip_caption"]} if "blip_caption" in t else {})
                for t in conversation[f"session_{n}"]
            ],
        }
        for n in (1, 2, 10)
    ]
    names = {1: "multi-hop", 2: "temporal", 3: "open-domain", "4": "single-hop", 4: "single-hop", 5: "adversarial"}
    qa = [{**entry, "category": names[entry["category"]]} for entry in LOCOMO["qa"]]
    row = {"id": "conv-1", "speakers": ["Ana", "Ben"], "sessions": sessions, "qa": qa}
    cut, report = run("locomo", write(tmp_path / "rows.gz", row), tmp_path / "a")
    whole, _ = run("locomo", write(tmp_path / "raw", json.dumps([LOCOMO])), tmp_path / "b")
    assert cut == whole
    assert report.notes["questions without an answer left out"] == 1


# Multi-Session Chat


def test_msc_turns_alternate_and_personas_are_never_said(tmp_path: Path) -> None:
    (found,) = talk("msc", write(tmp_path / "valid.txt", MSC), tmp_path / "out")
    assert found.id == "msc-valid-9" and found.probes == []
    one, two, three = spoken(found)
    assert [(role, name) for role, name, _ in one] == [
        ("user", "Speaker 1"), ("assistant", "Speaker 2"), ("user", "Speaker 1"),
    ]  # fmt: skip
    assert two == [("user", "Speaker 1", "Hello.")]
    assert three[0] == ("assistant", "Speaker 2", "My bird is Ziggy."), "the last session names who speaks"
    assert "falcons" not in (tmp_path / "out").read_text()


def test_msc_gaps_become_times_only_from_a_given_date(tmp_path: Path) -> None:
    path = write(tmp_path / "valid.txt", MSC)
    (found,) = talk("msc", path, tmp_path / "a")
    assert [s.at for s in found.sessions] == [None] * 3
    (found,) = talk("msc", path, tmp_path / "b", options={"now": "2024-05-20"})
    assert [s.at for s in found.sessions] == ["2024-05-07T22:00:00", "2024-05-19T17:00:00", "2024-05-20T00:00:00"]
    with pytest.raises(UsageError, match="no date"):
        talk("msc", path, tmp_path / "c", options={"now": "soon"})


def test_msc_rows_of_personas_are_said_in_turn(tmp_path: Path) -> None:
    path = write(tmp_path / "p.gz", {"id": "p", "source": "msc", "personas": [["I sing.", "I ski."], ["I cook."]]})
    (found,) = talk("msc", path, tmp_path / "out")
    assert [[role, text] for role, _, text in spoken(found)[0]] == [
        ["user", "I sing."], ["assistant", "I cook."], ["user", "I ski."],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "assistant", "found_by", "evidence"),
    [
        ("Ziggy!", "Speaker 2", "the answer's words", [(2, 0)]),  # said by one of them
        ("birds", "Speaker 1", "the answer's words", [(0, 0)]),
        ("It was sourdough", "Speaker 2", "personas", []),  # nobody says it, one persona holds the word
        ("Something else", "Speaker 1", "default", []),
    ],
)
def test_self_instruct_asks_the_one_who_answers(
    tmp_path: Path, answer: str, assistant: str, found_by: str, evidence: list[tuple[int, int]]
) -> None:
    row = {**MSC, "self_instruct": {"B": "What did you say?", "A": answer}, "summary_speaker_1": [["I train falcons."]]}
    path = write(tmp_path / "x.jsonl", row)
    (found,) = talk("msc-self-instruct", path, tmp_path / "out")
    names = {turn.name: turn.role for session in found.sessions for turn in session.turns}
    other = {"Speaker 1": "Speaker 2", "Speaker 2": "Speaker 1"}[assistant]
    assert names == {assistant: "assistant", other: "user"}
    (probe,) = found.probes
    assert (probe.question, probe.answers, probe.evidence) == ("What did you say?", [answer], evidence)
    assert "falcons" not in (tmp_path / "out").read_text(), "personas and summaries are never ingested"
    _, report = run("msc-self-instruct", path, tmp_path / "out")
    assert report.notes[f"answering speaker found by {found_by}"] == 1
    without, _ = run("msc-self-instruct", path, tmp_path / "out", options={"last": "no"})
    assert len(without[0]["sessions"]) == len(found.sessions) - 1


# BFCL, DailyDialog, SODA, MetaICL


def test_bfcl_folder_and_rows_make_the_same(tmp_path: Path) -> None:
    said = ["I am Mia. I'm 35 years old.", "Monday: call Jacob. Then pay the rent — by Friday."]
    asked = ["How old am I?", "What must I pay?", "Where am I?"]
    truth = [(["35", "thirty five"], "...I’m 35 years old..."), (["rent"], "Monday: pay the rent"), (["here"], "Zzz")]
    data = tmp_path / "data"
    told = {"id": "p0", "question": [[{"role": "user", "content": text}] for text in said], "scenario": "notes"}
    write(data / "memory_prereq_conversation" / "memory_notes.json", told)
    questions = [
        {"id": f"m{n}", "question": [[{"role": "user", "content": text}]], "scenario": "notes"}
        for n, text in enumerate(asked)
    ]
    write(data / "BFCL_v4_memory.json", *questions)
    answers = [{"id": f"m{n}", "ground_truth": good, "source": source} for n, (good, source) in enumerate(truth)]
    write(data / "possible_answer" / "BFCL_v4_memory.json", *answers)
    whole, report = run("bfcl-memory", data, tmp_path / "a")
    assert report.notes["questions whose quoted source stands in no turn"] == 1
    row = {
        "id": "bfclmem-notes",
        "speakers": ["user"],
        "sessions": [{"date": None, "turns": [{"id": "D1:1", "speaker": "user", "text": text} for text in said]}],
        "qa": [
            {"question": text, "accepted": good, "evidence": [source]}
            for text, (good, source) in zip(asked, truth, strict=True)
        ],
    }
    cut, _ = run("bfcl-memory", write(tmp_path / "rows", row), tmp_path / "b")
    assert cut == whole
    (found,) = read_conversations(tmp_path / "b")
    assert spoken(found)[0][0] == ("user", "", said[0])
    assert [p.evidence for p in found.probes] == [[(0, 0)], [(0, 1)], []]
    assert found.probes[0].answers == ["35", "thirty five"]


def test_dailydialog_raw_lines_and_rows(tmp_path: Path) -> None:
    raw = write(tmp_path / "dialogues_text.txt.gz", "I don ’ t know , Bo . __eou__ Why ? __eou__ No idea __eou__", "")
    (found,) = talk("dailydialog", raw, tmp_path / "a")
    assert spoken(found)[0] == [
        ("user", "", "I don't know, Bo."), ("assistant", "", "Why?"), ("user", "", "No idea"),
    ]  # fmt: skip
    row = {"id": "d-1", "turns": [{"speaker": "A", "text": "Hi."}, {"speaker": "B", "text": "Hey."}]}
    (found,) = talk("dailydialog", write(tmp_path / "rows", row), tmp_path / "b")
    assert spoken(found)[0] == [("user", "", "Hi."), ("assistant", "", "Hey.")]
    with pytest.raises(MemchatError, match=r"line 2: it has no '__eou__'"):
        talk("dailydialog", write(tmp_path / "bad", "Hi __eou__ Oh __eou__", "12 34"), tmp_path / "c")


def test_soda_names_its_speakers(tmp_path: Path) -> None:
    row = {"original_index": 7, "dialogue": ["Hi.", "Oh.", "Me too.", "Bye."], "speakers": ["Ivy", "Max", "Zoe", "Ivy"]}
    found, report = run("soda", write(tmp_path / "soda.jsonl", row, row), tmp_path / "out")
    assert [c["id"] for c in found] == ["soda-7", "soda-7-2"], "names are unique"
    assert [(t["role"], t["name"]) for t in found[0]["sessions"][0]["turns"]] == [
        ("user", "Ivy"), ("assistant", "Max"), ("user", "Zoe"), ("user", "Ivy"),
    ]  # fmt: skip
    assert report.notes["dialogues of three or more speakers"] == 2
    with pytest.raises(MemchatError, match="3 names"):
        run("soda", write(tmp_path / "bad", {**row, "speakers": ["Ivy", "Max", "Ivy"]}), tmp_path / "out")


def test_metaicl_folders_are_read_whole(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write(folder / "a" / "a_16_100_train.jsonl", {"task": "a", "input": "i", "output": "x", "options": ["x", "y"]})
    write(folder / "b" / "b_16_100_train.jsonl", {"task": "b", "input": "j", "output": "z", "options": []})
    found, report = run("metaicl", folder, tmp_path / "out")
    assert found == [
        {"task": "a", "input": "i", "output": "x", "options": ["x", "y"]},
        {"task": "b", "input": "j", "output": "z"},
    ]
    assert report.counts["task: a"] == 1
    bad = write(tmp_path / "bad", {"task": "a", "input": "i", "output": "q", "options": ["x"]})
    with pytest.raises(MemchatError, match="not among the options"):
        run("metaicl", bad, tmp_path / "out")


# Text


def test_books_are_split_at_chapters(tmp_path: Path) -> None:
    book = """The Project Gutenberg eBook

*** START OF THE PROJECT GUTENBERG EBOOK ***

CHAPTER I. The Rabbit
CHAPTER II. The Pool

CHAPTER I. The Rabbit

Alice sat.
Chapter 2 is mentioned in a paragraph.

## The Pool

She wept.

*** END OF THE PROJECT GUTENBERG EBOOK ***
Licence.
"""
    found, _ = run("text", write(tmp_path / "alice.md.gz", book), tmp_path / "out")
    titles = [(row["meta"]["title"], row["text"]) for row in found if row["text"].startswith(("Alice", "She"))]
    assert titles == [
        ("CHAPTER I. The Rabbit", "Alice sat.\nChapter 2 is mentioned in a paragraph."), ("The Pool", "She wept."),
    ]  # fmt: skip
    assert "Gutenberg" not in str(found) and "Licence" not in str(found)
    assert len({row["id"] for row in found}) == len(found)


def test_long_texts_are_split_at_empty_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "long.txt", *["word " * 10, ""] * 9)
    found, report = run("text", path, tmp_path / "out", options={"chars": "100"})
    assert len(found) == 5 and report.counts["texts"] == 5
    assert " ".join(row["text"] for row in found).split() == ["word"] * 90, "no word is lost"
    with pytest.raises(UsageError, match="chars"):
        run("text", path, tmp_path / "out", options={"chars": "0"})


def test_text_rows_with_text_or_chapters(tmp_path: Path) -> None:
    rows = (
        {"id": "b", "title": "B", "author": "Au", "chapters": [{"title": "1", "text": "One."}, {"text": "Two."}]},
        {"id": "t", "text": "Three."},
    )
    found, _ = run("text", write(tmp_path / "x.jsonl", *rows), tmp_path / "out")
    assert found == [
        {"id": "b-001", "text": "One.", "meta": {"book": "B", "title": "1", "author": "Au"}},
        {"id": "b-002", "text": "Two.", "meta": {"book": "B", "author": "Au"}},
        {"id": "t", "text": "Three."},
    ]


# Tables and the hub


@pytest.mark.parametrize("marks", [",", "\t", ";"])
def test_tables_of_any_separator(tmp_path: Path, marks: str) -> None:
    path = write(tmp_path / "x", marks.join(("q", "reply")), marks.join(('"Hi,\n""you"""', "Hello")))
    (found,) = talk("table", path, tmp_path / "out", options={"user": "q", "assistant": "reply"})
    assert found.id == "x-000001"
    assert spoken(found) == [[("user", "", 'Hi,\n"you"'), ("assistant", "", "Hello")]]


def test_table_turns_of_every_common_shape(tmp_path: Path) -> None:
    shapes = [
        [{"role": who, "content": text} for who, text in (("system", "Be kind."), ("user", "Hi"), ("assistant", "Yo"))],
        [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}],
        ["Hi", "Yo"],
    ]  # fmt: skip
    path = write(tmp_path / "x", *({"data": {"m": shape}, "day": "2024/05/03"} for shape in shapes))
    for found in talk("table", path, tmp_path / "out", options={"turns": "data.m", "at": "day"}):
        assert spoken(found) == [[("user", "", "Hi"), ("assistant", "", "Yo")]]
        assert found.sessions[0].at == "2024-05-03"


def test_table_questions_become_probes(tmp_path: Path) -> None:
    row = {"t": ["I own 2 cats.", "Nice."], "q": ["How many cats?", "What car?"], "a": [["2", "two"], []]}
    path = write(tmp_path / "x", row)
    (found,) = talk("table", path, tmp_path / "out", options={"turns": "t", "question": "q", "answer": "a"})
    assert [(p.kind, p.answers) for p in found.probes] == [("count", ["2", "two"]), ("abstain", [])]


def test_table_pairs_and_texts(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", {"d": "Name it.", "i": "red", "o": ["colour", "hue"], "c": ["colour", "size"]})
    found, _ = run("table", path, tmp_path / "out", options={"input": "d+i", "output": "o", "options": "c"})
    assert found == [{"task": "x", "input": "Name it.\nred", "output": "colour", "options": ["colour", "size"]}]
    found, _ = run("table", path, tmp_path / "out", options={"text": "d", "id": "i"})
    assert found == [{"id": "red", "text": "Name it."}]


def test_conversations_as_texts(tmp_path: Path) -> None:
    found, report = run("locomo", write(tmp_path / "x", json.dumps([LOCOMO])), tmp_path / "out", kind="texts")
    assert found[0]["text"].startswith("[2023-05-08T13:56:00]\nBen: Hi Ana!\nAna: I adopted Kiwi.")
    assert report.counts["texts"] == 1


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    rows = [{"dialogue": ["Hi.", "Oh."], "speakers": ["Ivy", "Max"], "original_index": n} for n in range(600)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "any-name")
    found, _ = run("soda", tmp_path / "any-name", tmp_path / "out")
    assert [row["id"] for row in found] == [f"soda-{n}" for n in range(600)]


@pytest.mark.parametrize("missing", ["pyarrow", "datasets"])
def test_what_is_not_installed_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    (tmp_path / "x").write_bytes(b"PAR1....PAR1")
    with pytest.raises(MemchatError, match=missing) as caught:
        run("soda", tmp_path / "x" if missing == "pyarrow" else None, tmp_path / "out")
    assert "pip install 'memchat[data]'" in caught.value.remedy


def test_hub_rows_are_mapped_and_errors_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        class utils:
            class logging:
                set_verbosity_error = staticmethod(lambda: None)

        @staticmethod
        def load_dataset(name: str, config: str | None, *, split: str, revision: str | None, streaming: bool) -> Any:
            assert streaming and (name, config, split, revision) == ("me/set", "small", "validation", None)

            def stream() -> Any:
                yield {"messages": [{"role": "user", "content": "Hi"}]}
                raise ConnectionError("the hub is gone.\nsecond line")

            return stream()

    monkeypatch.setitem(sys.modules, "datasets", Library)
    fields = {"turns": "messages", "config": "small"}
    found, _ = run("hub", "me/set", tmp_path / "out", split="validation", n=1, options=fields)
    assert found[0]["id"] == "set-000001"
    with pytest.raises(MemchatError) as caught:
        run("hub", "me/set", tmp_path / "new", split="validation", options=fields)
    assert caught.value.message == "cannot read the data set me/set: the hub is gone"
    assert not (tmp_path / "new").exists()


# Reading


def test_json_lists_are_read_bit_by_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK", 7)
    values = [{"n": n, "text": "é}{]," * n} for n in range(9)]
    path = write(tmp_path / "x", json.dumps(values, indent=2, ensure_ascii=False))
    assert [row.value for row in reading.rows(path)] == values
    broken = write(tmp_path / "y", json.dumps(values, indent=2)[:-3])
    rows = list(reading.rows(broken))
    assert [row.value for row in rows[:-1]] == values[:-1] and "not JSON" in rows[-1].fault


def test_a_bad_row_names_file_line_and_reason(tmp_path: Path) -> None:
    good = {"task": "t", "input": "i", "output": "o"}
    path = write(tmp_path / "x.jsonl", good, "", '{"task": "t"', {"task": "t", "input": 3, "output": "o"}, "[1]", good)
    with pytest.raises(MemchatError, match=r"x\.jsonl, line 3: it is not JSON") as caught:
        run("metaicl", path, tmp_path / "out")
    assert "--skip-bad" in caught.value.remedy
    assert [p.name for p in tmp_path.iterdir()] == ["x.jsonl"], "neither the file nor a part of it is left"
    found, report = run("metaicl", path, tmp_path / "out", skip_bad=True)
    assert found == [good, good] and report.bad == 3 and "line 3" in report.first_bad
    with pytest.raises(MemchatError, match="line 4: 'input' is a number where a text is wanted"):
        run("metaicl", write(tmp_path / "y", good, good, good, {**good, "input": 3}), tmp_path / "z")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    good = json.dumps({"task": "t", "input": "i" * 5000, "output": "o"}).encode()
    (tmp_path / "cut.gz").write_bytes(gzip.compress(good * 50)[:-20])
    (tmp_path / "latin").write_bytes(b'{"task": "t", "input": "caf\xe9", "output": "o"}\n')
    (tmp_path / "empty").write_bytes(b"")
    for name, reason in (("cut.gz", "cannot read"), ("latin", "line 1: it is not UTF-8"), ("empty", "is empty")):
        with pytest.raises(MemchatError, match=reason):
            run("metaicl", tmp_path / name, tmp_path / "out")
    with pytest.raises(UsageError, match="does not exist"):
        run("metaicl", tmp_path / "nowhere", tmp_path / "out")


def test_n_seed_and_split(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", *({"id": f"r{n}", "text": "t"} for n in range(200)))

    def ids(**options: Any) -> list[str]:
        return [row["id"] for row in run("text", path, tmp_path / "out", **options)[0]]

    assert ids(n=3) == ["r0", "r1", "r2"]
    chosen = ids(n=20, seed=1)
    assert chosen == ids(n=20, seed=1) != ids(n=20, seed=2) and len(set(chosen)) == 20
    assert chosen == sorted(chosen, key=lambda name: int(name[1:])) and int(chosen[-1][1:]) > 100
    parts = {part: ids(split=part) for part in ("train", "valid", "test")}
    assert sorted(name for part in parts.values() for name in part) == sorted(ids()), (
        "the splits are disjoint and miss nothing"
    )
    assert len(parts["train"]) > 140 and all(part_of(name) == "test" for name in parts["test"])


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("lokomo", {}, "unknown source"),
        ("locomo", {"options": {"x": "1"}}, "takes no --set"),
        ("table", {"options": {"txt": "1"}}, "unknown option"),
        ("table", {}, "do not say what to make"),
        ("table", {"options": {"text": "a", "turns": "b"}}, "make conversations and texts"),
        ("text", {"kind": "pairs"}, "makes texts, not pairs"),
        ("text", {"split": "dev"}, "unknown split"),
        ("text", {"seed": 1}, "needs a number"),
        ("locomo", {"path": None}, "needs a path"),
    ],
)
def test_wrong_usage(tmp_path: Path, source: str, options: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "x", "text")
    with pytest.raises(UsageError, match=message):
        prepare(Request(source, tmp_path / "out", **{"path": str(path), **options}))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1:56 pm on 8 May, 2023", "2023-05-08T13:56:00"),
        ("12:09 am on 13 September, 2023", "2023-09-13T00:09:00"),
        ("2023/05/30 (Tue) 10:00", "2023-05-30T10:00:00"),
        ("2023-04-27", "2023-04-27"),
        ("May 3rd, 2021", "2021-05-03"),
        ("2024-01-02T03:04:05+00:00", "2024-01-02T03:04:05+00:00"),
    ],
)
def test_times_become_iso(text: str, wanted: str) -> None:
    assert iso_time(text) == wanted


def test_what_is_no_time() -> None:
    for text in ("yesterday", "", "31 February, 2023", "2023"):
        with pytest.raises(ValueError):
            iso_time(text)


def test_roles_follow_names_not_order() -> None:
    found = turns([("Bo", "a"), ("Al", "b"), ("Bo", "c")], first="Al", second="Bo")
    assert [(t.role, t.name) for t in found] == [("assistant", "Bo"), ("user", "Al"), ("assistant", "Bo")]
    assert [t.role for t in turns([("Bo", "a"), ("Al", "b"), ("Al", "c")])] == ["user", "assistant", "assistant"]


def test_kinds_of_questions() -> None:
    asked = ("How many dogs?", "When did he go?", "What time is it?", "Who came when it rained?", "What is it?")
    assert [asked_kind(q) for q in asked] == ["count", "date", "date", "date", "fact"]


# The command


def test_the_command_counts_and_lists(tmp_path: Path) -> None:
    path = write(tmp_path / "locomo10.json", json.dumps([LOCOMO]))
    done = CliRunner().invoke(app, ["prepare", "locomo", str(path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "1 conversation, 3 sessions, 5 turns, 5 probes, 4 probes with evidence" in done.output
    assert "abstain 1" in done.output and "1 questions without an answer" in done.output
    listed = CliRunner().invoke(app, ["sources"]).output
    for source in SOURCES.values():
        assert f"{source.name}: " in listed and source.example in listed and source.licence in listed


def test_importing_loads_no_heavy_library() -> None:
    code = "import sys, memchat.data.importers.prepare; print({'datasets', 'pyarrow', 'torch'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "set()", out.stderr


# Real files


@pytest.mark.skipif(not REAL.is_dir(), reason="MEMCHAT_TEST_DATA is not set")
@pytest.mark.parametrize(
    ("source", "file", "options", "counts"),
    [
        ("locomo", "memory/locomo", {}, {"conversations": 7, "turns": 3996, "probes": 1332, "probes: abstain": 299}),
        ("msc", "memory/msc_personas", {}, {"conversations": 5000}),
        ("bfcl-memory", "memory/bfcl_memory", {}, {"conversations": 4, "probes": 130, "probes with evidence": 130}),
        ("dailydialog", "dialogue/dailydialog", {}, {"conversations": 1912}),
        ("metaicl", "metaicl/tasks", {}, {"pairs": 47332}),
        ("text", "books/books", {}, {"texts": 1824}),
        ("text", "math/stacks_project", {}, {"texts": 16}),
        ("table", "dialogue/topical_chat", {"turns": "turns", "id": "id"}, {"conversations": 1617}),
        ("table", "nlu_icl/subj", {"input": "text", "output": "label_text", "options": "options"}, {"pairs": 7368}),
    ],
)
def test_real_files(tmp_path: Path, source: str, file: str, options: dict[str, str], counts: dict[str, int]) -> None:
    _, report = run(source, REAL / f"{file}.jsonl.gz", tmp_path / "out", options=options)
    assert {name: report.counts[name] for name in counts} == counts

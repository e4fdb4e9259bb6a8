"""Importers of known data sets, on hand-made files in the published formats, and on real ones where
MEMCHAT_TEST_DATA names them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from memchat.data.formats import read_conversations
from memchat.errors import MemchatError, UsageError
from tests.importing import LOCOMO, run, spoken, talk, write

REAL = Path(os.environ.get("MEMCHAT_TEST_DATA", "/nowhere"))

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

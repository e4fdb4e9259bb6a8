"""LoCoMo, BFCL memory, DailyDialog and SODA as conversations."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memchat.data.formats import Conversation, Probe
from memchat.data.importers import reading
from memchat.data.importers.convert import (
    asked_kind,
    field,
    history,
    one_session,
    turns,
    where_said,
    with_image,
)
from memchat.data.importers.reading import Row
from memchat.errors import UsageError

LOCOMO_CATEGORIES = {"1": "multi-hop", "2": "temporal", "3": "open-domain", "4": "single-hop", "5": "adversarial"}
EVIDENCE = re.compile(r"D:?(\d+):(\d+)")  # some are written "D:11:26", or several in one text
SPOKEN = re.compile(r"\s*__eou__\s*")


def locomo(row: dict[str, Any], notes: Counter[str], options: Mapping[str, str]) -> Iterator[Conversation]:
    """One of LoCoMo's long conversations, as published or as a row {id, speakers, sessions, qa}.

    The first speaker is the user, the second the assistant, both by name. Adversarial questions have no answer
    in the conversation: their kind is "abstain", and the trap answer is left out.
    """

    def probe(entry: dict[str, Any], places: Mapping[str, tuple[int, int]]) -> Probe | None:
        given = entry.get("category")
        category = LOCOMO_CATEGORIES.get(str(given), str(given))
        question, answer = field(entry, "question", str), entry.get("answer")
        names = [f"D{int(s)}:{int(t)}" for s, t in EVIDENCE.findall(str(entry.get("evidence") or ""))]
        evidence = [places[name] for name in dict.fromkeys(names) if name in places]
        if category == "adversarial":
            return Probe(question, [], "abstain", evidence)
        if answer is None or not str(answer).strip():
            notes["questions without an answer left out"] += 1
            return None
        answers = [str(answer).strip()]
        if category == "open-domain" and ";" in answers[0]:  # "Yes; it's classical music": the rest is the reason
            answers.append(answers[0].split(";")[0].strip())
        kind = asked_kind(question)
        return Probe(question, answers, "date" if category == "temporal" and kind == "fact" else kind, evidence)

    yield history(row if "sessions" in row else _locomo_row(row), probe)


def _locomo_row(row: dict[str, Any]) -> dict[str, Any]:
    """LoCoMo's published shape, sessions under numbered keys, as {id, speakers, sessions, qa}."""
    talk = field(row, "conversation", dict)
    numbers = sorted(int(key.split("_")[1]) for key in talk if re.fullmatch(r"session_\d+", key))
    sessions = []
    for number in numbers:
        said = [
            {
                "id": field(turn, "dia_id", str),
                "speaker": field(turn, "speaker", str),
                "text": with_image(field(turn, "text", str), turn.get("blip_caption")),
            }
            for turn in field(talk, f"session_{number}", list)
        ]
        sessions.append({"date": talk.get(f"session_{number}_date_time"), "turns": said})
    speakers = [field(talk, "speaker_a", str), field(talk, "speaker_b", str)]
    name = row.get("sample_id") or "-".join(speakers)
    return {"id": name, "speakers": speakers, "sessions": sessions, "qa": field(row, "qa", list)}


def bfcl_memory(row: dict[str, Any], notes: Counter[str], options: Mapping[str, str]) -> Iterator[Conversation]:
    """One scenario of the memory part of BFCL: the user tells facts over sessions, questions have short answers."""
    quotes: list[list[str]] = []

    def probe(entry: dict[str, Any], places: Mapping[str, tuple[int, int]]) -> Probe | None:
        question = field(entry, "question", str)
        answers = [str(answer) for answer in entry.get("accepted") or [entry.get("answer")] if answer is not None]
        if not answers:
            notes["questions without an answer left out"] += 1
            return None
        quotes.append([str(quote) for quote in entry.get("evidence") or []])
        return Probe(question, answers, asked_kind(question))

    conversation = history(row, probe)
    for asked, texts in zip(conversation.probes, quotes, strict=True):
        asked.evidence = sorted({place for text in texts for place in where_said(text, conversation.sessions)})
        notes["questions whose quoted source stands in no turn"] += not asked.evidence
    yield conversation


def bfcl_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, or BFCL's folder `bfcl_eval/data`, whose three parts make one row a scenario.

    Raises:
        UsageError: the folder is another one.
    """
    questions, answers = path / "BFCL_v4_memory.json", path / "possible_answer" / "BFCL_v4_memory.json"
    if not path.is_dir() or not (path / "memory_prereq_conversation").is_dir():
        yield from reading.rows(path)
        return
    for part in (questions, answers):
        if not part.exists():
            raise UsageError(f"{part} does not exist", "Give the folder bfcl_eval/data of the BFCL repository, whole.")
    known = {row.value["id"]: row.value for row in reading.rows(answers) if not row.fault}
    asked = [row.value for row in reading.rows(questions) if not row.fault]
    parts = reading.files(path / "memory_prereq_conversation", "*.json")
    for number, file in enumerate(parts, 1):
        told = [row.value for row in reading.rows(file) if not row.fault]
        yield Row(_bfcl_row(told, asked, known), "the scenario", number / len(parts), file=str(file))


def _bfcl_row(told: list[dict[str, Any]], asked: list[dict[str, Any]], known: dict[str, Any]) -> dict[str, Any]:
    scenario = told[0]["scenario"]
    sessions = [
        {"turns": [{"speaker": turn["role"], "text": turn["content"]} for talk in part["question"] for turn in talk]}
        for part in told
    ]
    qa = [
        {
            "question": entry["question"][0][0]["content"],
            "accepted": known.get(entry["id"], {}).get("ground_truth"),
            "evidence": [known.get(entry["id"], {}).get("source", "")],
        }
        for entry in asked
        if entry["scenario"] == scenario
    ]
    return {"id": f"bfclmem-{scenario}", "speakers": ["user"], "sessions": sessions, "qa": qa}


def dailydialog(row: dict[str, Any], notes: Counter[str], options: Mapping[str, str]) -> Iterator[Conversation]:
    """One small talk: a line with `__eou__` after each turn, or a row with turns; the two speak in turn."""
    if "line" in row:
        said = [_joined(text) for text in SPOKEN.split(row["line"]) if text]
    else:
        said = [field(turn, "text", str) for turn in field(row, "turns", list)]
    yield one_session(str(row["id"]), turns(("", text) for text in said))


def _joined(text: str) -> str:
    """A text of separated tokens as it is written: "I don ' t know ." becomes "I don't know."."""
    text = re.sub(r"(\w) ?[’'] ?(s|t|m|d|re|ve|ll)\b", r"\1'\2", text)
    return re.sub(r"\s+([.,!?;:%)])", r"\1", text)


def dailydialog_rows(path: Path) -> Iterator[Row]:
    """Rows of a file with fields, or of raw text, one dialogue a line."""
    for file in reading.files(path, "*dialog*"):
        if path.is_dir() and re.search("_(act|emotion|topic)", file.name):
            continue  # labels, parallel to the dialogues
        if reading.shape(file) != "text":
            yield from reading.rows(file)
            continue
        for row in reading.lines(file):
            if row.fault:
                yield row
            elif row.value.strip():
                fault = "" if "__eou__" in row.value else "it has no '__eou__'"
                name = f"{file.name.split('.')[0]}-{row.place.split()[-1]}"
                yield Row({"id": name, "line": row.value}, row.place, row.done, fault, str(file))


def soda(row: dict[str, Any], notes: Counter[str], options: Mapping[str, str]) -> Iterator[Conversation]:
    """One dialogue of SODA: `dialogue` and, parallel to it, `speakers` with their names."""
    said, names = _listed(row, "dialogue"), _listed(row, "speakers")
    if len(said) != len(names):
        raise ValueError(f"'dialogue' has {len(said)} turns, 'speakers' {len(names)} names")
    key = row.get("original_index", row.get("id", row.get("head", "")))
    spoken = turns(zip(map(str, names), map(str, said), strict=True))
    notes["dialogues of three or more speakers"] += len({turn.name for turn in spoken}) > 2
    yield one_session(f"soda-{key}", spoken)


def _listed(row: dict[str, Any], name: str) -> list[Any]:
    """A list field; a CSV file holds it as text."""
    value = row.get(name)
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"{name!r} is no list ({error})") from error
    return field(row | {name: value} if name in row else row, name, list)

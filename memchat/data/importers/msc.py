"""Multi-Session Chat and MSC-Self-Instruct as conversations.

Two speakers meet for up to five sessions. Turns of earlier sessions carry no speaker: the two alternate, Speaker 1
begins. Personas and summaries state what the questions ask for, so no turn is ever made of them, except where a row
has nothing but personas.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Any

from memchat.data.formats import Conversation, Probe, Session, Turn
from memchat.data.importers.convert import asked_kind, content_words, field, iso_time, one_session, turns, words
from memchat.errors import UsageError

SPEAKERS = ("Speaker 1", "Speaker 2")
HOURS = {"hour": 1, "day": 24, "week": 7 * 24, "month": 30 * 24, "year": 365 * 24}
GAP = re.compile(r"(\d+(?:\.\d+)?)\s*(hour|day|week|month|year)s?")


def msc(row: dict[str, Any], notes: Counter[str], options: Mapping[str, str]) -> Iterator[Conversation]:
    """A dialogue with its earlier sessions; of a row that has personas alone, the two say them in turn."""
    if "dialog" not in row and "personas" in row:
        first, second = field(row, "personas", list)
        said = [
            (name, str(text))
            for pair in zip_longest(first, second)
            for name, text in zip(SPEAKERS, pair, strict=True)
            if text
        ]
        yield one_session(str(row["id"]), turns(said, *SPEAKERS))
        return
    yield Conversation(f"msc-{_name(row)}", _sessions(row, SPEAKERS, options), [])


def self_instruct(row: dict[str, Any], notes: Counter[str], options: Mapping[str, str]) -> Iterator[Conversation]:
    """A dialogue over five sessions and one question, `self_instruct.B`, whose answer `A` one of the two gave.

    The model stands in for the one who answers, so that speaker is the assistant. The record does not say who it is:
    it is found by the answer's words in the turns, else by the personas, else taken to be Speaker 1.
    """
    asked = field(row, "self_instruct", dict)
    question, answer = field(asked, "B", str).strip(), field(asked, "A", str).strip()
    neutral = _sessions(row, SPEAKERS, options)
    said = _said_where(answer, neutral)
    speaker, how = _answering(answer, neutral, said, row)
    notes[f"answering speaker found by {how}"] += 1
    other = SPEAKERS[speaker == SPEAKERS[0]]
    evidence = [place for place in said if neutral[place[0]].turns[place[1]].name == speaker]
    conversation = Conversation(f"msc-{_name(row)}", _sessions(row, (other, speaker), options), [])
    conversation.probes.append(Probe(question, [answer], asked_kind(question), evidence))
    yield conversation


def _name(row: dict[str, Any]) -> str:
    meta = row.get("metadata") if isinstance(row.get("metadata"), dict) else row
    return str(field(meta, "initial_data_id", object)).replace(":", "-")


def _sessions(row: dict[str, Any], order: tuple[str, str], options: Mapping[str, str]) -> list[Session]:
    """The sessions, oldest first; `order` names the user and the assistant.

    The source knows how long before the last session the others were, not when: `now` in the options dates the last.
    """
    earlier = row.get("previous_dialogs") or []
    ages = _ages(earlier)
    now, last = _when(options.get("now")), options.get("last", "yes")
    if last not in ("yes", "no"):
        raise UsageError(f"last={last} is neither yes nor no", "Write --set last=no, or leave it out.")
    found = [
        Session(_spoken(part, order), (now - timedelta(hours=age)).isoformat() if now else None)
        for part, age in zip(earlier, ages, strict=True)
    ]
    if last == "yes":
        found.append(Session(_spoken(row, order), now.isoformat() if now else None))
    found = [session for session in found if session.turns]
    if not found:
        raise ValueError("there is no turn in it")
    return found


def _when(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(iso_time(text)) if text else None
    except ValueError as error:
        raise UsageError(f"now={error}", "Write --set now=2024-05-01.") from error


def _spoken(part: dict[str, Any], order: tuple[str, str]) -> list[Turn]:
    """The turns of one session; a turn without a speaker is said by the one whose turn it is."""
    said = []
    for number, turn in enumerate(field(part, "dialog", list)):
        label = str(turn.get("id") or "")
        said.append((label if label in SPEAKERS else SPEAKERS[number % 2], field(turn, "text", str)))
    return turns(said, *order)


def _ages(earlier: list[dict[str, Any]]) -> list[float]:
    """How many hours before the last session each earlier one was, by `time_back`, else by the gaps after it."""
    ages, gaps = [], 0.0
    for part in reversed(earlier):
        gap = GAP.search(f"{part.get('time_num') or 0} {part.get('time_unit') or 'hours'}")
        gaps += float(gap[1]) * HOURS[gap[2]] if gap else 0.0
        back = sum(float(number) * HOURS[unit] for number, unit in GAP.findall(str(part.get("time_back") or "")))
        ages.append(back or gaps)
    return ages[::-1]


def _said_where(answer: str, sessions: list[Session]) -> list[tuple[int, int]]:
    """The turns in which the answer stands as whole words."""
    wanted = f" {' '.join(words(answer))} "
    return [
        (number, index)
        for number, session in enumerate(sessions)
        for index, turn in enumerate(session.turns)
        if wanted.strip() and wanted in f" {' '.join(words(turn.content))} "
    ]


def _answering(
    answer: str, sessions: list[Session], said: list[tuple[int, int]], row: dict[str, Any]
) -> tuple[str, str]:
    """Who answers, and by what it was found: "the answer's words", "personas" or "default"."""
    who = {sessions[number].turns[index].name for number, index in said}
    if len(who) == 1:
        return who.pop(), "the answer's words"
    wanted = content_words(answer)
    overlap = [len(wanted & content_words(" ".join(_facts(row, number)))) for number in (0, 1)]
    if overlap[0] != overlap[1]:
        return SPEAKERS[overlap[1] > overlap[0]], "personas"
    return SPEAKERS[0], "default"


def _facts(row: dict[str, Any], number: int) -> list[str]:
    """All sentences about one speaker, to tell the two apart."""
    found = [*_texts(row.get(f"summary_speaker_{number + 1}"))]
    for name in ("personas", "init_personas", "personas_update1", "personas_update2"):
        value = row.get(name)
        if isinstance(value, list) and len(value) > number:
            found += _texts(value[number])
    return found


def _texts(value: Any) -> list[str]:
    """The texts in a value, however deep the lists are."""
    if isinstance(value, str):
        return [value]
    return [text for part in value for text in _texts(part)] if isinstance(value, list) else []

"""The everyday probes: well formed, answerable from their evidence, and independent of the persona world."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

import pytest

from memchat.data.formats import Conversation, Probe, read_conversations
from memchat.data.grammar import SPLITS
from memchat.data.probes import conversations
from memchat.paths import shipped

PER_KIND = {"fact": 71, "update": 29, "date": 13, "count": 16, "quote": 7, "abstain": 29, "forget": 4}
DERIVED = {  # answers that follow from the evidence without standing in it, and how
    ("everyday-07", "how many different things were on the list in the end?"): 3 + 2 + 1,  # named in three turns
    ("everyday-20", "How many pens do I own now?"): 31 - 2,  # two of them sold
}
RUN = 8  # words in a row that no line may share with the generator; plain English shares shorter ones
UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
UNITS += ["thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
TENS = {"twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80"}
TENS["ninety"] = "90"
NUMBERS = {word: str(n) for n, word in enumerate(UNITS)} | TENS
COMPOUND = rf"\b({'|'.join(TENS)})[- ]({'|'.join(UNITS[1:10])})\b"


def words(text: str) -> list[str]:
    """Lower-case words without accents or punctuation, number words as digits ("Forty-one" -> 41, "4,650" -> 4650)."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    plain = re.sub(r"(?<=\d),(?=\d{3}\b)", "", plain)
    plain = re.sub(COMPOUND, lambda m: str(int(TENS[m[1]]) + int(NUMBERS[m[2]])), plain)
    return [NUMBERS.get(word, word) for word in re.findall(r"[^\W_]+", plain)]


def stands_in(part: str, whole: str) -> bool:
    """Whether the words of `part` stand in a row in `whole`."""
    return f" {' '.join(words(part))} " in f" {' '.join(words(whole))} "


def runs(text: str) -> set[tuple[str, ...]]:
    """Every `RUN` words in a row of `text`; a shorter text whole, if it has at least 4 words."""
    found = words(text)
    starts = range(max(1, len(found) - RUN + 1)) if len(found) >= 4 else ()
    return {tuple(found[i : i + RUN]) for i in starts}


def lines(conversation: Conversation) -> Iterator[str]:
    """Everything said or asked in a conversation."""
    for session in conversation.sessions:
        yield from (turn.content for turn in session.turns)
    yield from (probe.question for probe in conversation.probes)


@pytest.fixture(scope="module")
def everyday() -> list[Conversation]:
    return list(read_conversations(shipped("assets", "probes", "everyday.jsonl")))


@pytest.fixture(scope="module")
def probes(everyday: list[Conversation]) -> list[tuple[Conversation, Probe]]:
    return [(conversation, probe) for conversation in everyday for probe in conversation.probes]


def evidence(conversation: Conversation, probe: Probe) -> list[str]:
    return [conversation.sessions[session].turns[turn].content for session, turn in probe.evidence]


def test_thirty_conversations_of_modest_length(everyday):
    assert [c.id for c in everyday] == [f"everyday-{n:02}" for n in range(1, 31)]
    assert all(6 <= sum(len(s.turns) for s in c.sessions) <= 24 for c in everyday)
    assert all(3 <= len(c.probes) <= 6 for c in everyday)
    for session in (s for c in everyday for s in c.sessions):
        roles = [turn.role for turn in session.turns]
        assert roles == [("user", "assistant")[i % 2] for i in range(len(roles))]
    for conversation in everyday:
        times = [session.at for session in conversation.sessions]
        assert times == [None] or times == sorted(set(filter(None, times)))


def test_probes_per_kind(probes):
    assert Counter(probe.kind for _, probe in probes) == PER_KIND
    questions = [(conversation.id, probe.question) for conversation, probe in probes]
    assert len(set(questions)) == len(questions)


def test_answers_stand_in_their_evidence(probes):
    derived = set()
    for conversation, probe in probes:
        if probe.kind == "abstain":
            assert not probe.answers and not probe.evidence
        elif not any(stands_in(answer, " / ".join(evidence(conversation, probe))) for answer in probe.answers):
            derived.add((conversation.id, probe.question))
            assert str(DERIVED.get((conversation.id, probe.question))) in probe.answers, probe
    assert derived == set(DERIVED)


def test_quotes_are_word_for_word(probes):
    for conversation, probe in probes:
        if probe.kind == "quote":
            assert any(probe.answers[0].rstrip("?") in turn for turn in evidence(conversation, probe)), probe


def test_updates_name_what_held_before(probes):
    for conversation, probe in probes:
        assert bool(probe.superseded) == (probe.kind == "update")
        for old in probe.superseded:
            assert not any(stands_in(old, answer) for answer in probe.answers), probe
        if probe.kind == "update":
            assert any(stands_in(old, " / ".join(evidence(conversation, probe))) for old in probe.superseded), probe


def test_a_value_to_forget_is_told_once_and_then_taken_back(probes):
    for conversation, probe in probes:
        if probe.kind == "forget":
            told, request = evidence(conversation, probe)
            assert any(stands_in(value, told) for value in probe.answers)
            assert not any(stands_in(value, request) for value in probe.answers)
            assert re.search(r"forget|hold on to|drop it", request)


def test_no_line_is_the_generators(everyday):
    made = set()
    for split in SPLITS:
        for conversation in conversations(split, 400, 3):
            made |= {run for line in lines(conversation) for run in runs(line)}
    assert made
    assert not {run for conversation in everyday for line in lines(conversation) for run in runs(line)} & made

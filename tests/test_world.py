"""The persona world: deterministic, disjoint splits, questions that can be answered, a format that round-trips."""

from __future__ import annotations

import json
import time
from random import Random

import pytest
from typer.testing import CliRunner

from memchat.data.formats import from_json, read_conversations, to_json
from memchat.data.grammar import SPLITS, expand, phrases
from memchat.data.probes import conversations
from memchat.data.world import dialogue, talk
from memchat.data.world.facts import Attribute, Forms, attributes, listed, singles
from memchat.data.world.pen import Dialogue
from memchat.data.world.values import POOLS, draw, made_up, split_of
from memchat.errors import MemchatError, UsageError
from memchat.shelf import texts

USER_LISTS = (
    *("tell_wraps", "aside", "update_wraps", "correction_wraps", "joins", "joins3", "ask_wraps", "clause_wraps"),
    *("noun_wraps", "two_asks", "quoted_me", "quoted_self", "forget_clause", "forget_noun", "quote_asks"),
    *("first_asks", "summary_asks", "about_asks", "topic_asks", "who_asks", "world_asks"),
)
KINDS = {"fact", "update", "date", "count", "quote", "abstain", "forget"}


def chat_lines(split: str, number: int, size: int = 900) -> list[tuple[str, str, str]]:
    return [(line.role, line.text, line.kind) for line in dialogue(split, Random(number), size).lines]


def chats(split: str, n: int, size: int = 1000) -> list[Dialogue]:
    return [dialogue(split, Random(number), size, share=1.0) for number in range(n)]


def all_forms() -> list[tuple[Attribute, Forms]]:
    return [(a, forms) for a in attributes() for forms in (a.own, a.other, a.bot) if forms]


def pattern_lists() -> list[tuple[str, ...]]:
    """Every list of user patterns of the world."""
    lists = [texts("talk")[name] for name in USER_LISTS]
    lists += [intent.user for part in ("talk", "greeting", "goodbye") for intent in talk.intents(part)]
    lists += [texts("families")["lists"][name] for name in ("put", "take", "ask", "count")]
    kinds = ("tell", "ask", "update", "deny")
    return lists + [found for _, forms in all_forms() for kind in kinds if (found := getattr(forms, kind))]


def test_same_seed_same_chat():
    assert chat_lines("train", 5) == chat_lines("train", 5)
    assert chat_lines("train", 5) != chat_lines("train", 6)
    assert [to_json(c) for c in conversations("test", 5, 1)] == [to_json(c) for c in conversations("test", 5, 1)]


def test_every_attribute_has_enough_phrasings():
    assert len(singles()) >= 60
    assert len({attribute.key for attribute in attributes()}) == len(attributes()) >= 200
    for attribute, forms in all_forms():
        least = 8 if forms is attribute.own else 5
        for kind in ("tell", "ask"):
            assert len({text for pattern in getattr(forms, kind) for text in expand(pattern)}) >= least, attribute.key
        assert "{v}" in forms.answer
        assert attribute.pool in POOLS


def test_no_two_attributes_are_asked_with_the_same_sentence():
    asked: dict[str, str] = {}
    for attribute in singles():
        for pattern in attribute.own.ask:
            for text in expand(pattern):
                assert asked.setdefault(text, attribute.key) == attribute.key, text


def test_sentences_of_the_splits_are_disjoint():
    """A list's sentences are parted by split; no sentence of training stands in the test part of its list."""
    for patterns in pattern_lists():
        train, valid, test = (set(phrases(patterns, split)) for split in SPLITS)
        assert not (train & valid or train & test or valid & test)
        assert train and valid and test


def test_whole_lines_of_test_chats_are_unseen():
    """Telling and asking lines of the test split stand nowhere in many training chats (small talk repeats pieces)."""

    def lines(split: str) -> set[str]:
        return {line.text.casefold() for chat in chats(split, 300) for line in chat.lines if line.kind == "tell"}

    seen, unseen = lines("train"), lines("test")
    assert len(unseen) > 1000
    assert not seen & unseen


def test_values_of_the_splits_are_disjoint_and_plentiful():
    rng = Random(0)
    for pool in POOLS:
        drawn = {split: {draw(pool, split, rng).casefold() for _ in range(60)} for split in SPLITS}
        assert not drawn["train"] & (drawn["valid"] | drawn["test"])
        assert not drawn["valid"] & drawn["test"]
        assert all(len(values) >= 3 for values in drawn.values()), pool


def test_values_in_chats_come_from_their_split():
    checked = 0
    for split in SPLITS:
        for chat in chats(split, 40):
            for asked in chat.asked:
                if asked.kind in ("quote", "count") or " list" in asked.question or "menu" in asked.question:
                    continue  # whole lines, numbers and enumerations
                for value in asked.answers + asked.superseded:
                    # A sloppy writer leaves out the apostrophe of D'Arko or o'clock.
                    assert split in {split_of(value)} | {
                        split_of(f"{value[:i]}'{value[i:]}") for i in range(len(value))
                    }
                    checked += 1
    assert checked > 500


def test_made_up_names_are_varied():
    rng = Random(3)
    assert len({made_up(rng) for _ in range(2000)}) > 1800


@pytest.mark.parametrize("split", SPLITS)
def test_answers_stand_in_the_evidence_and_replies(split: str):
    kinds = set()
    for chat in chats(split, 150):
        for asked in chat.asked:
            kinds.add(asked.kind)
            assert chat.lines[asked.turn].text == asked.question
            assert all(turn < asked.turn for turn in asked.evidence)
            reply = chat.lines[asked.turn + 1]
            assert reply.role == "assistant"
            if asked.kind in ("abstain", "forget"):
                assert "know" in reply.text or "not told" in reply.text
                assert all(f" {value.lower()} " not in f" {reply.text.lower()} " for value in asked.answers)
                continue
            assert asked.answers[0].lower() in reply.text.lower()
            if asked.kind != "count":
                told = " ".join(chat.lines[turn].text.lower() for turn in asked.evidence)
                listing = asked.answers[0].lower().replace(" and ", ", ").split(", ")
                assert asked.answers[0].lower() in told or all(value in told for value in listing)
    assert kinds == KINDS


def test_updates_supersede_and_the_last_value_counts():
    updates = [(chat, asked) for chat in chats("test", 100) for asked in chat.asked if asked.kind == "update"]
    assert len(updates) > 40
    for chat, asked in updates:
        reply = chat.lines[asked.turn + 1].text
        assert asked.superseded
        assert asked.answers[0] not in asked.superseded
        assert all(f" {old}." not in reply for old in asked.superseded)


def test_both_speakers_may_state_the_same_attribute():
    found = 0
    for chat in chats("train", 500):
        for number, line in enumerate(chat.lines):
            found += (
                line.kind == "slip" and " my " in f" {line.text.lower()} " and chat.lines[number - 1].kind == "tell"
            )
    assert found > 10


def test_later_sittings_begin_where_they_say():
    broken = [chat for chat in chats("train", 200) if chat.breaks]
    assert len(broken) > 10
    assert all(chat.lines[turn].role == "user" for chat in broken for turn in chat.breaks if turn < len(chat.lines))
    several = [c for c in conversations("test", 100, 0) if len(c.sessions) > 1]
    assert several
    for conversation in several:
        times = [session.at or "" for session in conversation.sessions]
        assert times == sorted(times)
        assert all(times)


def test_most_told_facts_are_asked_for():
    """Not all lines: an update makes the line before it worthless, and a pair of questions in one line is no probe."""
    asked_for = told = 0
    for chat in chats("train", 50, 800):
        evidence = {turn for asked in chat.asked for turn in asked.evidence}
        tells = {n for n, line in enumerate(chat.lines[: chat.ask_from]) if line.kind == "tell"}
        asked_for, told = asked_for + len(evidence & tells), told + len(tells)
        assert chat.lines[-1].role == "assistant"
    assert asked_for > 0.7 * told


def test_roles_alternate_and_system_stands_first():
    starts = set()
    for number in range(100):
        roles = [line.role for line in dialogue("train", Random(number), 500).lines]
        starts.add(roles[0])
        spoken = roles[1:] if roles[0] == "system" else roles
        assert spoken == ["user", "assistant"] * (len(spoken) // 2)
    assert starts == {"system", "user"}


def test_no_line_has_an_open_brace():
    for split in SPLITS:
        for chat in chats(split, 200):
            for line in chat.lines:
                assert not set("{}[]|") & set(line.text), line.text
                assert "  " not in line.text


def test_the_gist_says_what_a_line_changes_or_asks():
    for i in range(20):
        for line in dialogue("train", Random(f"gist {i}"), 2000).lines:
            told = [value for _, value in line.edits if value and line.kind != "list"]
            assert all(value in line.gist for value in told), (line.text, line.gist)
            assert bool(line.gist) >= bool(line.edits or line.reads)
            assert not line.gist or line.role == "user" or line.edits


def test_listed():
    assert listed([]) == ""
    assert listed(["milk"]) == "milk"
    assert listed(["milk", "eggs"]) == "milk and eggs"
    assert listed(["milk", "eggs", "bread"]) == "milk, eggs and bread"


def test_probes_can_be_answered_from_their_evidence():
    n = 0
    for conversation in conversations("test", 60, 0):
        assert from_json(json.loads(json.dumps(to_json(conversation)))) == conversation
        for probe in conversation.probes:
            n += 1
            said = " ".join(conversation.sessions[s].turns[t].content.lower() for s, t in probe.evidence)
            if probe.kind in ("fact", "update", "date", "quote"):
                parts = probe.answers[0].lower().replace(" and ", ", ").split(", ")
                assert probe.answers[0].lower() in said or all(part in said for part in parts)
            assert probe.evidence or probe.kind == "abstain"
    assert n > 300


def test_the_world_is_fast():
    """Far above what training eats (some thousand tokens a second); loose, since machines are busy."""
    dialogue("train", Random(0), 900)
    started = time.process_time()
    letters = sum(len(text) for number in range(200) for _, text, _ in chat_lines("train", number))
    assert letters / 3.1 / (time.process_time() - started) > 60_000


def test_the_command_writes_the_format(tmp_path):
    from memchat.cli.data import app

    out = tmp_path / "deep" / "world.jsonl"
    result = CliRunner().invoke(app, ["world", "--split", "valid", "--n", "7", "--seed", "3", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "7 conversations" in result.output
    assert [c.id for c in read_conversations(out)] == [c.id for c in conversations("valid", 7, 3)]
    bad = CliRunner().invoke(app, ["world", "--split", "vaild", "--out", str(out)])
    assert isinstance(bad.exception, UsageError)
    assert "valid" in bad.exception.remedy
    long = CliRunner().invoke(app, ["world", "--n", "5", "--tokens", "400-500", "--out", str(out)])
    assert long.exit_code == 0, long.output
    lengths = [sum(len(t.content) + 6 for s in c.sessions for t in s.turns) / 3.1 for c in read_conversations(out)]
    assert all(300 < length < 700 for length in lengths)
    wrong = CliRunner().invoke(app, ["world", "--tokens", "many", "--out", str(out)])
    assert isinstance(wrong.exception, UsageError)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2"),
        ('{"id": 1, "sessions": []}', "'probes' is missing"),
        ('{"id": 1, "sessions": [], "probes": [{"question": "?", "answers": [], "kind": "odd"}]}', "'odd'"),
        (
            '{"id": 1, "sessions": [],'
            ' "probes": [{"question": "?", "answers": [], "kind": "fact", "evidence": [[0, 0]]}]}',
            "exist",
        ),
        ('{"id": 1, "sessions": [{"turns": [{"role": "system", "content": ""}]}], "probes": []}', "role"),
        ("[]", "line 2"),
    ],
)  # fmt: skip
def test_bad_lines_are_named(tmp_path, line: str, reason: str):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": 0, "sessions": [], "probes": []}\n' + line + "\n")
    with pytest.raises(MemchatError) as caught:
        list(read_conversations(path))
    assert reason in caught.value.message
    with pytest.raises(MemchatError, match="cannot read"):
        list(read_conversations(tmp_path / "missing.jsonl"))

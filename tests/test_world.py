"""The persona world: deterministic, disjoint splits, questions that can be answered, a format that round-trips."""

from __future__ import annotations

import json
import time
from random import Random

import pytest
from typer.testing import CliRunner

from memchat.data import talk
from memchat.data.attributes import ATTRIBUTES
from memchat.data.facts import split_part
from memchat.data.formats import from_json, read_conversations, to_json
from memchat.data.probes import conversations
from memchat.data.values import POOLS, SPLITS, draw, made_up, split_of
from memchat.data.world import dialogue
from memchat.errors import MemchatError, UsageError


def chat_lines(split: str, number: int, size: int = 900) -> list[tuple[str, str, str]]:
    return [(line.role, line.text, line.kind) for line in dialogue(split, Random(number), size).lines]


def user_templates(split: str) -> set[str]:
    """Every user phrasing that a split may use."""
    lists = [talk.TELL_WRAPS, talk.UPDATE_WRAPS, talk.JOINS, talk.ASK_WRAPS, talk.CLAUSE_WRAPS, talk.NOUN_WRAPS]
    lists += [talk.WHO_ASKS, talk.WORLD_ASKS, talk.GOODBYES[0]]
    lists += [users for users, _ in (*talk.GREETINGS, *talk.SMALL_TALK, *talk.ASSISTANT)]
    for attribute in ATTRIBUTES:
        for forms in filter(None, (attribute.own, attribute.other)):
            lists += [forms.tell, forms.ask]
    return {text for options in lists for text in split_part(options, split)}


def test_same_seed_same_chat():
    assert chat_lines("train", 5) == chat_lines("train", 5)
    assert chat_lines("train", 5) != chat_lines("train", 6)
    assert [to_json(c) for c in conversations("test", 5, 1)] == [to_json(c) for c in conversations("test", 5, 1)]


def test_every_attribute_has_enough_phrasings():
    assert len(ATTRIBUTES) >= 30
    assert len({attribute.key for attribute in ATTRIBUTES}) == len(ATTRIBUTES)
    for attribute in ATTRIBUTES:
        assert len(set(attribute.own.tell)) >= 6, attribute.key
        assert len(set(attribute.own.ask)) >= 5, attribute.key


def test_phrasings_of_the_splits_are_disjoint():
    train, valid, test = (user_templates(split) for split in SPLITS)
    assert not train & valid
    assert not train & test
    assert not valid & test
    assert min(len(train), len(valid), len(test)) > 100


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
        for number in range(40):
            for asked in dialogue(split, Random(number), 900).asked:
                for value in asked.answers + asked.superseded:
                    # A sloppy writer leaves out the apostrophe of a name like D'Arko.
                    assert split in (split_of(value), split_of(f"{value[0]}'{value[1:]}"))
                    checked += 1
    assert checked > 200


def test_made_up_names_are_varied():
    rng = Random(3)
    assert len({made_up(rng) for _ in range(2000)}) > 1800


@pytest.mark.parametrize("split", SPLITS)
def test_answers_stand_in_the_evidence_and_replies(split: str):
    kinds = set()
    for number in range(150):
        chat = dialogue(split, Random(number), 1000)
        for asked in chat.asked:
            kinds.add(asked.kind)
            assert chat.lines[asked.turn].text == asked.question
            reply = chat.lines[asked.turn + 1]
            assert reply.role == "assistant"
            if asked.kind == "abstain":
                assert not asked.answers
                assert "know" in reply.text or "not told" in reply.text
                continue
            assert asked.answers[0].lower() in chat.lines[asked.evidence[0]].text.lower()
            assert asked.answers[0].lower() in reply.text.lower()
            assert all(turn < asked.turn for turn in asked.evidence)
    assert kinds == {"fact", "update", "abstain"}


def test_every_told_fact_is_asked_for():
    for number in range(50):
        chat = dialogue("train", Random(number), 800)
        told = sum(line.kind == "tell" for line in chat.lines)
        answered = sum(line.kind == "answer" for line in chat.lines)
        updates = sum(asked.kind == "update" for asked in chat.asked)
        assert answered >= (told - updates) * 0.5
        assert chat.lines[-1].role == "assistant"


def test_roles_alternate_and_system_stands_first():
    starts = set()
    for number in range(100):
        roles = [line.role for line in dialogue("train", Random(number), 500).lines]
        starts.add(roles[0])
        spoken = roles[1:] if roles[0] == "system" else roles
        assert spoken == ["user", "assistant"] * (len(spoken) // 2)
    assert starts == {"system", "user"}


def test_probes_can_be_answered_from_their_evidence(tmp_path):
    n = 0
    for conversation in conversations("test", 60, 0):
        assert from_json(json.loads(json.dumps(to_json(conversation)))) == conversation
        for probe in conversation.probes:
            n += 1
            for session, turn in probe.evidence:
                assert probe.answers[0].lower() in conversation.sessions[session].turns[turn].content.lower()
            assert bool(probe.evidence) == (probe.kind != "abstain")
    assert n > 100


def test_the_world_is_fast():
    """Far above what training eats (some thousand tokens a second); loose, since machines are busy."""
    dialogue("train", Random(0), 900)
    started = time.process_time()
    letters = sum(len(text) for number in range(200) for _, text, _ in chat_lines("train", number))
    assert letters / 2.4 / (time.process_time() - started) > 100_000


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

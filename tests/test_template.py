"""Chat templates of every kind: full, without a system role, strict about alternation, or none."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from memchat.engine.template import Template
from memchat.memory.base import Message
from tests.tiny import byte_tokenizer

CHATML = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}<assistant>"
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('must alternate') }}{% endif %}"
    "<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
)
DROPS_SYSTEM = "{% for m in messages if m.role != 'system' %}<{{ m.role }}>{{ m.content }}{% endfor %}<assistant>"
TALK = [Message("user", "hi"), Message("assistant", "hello"), Message("user", "bye")]


def template(source: str | None) -> Template:
    tokenizer: Any = copy.deepcopy(byte_tokenizer())
    tokenizer.chat_template = source
    return Template(tokenizer)


def test_system_role_where_there_is_one() -> None:
    text = template(CHATML).render(TALK, "Be kind.").text
    assert text == "<system>Be kind.</s><user>hi</s><assistant>hello</s><user>bye</s><assistant>"


@pytest.mark.parametrize("source", [NO_SYSTEM, DROPS_SYSTEM])
def test_system_text_goes_into_the_first_user_message_where_there_is_no_role(source: str) -> None:
    made = template(source)
    assert not made.has_system
    assert made.render(TALK, "Be kind.").text == "<user>Be kind.\n\nhi<assistant>hello<user>bye<assistant>"


def test_neighbours_of_one_role_are_joined() -> None:
    """A question whose answer failed, and the next question."""
    talk = [Message("user", "one"), Message("user", "two")]
    assert template(NO_SYSTEM).render(talk).text == "<user>one\ntwo<assistant>"


def test_no_template_gives_a_transcript_that_stops_at_the_next_speaker() -> None:
    prompt = template(None).render(TALK, "Be kind.")
    assert prompt.text == "Be kind.\n\nUser: hi\nAssistant: hello\nUser: bye\nAssistant:"
    assert "\nUser:" in prompt.stop


def test_ids_are_those_of_the_text() -> None:
    prompt = template(CHATML).render(TALK)
    assert byte_tokenizer().decode(prompt.ids) == prompt.text


def test_segments_account_for_every_token() -> None:
    made = template(CHATML)
    rows = made.segments(TALK, "Be kind.")
    assert [r.kind for r in rows] == ["system", "user", "assistant", "user", "template"]
    assert sum(r.tokens for r in rows) == len(made.render(TALK, "Be kind.").ids)

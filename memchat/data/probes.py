"""Chats of the persona world as conversations with probes, the input of `memchat eval recall`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random

from memchat.data.formats import Conversation, Probe, Session, Turn
from memchat.data.world import dialogue
from memchat.data.world.pen import Dialogue

SIZES = (200, 2800)
"""Characters of what is told in a conversation: up to what fits the starter's context."""

CHARACTERS = 3.1
"""Of these chats that make a token of the starter, roles and ends included."""

QUESTIONS = 8
"""About so many probes a conversation has, where nothing else is said."""


def as_conversation(chat: Dialogue, name: str, begin: datetime) -> Conversation:
    """The telling part of a chat as sessions some days apart, and the questions that follow it as probes."""
    sessions = [Session([], begin.isoformat())]
    place: dict[int, tuple[int, int]] = {}
    for number, line in enumerate(chat.lines[: chat.ask_from]):
        if number in chat.breaks and sessions[-1].turns:
            begin += timedelta(days=3, hours=2)
            sessions.append(Session([], begin.isoformat()))
        if line.role != "system":
            place[number] = (len(sessions) - 1, len(sessions[-1].turns))
            sessions[-1].turns.append(Turn(line.role, line.text))
    probes = [
        Probe(a.question, a.answers, a.kind, [place[turn] for turn in a.evidence if turn in place], a.superseded)
        for a in chat.asked
        if a.turn >= chat.ask_from
    ]
    return Conversation(name, [s for s in sessions if s.turns], probes)


def conversations(
    split: str, n: int, seed: int, sizes: tuple[int, int] = SIZES, questions: int = QUESTIONS
) -> Iterator[Conversation]:
    """`n` conversations of `split`, each with at least one probe; the same for the same seed.

    Args:
        sizes: the least and the largest length of what is told, in characters.
        questions: about so many probes, as far as there is enough to ask for.
    """
    number = 0
    while n > 0:
        rng = Random(f"conversations {split} {seed} {number}")
        told = rng.randint(*sizes)
        share = min(1.0, questions * 75 / (told / 1.7))  # a fact takes about 75 characters, with talk around it more
        chat = dialogue(split, rng, round(told + told / 1.7 * share), share=share)
        begin = datetime(2026, 1, 1, 9) + timedelta(days=rng.randrange(300), minutes=rng.randrange(700))
        conversation = as_conversation(chat, f"world-{split}-{seed}-{number}", begin)
        number += 1
        if conversation.probes and conversation.sessions:
            yield conversation
            n -= 1

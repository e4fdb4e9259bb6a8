"""Chats of the persona world as conversations with probes, the input of `memchat eval recall`."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from memchat.data.formats import Conversation, Probe, Session, Turn
from memchat.data.pen import Dialogue
from memchat.data.world import dialogue

SIZES = (200, 1600)  # characters of a chat


def as_conversation(chat: Dialogue, name: str) -> Conversation:
    """The telling part of a chat as one session, and the questions that follow it as probes."""
    told = chat.lines[: chat.ask_from]
    spoken = [turn for turn, line in enumerate(told) if line.role != "system"]
    place = {turn: number for number, turn in enumerate(spoken)}
    turns = [Turn(told[turn].role, told[turn].text) for turn in spoken]
    probes = [
        Probe(
            asked.question, asked.answers, asked.kind, [(0, place[turn]) for turn in asked.evidence], asked.superseded
        )
        for asked in chat.asked
        if asked.turn >= chat.ask_from
    ]
    return Conversation(name, [Session(turns)], probes)


def conversations(split: str, n: int, seed: int, sizes: tuple[int, int] = SIZES) -> Iterator[Conversation]:
    """`n` conversations of `split`, each with at least one probe; the same for the same seed."""
    number = 0
    while n > 0:
        rng = Random(f"conversations {split} {seed} {number}")
        conversation = as_conversation(dialogue(split, rng, rng.randint(*sizes)), f"world-{split}-{seed}-{number}")
        number += 1
        if conversation.probes and conversation.sessions[0].turns:
            yield conversation
            n -= 1

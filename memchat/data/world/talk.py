"""Everything said in the persona world that is no fact: wraps, small talk, the assistant's own voice.

The texts stand in `assets/world/talk.toml`. Users' patterns are split; the assistant has one voice in all splits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random

from memchat.data.grammar import phrases
from memchat.shelf import texts


@dataclass(frozen=True)
class Intent:
    """Something people say in passing, and the replies to it. `part` is greeting, goodbye or talk."""

    name: str
    user: tuple[str, ...]
    reply: tuple[str, ...]
    part: str


@cache
def intents(part: str) -> tuple[Intent, ...]:
    """The intents of one part of a talk."""
    made = (
        Intent(
            entry["name"], tuple(entry["user"]), tuple(entry["reply"]),
            "greeting" if entry.get("greeting") else "goodbye" if entry.get("goodbye") else "talk",
        )
        for entry in texts("talk")["intents"]
    )  # fmt: skip
    return tuple(intent for intent in made if intent.part == part)


@cache
def _list(key: str) -> tuple[str, ...]:
    return tuple(texts("talk")[key])


def user(key: str, split: str, rng: Random) -> str:
    """One of the user's sentences of a list that the split may use."""
    return rng.choice(phrases(_list(key), split))


def voice(key: str, rng: Random) -> str:
    """One of the assistant's sentences of a list."""
    return rng.choice(_list(key))

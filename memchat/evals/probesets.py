"""The conversations of an evaluation: where they come from, and which of them fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from memchat import paths
from memchat.data.formats import Conversation, read_conversations, to_json
from memchat.errors import MemchatError, unknown

SPLITS = ("test", "valid", "train")
FIT = -1
"""As ``limit_tokens``: what the model reads at once, less the room for a reply."""
_SOUGHT = 50
"""Conversations of the world looked at for each one wanted, when limits drop some."""


@dataclass(frozen=True)
class Wanted:
    """Which conversations to take.

    Attributes:
        data: ``world``, ``world:<split>``, ``everyday`` or a JSONL file.
        n: conversations at most.
        sizes: characters of a conversation of the world, smallest and largest.
        questions: probes of a conversation of the world, about.
        min_tokens, limit_tokens: of the full prompt, the longest question included; None: no limit.
    """

    data: str = "world"
    n: int = 300
    seed: int = 0
    sizes: tuple[int, int] | None = None
    min_tokens: int = 0
    limit_tokens: int | None = None
    questions: int = 8


@dataclass(frozen=True)
class Selection:
    """What was taken: the conversations, the tokens of their full prompts, and how many were left out by length."""

    conversations: list[Conversation]
    tokens: list[int]
    left_out: int

    @property
    def probes(self) -> int:
        return sum(len(c.probes) for c in self.conversations)

    @property
    def digest(self) -> str:
        """SHA-256 of the conversations as lines of their file format."""
        whole = hashlib.sha256()
        for conversation in self.conversations:
            whole.update(json.dumps(to_json(conversation), sort_keys=True).encode() + b"\n")
        return whole.hexdigest()


def select(wanted: Wanted, measure: Callable[[Conversation], int]) -> Selection:
    """The first ``wanted.n`` conversations with a probe that fit; ``measure`` counts the tokens of a full prompt.

    Raises:
        MemchatError: the data cannot be read, none fits, or an id stands twice.
        UsageError: unknown data.
    """
    chosen: list[Conversation] = []
    tokens: list[int] = []
    left_out = 0
    for conversation in _source(wanted):
        if len(chosen) == wanted.n:
            break
        if not conversation.probes:
            continue
        length = measure(conversation)
        if length < wanted.min_tokens or (wanted.limit_tokens is not None and length > wanted.limit_tokens):
            left_out += 1
            continue
        chosen.append(conversation)
        tokens.append(length)
    if not chosen:
        reason = f": {left_out} are too long or too short" if left_out else ""
        raise MemchatError(f"no conversation of {wanted.data} can be asked about{reason}", "Change the limits.")
    _check_ids(chosen, wanted.data)
    return Selection(chosen, tokens, left_out)


def _source(wanted: Wanted) -> Iterable[Conversation]:
    name, _, split = wanted.data.partition(":")
    if name == "world" and (not split or split in SPLITS):
        return _world(split or "test", wanted)
    if wanted.data == "everyday":
        return read_conversations(paths.shipped("assets", "probes", "everyday.jsonl"))
    if wanted.data.endswith(".jsonl") or Path(wanted.data).is_file():
        return read_conversations(Path(wanted.data))
    raise unknown("data", wanted.data, ["world", *(f"world:{s}" for s in SPLITS), "everyday", "FILE.jsonl"])


def _world(split: str, wanted: Wanted) -> Iterator[Conversation]:
    from memchat.data.probes import SIZES, conversations

    return conversations(split, wanted.n * _SOUGHT, wanted.seed, wanted.sizes or SIZES, wanted.questions)


def _check_ids(conversations: list[Conversation], data: str) -> None:
    seen: set[str] = set()
    for conversation in conversations:
        if conversation.id in seen:
            raise MemchatError(f"{data} has two conversations {conversation.id!r}", "Give each an id of its own.")
        seen.add(conversation.id)

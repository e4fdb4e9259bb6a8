"""The cases that the SQL agents are trained on: prompts, the table they run over, and what should be done.

Each comes from the persona world (`memchat.data.tasks.sql`), whose gold SQL, gold cells and splits it keeps.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import torch
from torch import Tensor

from memchat.data.tasks import sql_table
from memchat.data.tasks.sql import Case, retrieval_case, storage_case
from memchat.data.tasks.sql_chat import chat_cases
from memchat.engine.template import Template
from memchat.memory.base import Message
from memchat.memory.sql.sandbox import run_storage
from memchat.memory.sql.spelling import plain, spelt
from memchat.memory.sql.table import Cell, Person, Table
from trainers.loop import Batch
from trainers.policy import Samples
from trainers.sql_rewards import Cells, Reward, retrieval_reward, storage_reward

CHATS = 0.7
"""How often cases are taken from a chat, four from one; the others are pairs of lines in rare situations, two of them
drawn at a time."""

IDLE = 0.6
"""Share kept of the cases in which there is nothing to do: they are half of all, and soon learnt."""

CONTAINED = 0.6
"""Share of a taught value's words that must stand in the target's line: a frozen teacher makes some up."""

_WORDS = re.compile(r"[^\W_]+")

_WRITE = re.compile(r"^(?:UPDATE users SET (\w+) = .* WHERE relation = '(\w+)'|UPDATE|INSERT)", re.M)

_CHOSEN = re.compile(
    r"^--.*|^\w+|(?<=COLUMN )\w+|(?<=SET )\w+|(?<=SELECT )\w+|'(?:[^']|'')*'|(?<=\(name, relation, )\w+", re.MULTILINE
)
"""What an answer says beside the forms of SQL: notes, what is to be done, fields, values, whose row."""


@dataclass(frozen=True)
class Episode:
    """One call of an agent: its prompt as (system, text), the table it runs over, and what it should do."""

    agent: str
    system: str
    text: str
    sql: str
    table: Table
    target: str
    gist: str  # what the line tells or asks
    wanted: Cells  # storage: cells after the call, forgotten ones empty
    reads: frozenset[Cell]  # retrieval: cells to read

    @property
    def line(self) -> str:
        """The target's line alone."""
        return _marked(self.text)

    @property
    def answer(self) -> str:
        """What its adapter should write."""
        return spelt(self.sql, self.gist)

    def reward(self, text: str, truncated: bool, fields: tuple[int, int]) -> Reward:
        """The worth of an answer; a retrieval call is to read this many fields, from and to."""
        text = plain(text)
        if self.agent == "storage":
            return storage_reward(text, self.table, self.target, self.wanted, truncated=truncated)
        return retrieval_reward(text, self.table, self.reads, low=fields[0], high=fields[1], truncated=truncated)


def episode(agent: str, case: Case) -> Episode:
    """The world's case as one: people become rows with ids, edits become cells."""
    system, user = (line.text for line in case.dialogue.lines[:2])
    keys = list(case.before.rows)
    people = tuple(
        Person(i, key if key in sql_table.SPEAKERS else "other", case.before.rows[key]["name"])
        for i, key in enumerate(keys, 1)
    )
    cells = {
        (i, name): value
        for i, key in enumerate(keys, 1)
        for name, value in case.before.rows[key].items()
        if name != "name"
    }
    table = Table(people, tuple(case.before.columns), cells)
    wanted: dict[tuple[str, str], str] = {}
    for key, row in case.after.rows.items():
        old = case.before.rows.get(key, {"name": key})
        wanted |= {(key, name): row.get(name, "") for name in {**old, **row} if old.get(name) != row.get(name)}
    target = "assistant" if _marked(user).startswith("> assistant:") else "user"
    reads = frozenset((keys.index(key) + 1, name) for key, name in case.reads)
    return Episode(agent, system, user, case.sql, table, target, case.gist, wanted, reads)


class Episodes:
    """Numbered batches of prompts with their answers; `[index]` depends on seed and index alone."""

    def __init__(self, agent: str, tokenizer: Any, *, seed: int, count: int, size: int, noise: float = 0.0) -> None:
        self.agent, self.tokenizer, self.template = agent, tokenizer, Template(tokenizer)
        self.seed, self.count, self.size, self.noise = seed, count, size, noise

    def draw(self, split: str, key: str, count: int) -> list[Episode]:
        """Episodes of a split."""
        rng = Random(f"sql {self.agent} {self.seed} {key}")
        make = storage_case if self.agent == "storage" else retrieval_case
        found: list[Case] = []
        while len(found) < count:
            if rng.random() < CHATS:
                cases = chat_cases(self.agent, split, rng, rng.randint(200, 4 * self.size))
                rng.shuffle(cases)
                cases.sort(key=_rare, reverse=True)
                rare = sum(map(_rare, cases))
                some = min(rare, 2)
                cases = [*cases[:some], *cases[rare : rare + 4 - some]]
            else:
                cases = [make(split, rng, rng.randint(100, self.size)) for _ in range(2)]
            found += [case for case in cases if case.sql != "NOOP" or rng.random() < IDLE]
        return [episode(self.agent, case) for case in found[:count]]

    def batch_of(self, index: int) -> list[Episode]:
        """The episodes of a training batch: neighbours in length among twice as many, which leaves less padding."""
        drawn = self.draw("train", str(index), 2 * self.count)
        drawn.sort(key=lambda case: len(case.system) + len(case.text) + len(case.answer))
        rng = Random(f"sql batch {self.seed} {index}")
        start = rng.randint(0, self.count)
        return [thinned(case, self.noise, rng) for case in drawn[start : start + self.count]]

    def prompt(self, case: Episode, text: str = "") -> list[int]:
        """Token ids of an episode's prompt, or of one with another text."""
        return self.template.render([Message("user", text or case.text)], case.system).ids

    def __getitem__(self, index: int) -> Batch:
        ids, attention = self.padded([self.prompt(case) for case in self.batch_of(index)])
        return {"input_ids": ids, "attention": attention, "index": torch.tensor(index)}

    def padded(self, rows: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
        """(B, T) ids, padded at the left, and their attention mask."""
        longest = max(map(len, rows))
        ids = torch.full((len(rows), longest), self.tokenizer.pad_token_id)
        attention = torch.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, longest - len(row) :] = torch.tensor(row)
            attention[i, longest - len(row) :] = 1
        return ids, attention

    def taught(self, cases: Sequence[Episode], answers: Sequence[str]) -> Samples:
        """Prompts with given answers, in the form of samples; here a row's answer ends where the batch ends."""
        ends = [self.tokenizer.eos_token_id]
        said = [self.tokenizer(text, add_special_tokens=False).input_ids + ends for text in answers]
        ids, attention = self.padded([self.prompt(case) + row for case, row in zip(cases, said, strict=True)])
        width = max(map(len, said))
        mask = torch.zeros(len(said), width)
        for i, row in enumerate(said):
            mask[i, width - len(row) :] = 1.0
        return Samples(ids, attention, ids.size(1) - width, mask, list(answers), [False] * len(said))


def thinned(case: Episode, share: float, rng: Random) -> Episode:
    """The case with such a share of its line's words left out, of those that the answer does not have.

    What people say has more forms than any generator; who learns from lines with gaps goes by what is left, and by the
    reply.
    """
    if not share or rng.random() < 0.5:
        return case
    line, needed = case.line, set(_WORDS.findall(case.answer.casefold()))
    mark = 2 if line.startswith("> ") else 0  # speaker and mark stay
    kept = [
        word for i, word in enumerate(line.split(" "))
        if i < mark or set(_WORDS.findall(word.casefold())) & needed or rng.random() >= share
    ]  # fmt: skip
    return replace(case, text=case.text.replace(line, " ".join(kept), 1))


def focus(tokenizer: Any, answers: Sequence[str], width: int) -> Tensor:
    """(B, width), 1 at the answers' tokens in which something is chosen: the rest is form, and learnt in no time.

    The answers end at the right, each with its end token.
    """
    hits = torch.zeros(len(answers), width)
    for i, text in enumerate(answers):
        spans = [found.span() for found in _CHOSEN.finditer(text)]
        offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
        for j, (a, b) in enumerate(offsets, width - 1 - len(offsets)):
            hits[i, j] = float(any(a < end and start < b for start, end in spans))
    return hits


def _rare(case: Case) -> bool:
    """Whether a storage call does more than one thing, changes a value, or is about somebody else.

    Left to chance an agent learns the facts of a line with several last of all, and drops one.
    """
    done = [hit.groups() for hit in _WRITE.finditer(case.sql)]
    return len(done) > 1 or any(not key or name in case.before.rows[key] for name, key in done)


def fit_to_teach(case: Episode, text: str, line: str) -> bool:
    """Whether SQL of a frozen copy changes something, of the target alone, with values that stand in the line."""
    person = case.table.person(case.target).id
    done = run_storage(text, case.table, person).difference
    values = [change.new for change in done.changes if change.new]
    mine = all(change.person == person for change in done.changes) and not done.people
    return bool(values) and mine and all(_contained(value, line) >= CONTAINED for value in values)


def _marked(text: str) -> str:
    """The line that is marked in a storage call's text; the text itself where none is."""
    return next((line for line in text.splitlines() if line.startswith("> ")), text)


def _contained(value: str, line: str) -> float:
    """Share of the value's words that stand in the line."""
    words = value.casefold().split()
    return sum(word in line.casefold() for word in words) / max(1, len(words))

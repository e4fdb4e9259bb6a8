"""The two agents: a model that writes SQL, with its adapter where one was trained, under a grammar where that helps.

Without an adapter the chat model itself is asked, so the memory works with any chat model from the first minute.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from memchat import prompts
from memchat.config import GenerationSettings, SqlSettings
from memchat.engine.adapters import Adapter, find_adapter, worn
from memchat.engine.run import Reach
from memchat.memory.base import Message
from memchat.memory.sql import grammar
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.fields import similarity
from memchat.memory.sql.search import search
from memchat.memory.sql.spelling import plain, unspaced
from memchat.memory.sql.table import ASSISTANT, OTHER, USER, Table

NEW_TOKENS = {"storage": 256, "retrieval": 192}
MOST, BEST, LATEST = 40, 24, 16
"""Fields that a prompt shows: all up to MOST, else the BEST for the line and the LATEST."""

_WATCHED, _INVALID = 20, 2
"""Without an adapter `auto` turns to the grammar after so many invalid answers among the last ones."""


@dataclass(frozen=True)
class Answer:
    """What an agent wrote.

    Attributes:
        raw: all of it, with the notes of an adapter. text: its SQL.
        adapter: empty for the bare model. truncated: it was cut at the limit of tokens.
    """

    raw: str
    text: str
    ms: float
    adapter: str
    constrained: bool
    truncated: bool


class Agent:
    """One of the two: `storage` or `retrieval`."""

    def __init__(self, kind: str, engine: Any, settings: SqlSettings) -> None:
        self.kind, self.engine, self.settings = kind, engine, settings
        self.adapter: Adapter | None = None
        if settings.adapters:
            self.adapter = find_adapter(f"sql_{kind}", str(engine.info["weight_hash"]))
        self._invalid: deque[bool] = deque(maxlen=_WATCHED)
        self._grammars: Any = None

    def write(
        self, system: str, text: str, fields: Sequence[str], people: Sequence[str] | None, said: Sequence[str] = ()
    ) -> Answer:
        """The agent's answer, greedy.

        Args:
            fields: the columns there are. people: names of other people that may be meant; None: they are not kept.
            said: texts that stored values may be taken from; names of people may be from all of `text`.
        """
        started = time.perf_counter()
        lark = self._lark(fields, people, said, text)
        patches: list[AbstractContextManager[Any]] = []
        if self.adapter is not None:
            patches.append(worn(self.engine.model, self.adapter))
        reach = Reach(patches=patches, constraint=self._compile(lark) if lark else None)
        prompt = self.engine.render([Message("user", text)], system)
        generation = GenerationSettings(max_new_tokens=NEW_TOKENS[self.kind])
        pieces = list(self.engine.generate(prompt, generation, reach))
        answer = "".join(piece for piece in pieces if isinstance(piece, str)).strip()
        spelt = bool(self.adapter or lark)  # the grammar lets every model write notes
        sql, raw = (plain(answer), unspaced(answer)) if spelt else (answer, answer)
        took, adapter = (time.perf_counter() - started) * 1000, self.adapter.id if self.adapter else ""
        return Answer(raw, sql, took, adapter, bool(lark), pieces[-1].reason == "length")

    def judged(self, valid: bool) -> None:
        """Tell whether the last answer ran without repair: `auto` decoding goes by it."""
        self._invalid.append(not valid)

    def _lark(self, fields: Sequence[str], people: Sequence[str] | None, said: Sequence[str], text: str) -> str:
        """The grammar of this answer; empty where decoding is free.

        `auto` writes under it with an adapter, which learnt no other SQL, and keeps a model that was asked for SQL by
        the prompt alone free until that goes wrong.
        """
        wanted = self.settings.decoding
        if wanted == "free" or (wanted == "auto" and not self.adapter and sum(self._invalid) < _INVALID):
            return ""
        from memchat.engine.grammar import available

        if wanted == "auto" and not available():
            return ""
        if self.kind == "storage":
            return grammar.storage(fields, people, said, [text, *(people or ())])
        return grammar.retrieval(fields, people or ())

    def _compile(self, lark: str) -> Any:
        if self._grammars is None:
            from memchat.engine.grammar import Grammars

            self._grammars = Grammars(self.engine.tokenizer, self.engine.model.config.vocab_size)
        return self._grammars.constraint(lark)


def storage_prompt(table: Table, target: str, line: str, store: FactStore, people: bool) -> str:
    """The system text of a storage call: what is known of the target, and which other fields there are."""
    person = table.person(target)
    row = table.row(person.id)
    if len(row) > MOST:
        best = [found.fact.field for found in search(store, line, BEST * 4) if found.fact.person == person.id][:BEST]
        latest = sorted(row, key=lambda field: table.since[person.id, field])[-LATEST:]
        row = {field: row[field] for field in row if field in (*best, *latest)}
    others = [field for field in table.fields if (person.id, field) not in table.cells]
    known = [p.name for p in table.people if p.relation == OTHER]
    return prompts.storage(target, person.name, row, _fitting(others, line), known if people else None)


def retrieval_prompt(table: Table, question: str) -> str:
    """The system text of a retrieval call: every field and whose value is known, no values."""
    names = {p.id: p.handle for p in table.people}
    shown = _fitting(table.fields, question)
    fields = [(field, [names[p.id] for p in table.people if (p.id, field) in table.cells]) for field in shown]
    return prompts.retrieval(table.person(USER).name, table.person(ASSISTANT).name, fields)


def _fitting(fields: Sequence[str], text: str) -> list[str]:
    """The fields in their order; where they are too many, those most like the text and the latest."""
    if len(fields) <= MOST:
        return list(fields)
    words = text.casefold().split()
    likeness = {field: max((similarity(field, word) for word in words), default=0.0) for field in fields}
    best = sorted(fields, key=lambda field: -likeness[field])[:BEST]
    return [field for field in fields if field in (*best, *fields[-LATEST:])]

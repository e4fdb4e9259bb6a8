"""The SQL memory: a storage agent writes facts into a table, a retrieval agent reads what a question needs.

The chat model sees the last few messages and, in its system message, the rows that were read. Both agents' SQL runs
over a throw-away copy of the table (`sandbox`); what may become of it is decided by `policy` and kept by `facts`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from memchat import prompts
from memchat.config import Settings
from memchat.memory.base import Budget, Bytes, Item, Message, Recall, Receipt, Turn
from memchat.memory.fit import recent
from memchat.memory.sql import erase, ladder, policy
from memchat.memory.sql.agents import Agent, Answer, retrieval_prompt, storage_prompt
from memchat.memory.sql.branch import copy_branch
from memchat.memory.sql.commands import run_command
from memchat.memory.sql.facts import Fact, FactStore
from memchat.memory.sql.oplog import Op
from memchat.memory.sql.past import past
from memchat.memory.sql.sandbox import Read, Row, Statement, run_retrieval, run_storage
from memchat.memory.sql.search import search
from memchat.memory.sql.spelling import noted
from memchat.memory.sql.table import ASSISTANT, OTHER, USER, Cell, Change, Decision, Table

FILE, TURNS = "facts.db", "turns.json"


_YES = 3
"""A line of so few words may take its meaning from the one before."""


@dataclass(frozen=True)
class Consulted:
    """What a question brought up: rows, how they were found (sql, retry, fields, search, table, none), and the SQL."""

    rows: tuple[Row, ...]
    rung: str
    answers: tuple[Answer, ...]
    statements: tuple[Statement, ...]


class Sql:
    """Facts in a table that the user can see, correct and undo."""

    name = "sql"
    capabilities = frozenset({"forget", "edit", "history", "undo", "lock"})

    def __init__(self, engine: Any, store: Any, settings: Settings, folder: Path | None = None) -> None:
        self._open = ExitStack()
        home = folder or Path(self._open.enter_context(TemporaryDirectory(prefix="memchat-sql-")))
        self.facts = self._open.enter_context(FactStore(home / FILE))
        self.settings = settings.sql
        self.storage = Agent("storage", engine, settings.sql)
        self.retrieval = Agent("retrieval", engine, settings.sql)
        self._turns: list[Turn] = []
        self._waiting: int | None = None  # place of the user's message that has no reply yet
        self._elsewhere = self.facts.heard()

    @property
    def notice(self) -> str:
        """One line for the user, or nothing: the file is read only, an agent has no adapter, or how much is known."""
        missing = [agent.kind for agent in (self.storage, self.retrieval) if agent.adapter is None]
        if self.facts.notice or not missing or not self.settings.adapters:
            return self.facts.notice or self._loaded()
        return (
            f"no adapter of the {' and '.join(missing)} agent for this model: it writes SQL as well as it can;"
            f" make one with 'memchat train sql --agent {missing[0]}'"
        )

    def _loaded(self) -> str:
        count, last = len(self.facts.table().cells), self.facts.last_session()
        if not count or last is None:
            return ""
        when, how = last
        day, cut = when[:16].replace("T", " "), "" if how else ", and cut off then"
        return f"{count} {'fact' if count == 1 else 'facts'} loaded, last used {day}{cut}"

    # -- reading ------------------------------------------------------------------------------------------------------

    def recall(self, turn: Turn, budget: Budget) -> Recall:
        self._settle()
        self._leave_other_branches()
        table, block = self.facts.table(), list[Message]()
        found = Consulted((), ladder.NONE, (), ())
        if table.cells:
            found = self.consult(turn.content, table)
            if found.rows:
                block = [Message("system", prompts.notes(self._row(row, table) for row in found.rows))]
        said = recent(self._turns, turn, replace(budget, count=lambda m: budget.count([*block, *m])), self._recent)
        said.messages = [*block, *said.messages]
        said.trace = [*self._trace(found, table), *said.trace]
        return said

    @property
    def _recent(self) -> int:
        return self.settings.recent_turns

    def consult(self, question: str, table: Table) -> Consulted:
        """What the retrieval agent reads for a question; where its SQL fails, what simpler means find."""
        system, aliases = retrieval_prompt(table, question), self.facts.field_aliases()
        others = _others(question, table)
        answers, read = list[Answer](), Read((), frozenset(), ())
        text = question
        for rung in ("sql", "retry"):
            answer = self.retrieval.write(system, text, table.fields, others)
            read = run_retrieval(answer.text, table, aliases)
            answers.append(answer)
            self.retrieval.judged(_valid(read.statements))
            if any(row.value is not None for row in read.rows) or _declined(answer):
                return Consulted(self._with_named(question, table, read.rows), rung, tuple(answers), read.statements)
            wrong = [f"{s.text}: {s.reason}" for s in read.statements if s.outcome in ("failed", "refused", "dropped")]
            if read.statements and not wrong:
                break
            text = "\n".join([question, *(wrong[:1] or ["this is no SQL"])])
        found = ladder.Found(ladder.NONE, ())
        if self.settings.fallback:
            found = ladder.fall_back(question, table, self._search)
        return Consulted(_rows(found.cells, table) or read.rows, found.rung, tuple(answers), read.statements)

    def _with_named(self, question: str, table: Table, rows: tuple[Row, ...]) -> tuple[Row, ...]:
        """The rows that were read, and what the question names better than those."""
        if not rows or not self.settings.fallback:
            return rows
        return (*rows, *_rows(ladder.named_better(question, table, [(row.person, row.field) for row in rows]), table))

    def _search(self, question: str, limit: int) -> list[Cell]:
        return [(found.fact.person, found.fact.field) for found in search(self.facts, question, limit)]

    def _trace(self, found: Consulted, table: Table) -> list[Item]:
        names = {p.id: p.handle for p in table.people}
        items = [
            Item("sql", answer.text, meta={"agent": "retrieval", "rung": found.rung, "ms": round(answer.ms, 1)})
            for answer in found.answers
        ]
        for s in found.statements:
            ran = s.outcome in ("ok", "repaired")
            items.append(Item("statement", s.text, used=ran, meta={"outcome": s.outcome, "reason": s.reason}))
        for row in found.rows:
            fact = self.facts.fact(row.person, row.field)
            turns = (fact.turn,) if fact and fact.turn is not None else ()
            text = prompts.note(names[row.person], row.field, row.value)
            items.append(Item("row", text, turns, str(fact.id) if fact else "", meta={"rung": found.rung}))
        return items

    def _row(self, row: Row, table: Table) -> str:
        """A row as the model reads it."""
        person = next(p for p in table.people if p.id == row.person)
        since = f"{(at := datetime.fromisoformat(row.since)).day} {at:%B}" if row.since and row.value else ""
        return prompts.note(person.handle, row.field, row.value, since, self._noted(row))

    def _noted(self, row: Row) -> str:
        """What the storage agent noted of the row, unless that says as well what holds no more.

        A small model understands it better than a field's name.
        """
        fact = self.facts.fact(row.person, row.field)
        note = noted(self.facts.op(fact.op).raw, row.value) if fact and row.value else ""
        if not fact or not note:
            return ""
        gone = self.facts.facts("f.op_id = ? AND f.retired_at IS NOT NULL", (fact.op,))
        return "" if any(one.value.casefold() in note.casefold() for one in gone) else note

    # -- writing ------------------------------------------------------------------------------------------------------

    def write(self, turn: Turn) -> Receipt:
        """A message of the user waits for its reply, which often says in plain words what the user meant."""
        receipt = self._settle() if turn.role == USER else Receipt()
        self._turns.append(turn)
        if turn.role == USER:
            self._waiting = len(self._turns) - 1
            return receipt
        receipt.take_in(self._settle())
        receipt.take_in(self._learn(len(self._turns) - 1))
        return receipt

    def _settle(self) -> Receipt:
        """Learn from the user's message that waits, if there is one; where that fails it goes on waiting."""
        if self._waiting is None:
            return Receipt()
        receipt = self._learn(self._waiting)
        self._waiting = None
        return receipt

    def _learn(self, place: int) -> Receipt:
        turn = self._turns[place]
        known = turn.id in self._elsewhere
        self._elsewhere.discard(turn.id)
        if known or self.facts.read_only or (turn.role == ASSISTANT and not self.settings.assistant):
            return Receipt()
        named = self._named(turn)
        op, statements = self._store(place)
        return _receipt([*named, op], statements)

    def _named(self, turn: Turn) -> list[Op]:
        """A speaker who says what they are called gets that name, whatever the agent makes of it."""
        name, table = policy.stated_name(turn.content), self.facts.table()
        person = table.person(turn.role)
        if name is None or person.name == name:
            return []
        decision = Decision("update", Change(person.id, "name", person.name, name))
        return [self.facts.apply([decision], actor="rule", kind="name", turn=turn.id, said_at=turn.at, once=True)]

    def _store(self, place: int) -> tuple[Op, Sequence[Statement]]:
        """What the storage agent makes of a turn: the op, and how each of its statements went."""
        table, turn = self.facts.table(), self._turns[place]
        target, people = table.person(turn.role).id, self.settings.people
        near = self._turns[max(0, place - 1) : place + (2 if turn.role == USER else 1)]
        lines = [(t.role, t.content) for t in near if t is turn or (t.role != turn.role and t.content)]
        marked = lines.index((turn.role, turn.content))
        system = storage_prompt(table, turn.role, turn.content, self.facts, people)
        others = _others(" ".join(text for _, text in lines), table) if people else None
        # What the other speaker said counts where the line is no more than a yes; a list that grows is written anew.
        heard = lines[: marked + 1] if len(turn.content.split()) <= _YES else [lines[marked]]
        said = [*(text for _, text in heard), *table.row(target).values()]
        answer = self.storage.write(system, prompts.near(lines, marked), table.fields, others, said)
        done = run_storage(answer.text, table, target, self.facts.field_aliases())
        self.storage.judged(_valid(done.statements))
        verdict = policy.judge(
            done.difference,
            table,
            target,
            people=people,
            forget=policy.asks_to_forget(turn.content),
            line=turn.content,
        )
        wrong = [f"{s.text}: {s.reason}" for s in done.statements if s.outcome in ("failed", "refused")]
        executed = "\n".join(s.text for s in done.statements if s.outcome in ("ok", "repaired"))
        op = self.facts.apply(
            verdict.decisions, people=verdict.people, columns=verdict.columns, turn=turn.id, raw=answer.raw,
            executed=executed, adapter=answer.adapter, ms=answer.ms, error="; ".join(wrong), said_at=turn.at, once=True,
        )  # fmt: skip
        return op, done.statements

    # -- branches -----------------------------------------------------------------------------------------------------

    def _leave_other_branches(self) -> None:
        """What was learnt from turns that are not on the visible branch does not hold there."""
        if self._elsewhere and not self.facts.read_only:
            erase.drop_turns(self.facts, self._elsewhere)
            self._elsewhere = set()

    def fork(self, folder: Path, turns: Mapping[int, int]) -> None:
        """Leave in `folder` what a fork begins with: turn of this conversation -> its number in the fork."""
        self._settle()
        copy_branch(self.facts, folder / FILE, turns)

    # -- for the eye and the hand -------------------------------------------------------------------------------------

    def items(self, query: str | None = None, at: int | None = None) -> Iterator[Item]:
        """What is known; with `at`, what was known after that change of the log, and first the change (see `past`)."""
        self._settle()
        if at is None:
            table, facts = self.facts.table(), self.facts.facts()
        else:
            then = past(self.facts, at)
            table, facts, op = then.table, then.facts, then.op
            turns = (op.turn,) if op.turn is not None else ()
            meta = {"at": then.at, "of": then.of, "time": op.at, "actor": op.actor, "kind": op.kind, "sql": op.executed}
            yield Item("change", then.told, turns, str(op.id), meta=meta)
        names = {p.id: p.handle for p in table.people}
        for fact in facts:
            text = prompts.note(names[fact.person], fact.field, fact.value)
            if query is None or query.casefold() in text.casefold():
                turns = (fact.turn,) if fact.turn is not None else ()
                yield Item("fact", text, turns, str(fact.id), meta={"who": names[fact.person], **_meta(fact)})

    def command(self, text: str) -> str:
        """What a command of the user's does or shows, as Markdown; see `commands`."""
        self._settle()
        return run_command(self.facts, text)

    def forget(self, turns: Iterable[int]) -> Receipt:
        """No agent is asked: what waits is not learnt only to be forgotten, and a model that fails keeps nothing."""
        gone, before = set(turns), len(self._turns)
        waits = None if self._waiting is None else self._turns[self._waiting]
        self._turns = [turn for turn in self._turns if turn.id not in gone]
        self._waiting = self._turns.index(waits) if waits in self._turns else None
        erase.erase(self.facts, turns=gone)
        return Receipt(removed=before - len(self._turns))

    def nbytes(self) -> Bytes:
        ((pages,),), ((size,),) = self.facts.read("PRAGMA page_count"), self.facts.read("PRAGMA page_size")
        return Bytes(host=len(self._dump()), disk=pages * size + len(self._dump()))

    def save(self, folder: Path) -> None:
        self._settle()
        shutil.copyfile(self.facts.backup(), folder / FILE)
        (folder / TURNS).write_bytes(self._dump())

    def load(self, folder: Path) -> None:
        path = self.facts.path
        self.facts.close()
        shutil.copyfile(folder / FILE, path)
        self.facts = self._open.enter_context(FactStore(path))
        self._turns = [Turn(**row) for row in json.loads((folder / TURNS).read_text("utf-8"))]
        self._waiting = None
        self._elsewhere = self.facts.heard() - {turn.id for turn in self._turns}

    def _dump(self) -> bytes:
        return json.dumps([asdict(turn) for turn in self._turns], ensure_ascii=False).encode()

    def close(self) -> None:
        """A message that still waits for its reply is learnt from when the conversation is opened again."""
        self.facts.close("bye")
        self._open.close()


def _meta(fact: Fact) -> dict[str, Any]:
    return {
        "person": fact.person, "field": fact.field, "value": fact.value, "since": fact.valid_from,
        "source": fact.source, "op": fact.op, "locked": fact.locked,
    }  # fmt: skip


def _rows(cells: Iterable[Cell], table: Table) -> tuple[Row, ...]:
    return tuple(
        Row(person, field, table.cells[person, field], table.since.get((person, field))) for person, field in cells
    )


def _others(text: str, table: Table) -> list[str]:
    """Names of the other people that a text may be about: those it names, or all where it names none."""
    others, named = [p for p in table.people if p.relation == OTHER], ladder.named(text, table)
    return [p.name for p in others if p.id in named] or [p.name for p in others]


def _valid(statements: Sequence[Statement]) -> bool:
    """Whether everything ran as it was written."""
    return all(statement.outcome == "ok" for statement in statements)


def _declined(answer: Answer) -> bool:
    return answer.text.strip().rstrip(";.").upper() == "NOOP"


def _receipt(ops: Sequence[Op], statements: Sequence[Statement]) -> Receipt:
    """What the ops of one turn did, with the SQL and the reasons for the eye; the statements are the last op's."""
    receipt = Receipt()
    for op in ops:
        cells = [edit for edit in op.edits if edit.key[0] == "cell"]
        receipt.added += sum(edit.old is None for edit in cells)
        receipt.changed += sum(edit.old is not None and edit.new is not None for edit in cells)
        receipt.removed += sum(edit.new is None for edit in cells)
        refused = [f"{d.change.field}: {d.reason}" for d in op.declined if d.kind == "refused"]
        cells_meant = len(cells) + len(op.declined)
        leaks = sum(d.reason == policy.LEAK for d in op.declined)
        outcomes = [s.outcome for s in statements] if op is ops[-1] else []
        meta = {
            "op": op.id, "executed": op.executed, "error": op.error, "refused": refused, "status": op.status,
            "ms": round(op.ms, 1), "outcomes": outcomes, "cells": cells_meant, "leaks": leaks,
        }  # fmt: skip
        turns = (op.turn,) if op.turn is not None else ()
        receipt.detail.append(Item("sql", op.raw, turns, str(op.id), meta={"agent": op.actor, **meta}))
    return receipt

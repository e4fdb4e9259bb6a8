"""One conversation: recall, generate, write. What is measured and what is shipped both go through here.

The turn log in the store is the truth. ``_sync`` brings the memory to any leaf of the log's tree by writing what is
missing, or by replaying from an empty memory; editing, forking, switching versions, forgetting and changing the
memory mode are all that one mechanism.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from memchat.config import Settings
from memchat.errors import UsageError
from memchat.memory import registry
from memchat.memory.base import Budget, Memory, Message, Recall, Receipt, Turn
from memchat.protocol import Event, Finished, Items, Prompt, Recalled, Stats, Stored, Token, Told, Wrote

if TYPE_CHECKING:
    from pathlib import Path

    from memchat.engine.engine import Engine
    from memchat.engine.run import Outcome, Reach
    from memchat.store import Store
    from memchat.store.records import SessionRow, Status, TurnRow

AUTOSAVE_S, REBUILD_S = 0.25, 0.3
"""Seconds of a streaming reply that a crash can cost, and of a memory's rebuilding until it tells how far it is."""

Cancel = Callable[[], bool]
Report = Callable[[str, float, float], object]
"""Takes a task, how much is done, and of how much."""


def _never(*_told: object) -> bool:
    return False


class Session:
    """An open conversation.

    Attributes:
        row: the session as it stands in the store.
        notice: something the user should know about opening it; empty if there is nothing.
    """

    def __init__(
        self, store: Store, engine: Engine, settings: Settings, row: SessionRow, report: Report = _never
    ) -> None:
        self.store, self.engine, self.settings, self.report = store, engine, settings, report
        self.row = row
        self.notice = ""
        self._written: list[int] = []
        self._last_prompt: Callable[[], Prompt] | None = None
        self.memory: Memory = self._fresh_memory()
        self._lease = store.lease(row.id)
        self._lease.__enter__()
        self.notice = getattr(self.memory, "notice", "")
        if self._lease.other:
            pid, since = self._lease.other
            self.notice = f"also open in process {pid} since {since}; what is said there appears when you reopen"
        if row.head is not None:
            self._sync(row.head)

    @classmethod
    def open(
        cls,
        store: Store,
        engine: Engine,
        settings: Settings,
        key: str | None = None,
        *,
        memory: str | None = None,
        create: bool = True,
        report: Report = _never,
    ) -> Session:
        """Open the session that ``key`` (id or name) names; a new one for None, or for a new name if ``create``.

        Args:
            memory: the memory mode; None keeps that of the session, and takes that of the settings for a new one.
            report: hears how far a memory is that takes long to rebuild from the log.

        Raises:
            MemchatError: no such session.
            UsageError: no such memory mode.
        """
        interrupted = store.recover()
        row = store.find_session(key) if key is not None else None
        if row is None and key is not None and not create:
            row = store.session(key)  # raises, and names the nearest
        mode = registry.check(memory or (row.memory if row else settings.memory))
        if row is None:
            row = store.create_session(key, model=settings.model, memory=mode, system=settings.system)
        elif (row.model, row.memory) != (settings.model, mode):
            row = store.update_session(row.id, model=settings.model, memory=mode)
        session = cls(store, engine, settings, row, report)
        if not session.notice and any(store.turn(t).session == row.id for t in interrupted):
            session.notice = "the last reply was interrupted; what it had said is kept"
        return session

    def close(self) -> None:
        """Finish the memory's background work and give the session free."""
        self.memory.close()
        self._lease.__exit__(None, None, None)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def head(self) -> int | None:
        """The last turn of the visible branch."""
        return self.row.head

    # -- one turn -------------------------------------------------------------------------------------------------

    def ask(self, text: str, *, cancel: Cancel = _never) -> Iterator[Event]:
        """One turn. The message is durable before anything else happens.

        Raises:
            UsageError: nothing but white space.
            MemchatError: the store cannot be written, or the message does not fit the model.
        """
        if not text.strip():
            raise UsageError("the message is empty", "Type something.")
        user = self._add("user", text, self.head)
        yield Stored(user.id, "user", user.parent)
        yield from self._reply(user, cancel)

    def regenerate(self, *, cancel: Cancel = _never) -> Iterator[Event]:
        """Another version of the last reply; the old one is kept."""
        user = next((t for t in reversed(self._path()) if t.role == "user"), None)
        if user is None:
            raise UsageError("there is no message to answer again", "Send one first.")
        yield from self._reply(user, cancel)

    def edit(self, turn: int, text: str, *, cancel: Cancel = _never) -> Iterator[Event]:
        """Another version of a message; a user message is answered anew. Nothing is lost: versions are siblings."""
        if not text.strip():
            raise UsageError("the message is empty", "Use forget to remove a message.")
        old = self._turn(turn)
        new = self._add(old.role, text, old.parent)
        yield Stored(new.id, new.role, new.parent)
        if new.role == "user":
            yield from self._reply(new, cancel)
        else:
            self._sync(new.id)
            yield Finished(turn=new.id)

    def add(self, role: str, text: str, *, name: str | None = None, at: str | None = None) -> Receipt:
        """Take in a message that was said elsewhere, without answering it.

        Args:
            name: the speaker's, where it is known.
            at: ISO 8601 time at which it was said; None: now.

        Raises:
            UsageError: nothing but white space.
        """
        if not text.strip():
            raise UsageError("the message is empty", "Leave it out.")
        self._sync(self.head)
        return self._write([self._add(role, text, self.head, name=name, at=at).id])

    def probe(self, text: str, *, cancel: Cancel = _never) -> Iterator[Event]:
        """What ``ask`` would answer, without a trace: nothing is stored, and the memory learns nothing."""
        self._sync(self.head)
        recall, messages, ms = self._recall(Turn(0, "user", text))
        rendered = self.engine.render(messages, self.row.system)
        yield _recalled(recall, rendered, ms)
        for piece in self._generate(rendered, recall, cancel):
            if isinstance(piece, str):
                yield Token(piece)
            else:
                yield self._stats(piece)
                yield Finished(piece.reason)

    def _reply(self, user: TurnRow, cancel: Cancel) -> Iterator[Event]:
        self._sync(user.parent)
        recall, messages, ms = self._recall(_turn_of(user))
        rendered = self.engine.render(messages, self.row.system)
        self._last_prompt = lambda: self._prompt_event(rendered, messages, recall)  # counted only when looked at
        yield _recalled(recall, rendered, ms)
        reply = self._add("assistant", "", user.id, status="streaming")
        yield Stored(reply.id, "assistant", user.id)
        outcome = yield from self._stream(reply, rendered, recall, cancel)
        yield self._stats(outcome)
        receipt = self._write([user.id, reply.id])
        yield self._wrote(receipt)
        yield Finished(outcome.reason, reply.id)

    def _recall(self, turn: Turn) -> tuple[Recall, list[Message], float]:
        """What the memory gives for answering ``turn``, the messages of the prompt, and milliseconds taken."""
        started = time.perf_counter()
        recall = self.memory.recall(turn, self._budget())
        ms = (time.perf_counter() - started) * 1000
        return recall, [*recall.messages, Message("user", turn.content, turn.id or None)], ms

    def _generate(self, rendered: Any, recall: Recall, cancel: Cancel) -> Iterator[str | Outcome]:
        return self.engine.generate(rendered, self.settings.generation, _reach(recall), cancel=cancel)

    def _stream(self, reply: TurnRow, rendered: Any, recall: Recall, cancel: Cancel) -> Generator[Event, None, Outcome]:
        """Stream the reply and keep it safe; returns the engine's outcome."""
        text, saved = "", time.monotonic()
        status: Status = "interrupted"
        meta: dict[str, Any] = {"model": self.row.model, "memory": self.row.memory}
        try:
            for piece in self._generate(rendered, recall, cancel):
                if not isinstance(piece, str):
                    outcome = piece
                    break
                text += piece
                yield Token(piece)
                if time.monotonic() - saved > AUTOSAVE_S:
                    self.store.update_turn(reply.id, content=text)
                    saved = time.monotonic()
            status = "cancelled" if outcome.reason == "cancelled" else "complete"
            meta["stats"] = asdict(outcome)
        except GeneratorExit:
            status = "cancelled"
            raise
        except Exception:
            status = "failed"
            raise
        finally:
            self.store.update_turn(reply.id, content=text, status=status, meta=meta)
        return outcome

    def _stats(self, outcome: Outcome) -> Stats:
        figures = asdict(outcome)
        del figures["reason"]
        return Stats(context=self.engine.context, **figures)

    def _wrote(self, receipt: Receipt) -> Wrote:
        size = self.memory.nbytes()
        detail = [i.as_dict() for i in receipt.detail]
        counts = (receipt.added, receipt.changed, receipt.removed, receipt.ms)
        return Wrote(*counts, size.device, size.host, size.disk, detail)

    # -- the log and the memory -----------------------------------------------------------------------------------

    def select(self, turn: int) -> Iterator[Event]:
        """Show another version of a turn: its branch becomes the visible one."""
        self._turn(turn)
        self.row = self.store.select(turn)
        self._sync(self.row.head)
        yield Finished(turn=self.row.head)

    def forget(self, turns: Iterable[int]) -> Iterator[Event]:
        """Take turns out of the log and out of the memory; their text is erased."""
        gone = [self._turn(t).id for t in turns]
        self.store.forget(gone)
        started = time.perf_counter()
        receipt = self.memory.forget(gone)
        receipt.ms = (time.perf_counter() - started) * 1000
        self.row = self.store.session(self.row.id)
        self._last_prompt = None
        yield self._wrote(receipt)
        yield Finished()

    def fork(self, turn: int) -> Session:
        """A new session that ends with this turn; this one is closed."""
        row = self.store.fork(self._turn(turn).id)
        if fork := getattr(self.memory, "fork", None):
            copies = zip(self._path(turn), self.store.path(row.id, row.head), strict=True)
            fork(self._folder(row), {ours.id: theirs.id for ours, theirs in copies})
        self.close()
        return Session(self.store, self.engine, self.settings, row, self.report)

    def set_memory(self, mode: str) -> None:
        """Change the memory mode; its state is built from the turn log."""
        self.row = self.store.update_session(self.row.id, memory=registry.check(mode))
        self._restart_memory()
        self._sync(self.head)

    def prompt(self, text: str = "") -> Prompt:
        """The exact prompt: the one that would answer ``text``, or without text the one of the last reply."""
        if not text and self._last_prompt:
            return self._last_prompt()
        recall, messages, _ = self._recall(Turn(0, "user", text))
        return self._prompt_event(self.engine.render(messages, self.row.system), messages, recall)

    def items(self, query: str | None = None, at: int | None = None) -> Items:
        """What the memory holds; with ``at``, what it held after that change of its log (-1: before the last).

        Raises:
            UsageError: this memory keeps no history.
        """
        if at is not None and "history" not in self.memory.capabilities:
            raise UsageError(f"the memory {self.row.memory} keeps no history", "Choose one that does, such as sql.")
        items: Any = self.memory.items
        held = items(query) if at is None else items(query, at)
        return Items([i.as_dict() for i in held], asdict(self.memory.nbytes()))

    def command(self, text: str) -> Iterator[Event]:
        """A command of the memory's own, such as ``undo``.

        Raises:
            UsageError: this memory has none, or not this one.
        """
        run = getattr(self.memory, "command", None)
        if run is None:
            raise UsageError(f"the memory {self.row.memory} takes no commands", "Choose one that does, such as sql.")
        self._sync(self.head)
        yield Told(run(text))
        yield Finished()

    def _fresh_memory(self) -> Memory:
        return registry.create(self.row.memory, self.engine, self.store, self.settings, self._folder(self.row))

    def _folder(self, row: SessionRow) -> Path:
        return self.store.memory_folder(row.id) / row.memory

    def _restart_memory(self) -> None:
        self.memory.close()
        self.memory, self._written = self._fresh_memory(), []

    def _sync(self, leaf: int | None) -> None:
        """Bring the memory to the state after ``leaf`` (None: before the first turn)."""
        if leaf is not None and self._written[-1:] == [leaf]:
            return  # a turn has one path to it
        path = self._path(leaf)
        target = [t.id for t in path]
        known = self._written
        if target[: len(known)] != known:
            self._restart_memory()
        self._write(target[len(self._written) :], path)

    def _write(self, turns: Sequence[int], path: Sequence[TurnRow] | None = None) -> Receipt:
        rows = {t.id: t for t in path} if path is not None else {}
        started, total = time.perf_counter(), Receipt()
        for done, turn in enumerate(turns):
            if path is not None and time.perf_counter() - started > REBUILD_S:
                self.report("rebuilding memory", done, len(turns))
            row = rows.get(turn) or self.store.turn(turn)
            if row.content:  # nothing was said, or it is forgotten
                total.take_in(self.memory.write(_turn_of(row)))
            self._written.append(turn)
        total.ms = (time.perf_counter() - started) * 1000
        return total

    def _path(self, leaf: int | None = -1) -> list[TurnRow]:
        """Turns from the first to ``leaf``; the visible branch by default."""
        leaf = self.head if leaf == -1 else leaf
        return [] if leaf is None else self.store.path(self.row.id, leaf)

    def _add(self, role: str, text: str, parent: int | None, **kwargs: Any) -> TurnRow:
        row = self.store.add_turn(self.row.id, role, text, parent=parent, **kwargs)
        self.row = self.store.session(self.row.id)
        return row

    def _turn(self, turn: int) -> TurnRow:
        row = self.store.turn(turn)
        if row.session != self.row.id:
            raise UsageError(f"turn {turn} is not in this session", "See 'memchat sessions list'.")
        return row

    def _budget(self) -> Budget:
        reserve = min(self.settings.generation.max_new_tokens, self.engine.context // 4)
        return Budget(
            prompt_tokens=self.engine.context - reserve,
            count=lambda messages: len(self.engine.render(messages, self.row.system).ids),
        )

    def _prompt_event(self, rendered: Any, messages: Sequence[Message], recall: Recall) -> Prompt:
        parts = self.engine.template.segments(messages, self.row.system)
        turns = ([None] if self.row.system else []) + [m.turn for m in messages]
        segments = [
            {"kind": part.kind, "tokens": part.tokens, "text": part.text, "turn": turn}
            for part, turn in zip(parts, [*turns, None], strict=True)
        ]
        segments += [
            {"kind": "not sent", "tokens": None, "text": item.text, "turn": item.turns[0] if item.turns else None}
            for item in recall.trace
            if not item.used
        ]
        return Prompt(rendered.text, len(rendered.ids), segments)


def _turn_of(row: TurnRow) -> Turn:
    return Turn(row.id, row.role, row.content, row.name, row.at)


def _recalled(recall: Recall, rendered: Any, ms: float) -> Recalled:
    turns = [item.used for item in recall.trace if item.kind == "turn"]  # seen word for word, or not
    trace = [item.as_dict() for item in recall.trace]
    return Recalled(trace, len(rendered.ids), sum(turns), len(turns) - sum(turns), ms)


def _reach(recall: Recall) -> Reach:
    from memchat.engine.run import Reach

    patches = [recall.patch] if recall.patch else []
    if recall.vocab:
        return Reach(recall.prefix, [*patches, recall.vocab.patch], recall.vocab.allowed)
    return Reach(recall.prefix, patches)

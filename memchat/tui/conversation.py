"""One conversation in the interface: what is queued, what is under way, and what the engine's events change.

Events arrive in one queue and are worked off in order, so a handler may wait for the screen. Any order of events is
survived; the store is read again after each request, because it is the truth.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from memchat.errors import MemchatError
from memchat.protocol import Event, Failed, Finished, Items, Prompt, Recalled, Stats, Wrote
from memchat.tui import text as form
from memchat.tui.client import Call
from memchat.tui.entries import Entry, dropped_turns
from memchat.tui.hearing import Condition, Hearing, Settled

if TYPE_CHECKING:
    from memchat.tui.link import Link
    from memchat.tui.reader import Reader
    from memchat.tui.screens.chat import ChatScreen

_REASONS = {"cancelled": "cancelled", "length": "length", "failed": "failed"}


_PATIENCE = 5.0
"""Seconds after which an engine that does not stop is called silent."""


class Conversation(Hearing):
    """The open session as the chat screen shows it."""

    def __init__(self, link: Link, reader: Reader, view: ChatScreen) -> None:
        self.link = link
        self.reader = reader
        self.view = view
        self.entries: list[Entry] = []
        self.queue: list[str] = []
        self.call: Call | None = None
        """The reply under way."""
        self.stopping = False
        self.recalled: Recalled | None = None
        self.stats: Stats | None = None
        self.items: Items | None = None
        self.prompt: Prompt | None = None
        self.wrote: Wrote | None = None
        self.first_token_at: float | None = None
        self.pieces = 0
        self._unsaved: str | None = None
        """What was sent and is not durable yet; it goes back to the input when it fails."""
        self._awaited = {"ready", "restored"}
        """What has to be before anything is sent: an engine, and the session to send it to, read from the store."""
        self._opening = False
        self._making = False
        """A session is being made for what is written here."""
        self._events: asyncio.Queue[tuple[Call | None, Event]] = asyncio.Queue()

    @property
    def session(self) -> str | None:
        return self.link.session

    @property
    def busy(self) -> bool:
        return self.call is not None

    async def work(self) -> None:
        """Work off events for ever."""
        while True:
            call, event = await self._events.get()
            handler = getattr(self, f"_on_{event.kind}", None)
            if handler is not None:
                await handler(call, event)
            if event.kind != "token":
                self.view.refresh_bars()

    async def submit(self, text: str) -> None:
        """Send a prompt now, or queue it until the engine is free."""
        if self.link.state == "failed":
            self.view.prompt.give_back(text)
            error = self.link.error
            self.view.say(f"{error.message}. {error.remedy}" if error else "there is no model", "error")
            return
        self.queue.append(text)
        await self.pump()

    async def pump(self) -> None:
        """Send the next queued prompt when the engine can take it."""
        if self.queue and not self._awaited and self.link.ready and not self.busy:
            text = self.queue.pop(0)
            if self.session is None and not self._opening:
                self.open(None)
            await self._start("ask", [*self.entries, Entry("user", text)], unsaved=text, text=text)
        self.view.show_queue()

    def unqueue(self) -> str | None:
        """Take the last queued prompt back."""
        text = self.queue.pop() if self.queue else None
        self.view.show_queue()
        return text

    async def regenerate(self) -> None:
        """Another version of the last reply."""
        entries = self.entries[:-1] if self.entries and self.entries[-1].role != "user" else self.entries
        if not entries:
            raise MemchatError("there is no reply yet", "Write something first.")
        await self._start("regenerate", list(entries))

    async def edit(self, turn: int, text: str) -> None:
        """Another version of a message; one of the user is answered anew."""
        index = self._index(turn)
        role = self.entries[index].role
        entries = [*self.entries[:index], Entry(role, text)]
        await self._start("edit", entries, reply=role == "user", unsaved=text, turn=turn, text=text)

    async def _start(
        self, op: str, entries: list[Entry], reply: bool = True, unsaved: str | None = None, **fields: Any
    ) -> None:
        self.check_free()
        self.stopping, self.first_token_at, self.pieces = False, None, 0
        self._unsaved = unsaved
        self.call = self.link.client.request(op, self._hear(op), **fields)
        live = [Entry("assistant", status="streaming", author=self.link.describe_model())] if reply else []
        self.entries = entries + live
        await self._show()

    def stop(self) -> bool:
        """Cancel the reply under way; what it said so far is marked at once. False: there is none."""
        if self.call is None:
            return False
        self.link.client.cancel(self.call)
        if not self.stopping:
            self.view.set_timer(_PATIENCE, partial(self._still_stopping, self.call))
        self.stopping = True
        if self.entries and self.entries[-1].live:
            self.entries[-1].status = "cancelled"
            self.view.transcript.settle()
        self.view.refresh_bars()
        return True

    def _still_stopping(self, call: Call) -> None:
        if call is self.call:
            self.view.say("the engine does not answer; /restart starts a new one, nothing is lost", "error")

    def request(self, op: str, **fields: Any) -> Call:
        """A request that is no reply, such as ``select``, ``fork``, ``forget`` or ``items``."""
        return self.link.client.request(op, self._hear(op), **fields)

    def open(self, session: str | None) -> Call:
        """Open a session, or make one; its draft and its messages follow with ``opened``."""
        self._opening, self._making = True, session is None
        return self.link.open(session, self._hear("open"))

    async def start_new(self) -> None:
        """An empty conversation; it gets its place in the store with the first message."""
        self.check_free()
        self.view.keep_draft()
        self.view.prompt.put("")
        self.link.session, self.link.session_name = None, ""
        self.entries = []
        self.recalled = self.stats = self.items = self.prompt = None
        await self._show()
        self.view.load_draft()

    async def reload(self) -> None:
        """Read the visible branch again."""
        if self.session is None or self.busy:
            return
        session = self.session
        try:
            rows = await self.reader.path(session)
        except MemchatError as error:
            self.view.say(str(error), "error")
            return
        if self.busy or session != self.session or (not rows and self.entries and self._unsaved is not None):
            return
        figures = {entry.turn: entry for entry in self.entries}
        self.entries = [Entry.of(row) for row in rows]
        for entry in self.entries:
            known = figures.get(entry.turn)
            if known is not None:
                entry.stats = entry.stats or known.stats
                entry.note = entry.note or known.note
            if entry.live:
                entry.status = "interrupted"
        await self._show()

    def live_rate(self) -> float | None:
        """Pieces per second of the reply under way, which is about its tokens per second."""
        if self.first_token_at is None or self.pieces < 2:
            return None
        return (self.pieces - 1) / max(0.001, time.monotonic() - self.first_token_at)

    def unsent(self) -> list[str]:
        """What was submitted and is not durable yet."""
        return [*([self._unsaved] if self._unsaved else []), *self.queue]

    def engine_changed(self, what: str) -> None:
        """The engine got ready, failed to load, or died."""
        state = self.link.state
        if what == "crashed" or (what == "state" and state in ("ready", "failed")):
            self._events.put_nowait((None, Condition(what if what == "crashed" else state)))

    def restored(self) -> None:
        """It is known which session this is."""
        self._events.put_nowait((None, Condition("restored")))

    async def restart(self) -> None:
        """A new engine process; the session is opened again."""
        self._opening = False
        await self.link.restart()

    def turn_of(self, index: int) -> int:
        """The stored turn of a message.

        Raises:
            MemchatError: it is not stored yet.
        """
        turn = self.entries[index].turn if -len(self.entries) <= index < len(self.entries) else None
        if turn is None:
            raise MemchatError("this message is not stored yet", "Wait until the reply is there.")
        return turn

    def _index(self, turn: int) -> int:
        for index, entry in enumerate(self.entries):
            if entry.turn == turn:
                return index
        raise MemchatError(f"turn {turn} is not in this conversation", "The Turns tab (F6) lists them.")

    def check_free(self) -> None:
        """Raises MemchatError while a reply is under way."""
        if self.busy:
            raise MemchatError("a reply is under way", "Press Esc to stop it first.")

    def _hear(self, op: str) -> Any:
        def hear(event: Event) -> None:
            self.link.note(event)
            self._events.put_nowait((self.call if op in ("ask", "regenerate", "edit") else None, event))
            if op not in ("ask", "regenerate", "edit") and isinstance(event, Finished | Failed):
                self._events.put_nowait((None, Settled(op)))

        return hear

    def hear_stray(self, event: Event) -> None:
        """An event that belongs to no open request."""
        self.link.note(event)
        self._events.put_nowait((None, event))

    async def _show(self) -> None:
        await self.view.transcript.show(self.entries)
        self.view.transcript_changed()
        self._mark_cut()

    def _mark_cut(self) -> None:
        """Where the model's view begins: the first message after the last one that it does not get."""
        dropped = dropped_turns(self.recalled, self.items)
        above = [entry.turn in dropped for entry in self.entries]
        if not any(above):
            self.view.transcript.mark_cut(None, "")
            return
        begin = len(above) - above[::-1].index(True)
        turn = self.entries[begin].turn if begin < len(self.entries) else None
        words = f"─── the model no longer sees what is above: {form.plural(sum(above), 'message')} ───"
        self.view.transcript.mark_cut(turn, words)

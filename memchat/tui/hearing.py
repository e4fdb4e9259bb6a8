"""What the engine's events change in a conversation. A handler survives any event at any time."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

from memchat.protocol import Event, Failed, Finished, Items, Opened, Prompt, Recalled, Stats, Stored, Told, Wrote
from memchat.tui.client import Call

_REASONS = {"cancelled": "cancelled", "length": "length", "failed": "failed"}


class Condition(Event):
    """The engine's condition changed: ready, failed or crashed; or what is stored was read: restored."""

    kind = "condition"

    def __init__(self, condition: str) -> None:
        self.condition = condition


class Settled(Event):
    """A request other than a reply is over."""

    kind = "settled"

    def __init__(self, op: str) -> None:
        self.op = op


class Hearing:
    """Mixed into the conversation: ``_on_<event>`` for each kind of event."""

    call: Call | None
    recalled: Recalled | None
    stats: Stats | None
    items: Items | None
    prompt: Prompt | None
    wrote: Wrote | None
    _unsaved: str | None
    _awaited: set[str]

    async def _on_condition(self: Any, _call: Call | None, event: Condition) -> None:
        if event.condition in ("ready", "restored"):
            self._awaited.discard(event.condition)
            if not self._awaited:
                if self.session is not None:
                    self.open(self.session)
                await self.pump()
                self.view.inspect(fresh=True)
            return
        self._awaited.add("ready")
        if texts := self.unsent():
            self._unsaved = None
            self.queue.clear()
            self.view.prompt.give_back("\n".join(texts))
        self.view.show_queue()
        if error := self.link.error:
            self.view.log_failure(error)
            self.view.say(f"{error.message}. {error.remedy}", "error")
        if event.condition == "crashed" and self.link.restarts == 1:
            await self.restart()

    async def _on_stored(self: Any, _call: Call | None, event: Stored) -> None:
        wanted = next((e for e in reversed(self.entries) if e.role == event.role and e.turn is None), None)
        if wanted is not None:
            wanted.turn = event.turn
        if event.role == "user":
            self._unsaved = None
            self.view.keep_draft()
        self._mark_cut()

    async def _on_opened(self: Any, _call: Call | None, event: Opened) -> None:
        self._opening = False
        if self._making:
            self._making = False
            self.view.drop_draft()
        if event.notice:
            self.view.say(event.notice)
        if not self.busy:
            self.recalled = self.items = self.prompt = None
            self.view.load_draft()
            await self.reload()

    async def _on_recalled(self: Any, _call: Call | None, event: Recalled) -> None:
        self.recalled = event
        self._mark_cut()
        self.view.inspect()

    async def _on_token(self: Any, _call: Call | None, event: Any) -> None:
        self._grow(str(event.text))

    async def _on_tool_call(self: Any, _call: Call | None, event: Any) -> None:
        self._grow(f"\n\n`→ {event.name} {event.arguments}`\n\n")

    async def _on_wrote(self: Any, _call: Call | None, event: Wrote) -> None:
        self.wrote = event

    async def _on_stats(self: Any, _call: Call | None, event: Stats) -> None:
        self.stats = event
        if self.entries and self.entries[-1].role != "user":
            self.entries[-1].stats = asdict(event)

    async def _on_items(self: Any, _call: Call | None, event: Items) -> None:
        self.items = event
        self._mark_cut()
        self.view.inspect()

    async def _on_prompt(self: Any, _call: Call | None, event: Prompt) -> None:
        self.prompt = event
        self.view.inspect()

    async def _on_told(self: Any, _call: Call | None, event: Told) -> None:
        await self.view.tell(event.text)

    async def _on_finished(self: Any, call: Call | None, event: Finished) -> None:
        if call is None or call is not self.call:
            return
        self._end(_REASONS.get(event.reason, "complete"), event.turn)
        await self.reload()
        self.view.inspect(fresh=True)
        await self.pump()

    async def _on_failed(self: Any, call: Call | None, event: Failed) -> None:
        self.view.log_failure(event)
        words = f"{event.message}. {event.remedy}" if event.remedy else event.message
        if call is None or call is not self.call:
            self._opening = False
            self.view.say(words, "error")
            return
        unsaved, self._unsaved = self._unsaved, None
        self._end("failed", None, words)
        if unsaved is not None:
            self.view.prompt.give_back(unsaved)
            self.entries = [entry for entry in self.entries if entry.turn is not None]
            await self._show()
        await self.reload_keeping_note(words)
        if self.link.client.alive:
            await self.pump()

    async def _on_settled(self: Any, _call: Call | None, event: Settled) -> None:
        if event.op in ("select", "fork", "forget", "rename", "open", "command"):
            if event.op not in ("rename", "command"):
                self.recalled = None
            await self.reload()
            self.view.inspect(fresh=True)
        await self.pump()

    def _grow(self: Any, text: str) -> None:
        self.pieces += 1
        self.first_token_at = self.first_token_at or time.monotonic()
        if self.entries and self.entries[-1].live and not self.stopping:
            self.entries[-1].text += text
            self.view.transcript.grown()

    def _end(self: Any, status: str, turn: int | None, note: str = "") -> None:
        """The reply under way is over."""
        self.call = None
        self.stopping = False
        self._unsaved = None
        if self.entries and self.entries[-1].role != "user":
            last = self.entries[-1]
            if last.live or last.status == "cancelled":
                last.status, last.note = status, note
            last.turn = turn if turn is not None else last.turn
            self.view.transcript.settle()

    async def reload_keeping_note(self: Any, words: str) -> None:
        """After a failure: the branch as stored, and the reason under its last message."""
        await self.reload()
        last = self.entries[-1] if self.entries else None
        if last and (last.status == "failed" or (last.status == "complete" and last.role == "user")):
            last.note = last.note or words
            self.view.transcript.settle()
        else:
            self.view.say(words, "error")

"""What the engine process and its front ends say to each other: one JSON object a line.

A front end writes **requests**, ``{"id": 7, "op": "ask", "text": "..."}``; the engine answers with **events**,
each tagged with the request it belongs to (0: none). A session yields the very same events in process, so the
interface, ``memchat ask --json``, the evaluations and the benchmarks all consume one stream.

Requests (``op`` and its fields; the answer always ends with ``finished`` or ``failed``):

    load        model?, memory?, settings?   load a model and a memory mode (settings: dotted key -> value)
    open        session? (id or name; none makes a new one), memory?
    ask         text                          one turn; the user's message is stored before anything else
    regenerate                                another version of the last reply
    edit        turn, text                    another version of a message; a user message is answered anew
    select      turn                          show another version of a turn (its branch becomes the visible one)
    fork        turn                          a new session that ends with this turn; it becomes the open one
    forget      turns                         take turns out of the conversation and out of the memory
    memory      mode                          change the memory mode; state is rebuilt from the turn log
    prompt      text?                         the exact prompt the model would get now (event ``prompt``)
    items       query?, at?                   what the memory holds (event ``items``); ``at``: what it held after
                                              that change of its log (-1: before the last), and first the change
    command     text                          a command of the memory's own, such as ``undo`` (event ``told``)
    download    model                         fetch a hub model, with ``progress`` events
    cancel      target?                       stop the running request; answered at the next token
    shutdown
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

VERSION = 1
"""Raised when a change would break a front end; ``hello`` carries it."""


@dataclass
class Event:
    """Base of all events; ``kind`` is the ``"event"`` member of the JSON object."""

    kind: ClassVar[str] = ""

    def to_json(self, request: int = 0) -> str:
        """One line without the newline; non-ASCII is escaped, so any pipe carries it."""
        return json.dumps({"event": self.kind, "request": request} | vars(self))


@dataclass
class Hello(Event):
    """First line of an engine process."""

    kind = "hello"
    version: int
    pid: int


@dataclass
class Progress(Event):
    """A long task moves: loading, downloading, reading a long prompt, rebuilding memory. ``total`` 0: unknown."""

    kind = "progress"
    task: str
    done: float = 0.0
    total: float = 0.0
    unit: str = ""


@dataclass
class Ready(Event):
    """A model and a memory mode are loaded."""

    kind = "ready"
    model: dict[str, Any]
    """id, source, parameters, device, dtype, context, weight_bytes, kv_bytes_per_token, random_weights."""
    memory: str
    modes: list[dict[str, Any]]
    """Every memory mode: name, summary, available, reason (why not), remedy."""


@dataclass
class Opened(Event):
    """A session is open; its turns are read from the store."""

    kind = "opened"
    session: str
    name: str
    memory: str = ""
    """The session's memory mode."""
    notice: str = ""
    """Set when something should be known: recovered text, the session is open elsewhere too."""


@dataclass
class Stored(Event):
    """A message is durable. The user's message is stored before the model sees it."""

    kind = "stored"
    turn: int
    role: str
    parent: int | None = None


@dataclass
class Recalled(Event):
    """What the memory contributes to this reply."""

    kind = "recalled"
    items: list[dict[str, Any]]
    """Trace of the recall: kind, text, turns, score, used."""
    prompt_tokens: int
    held_turns: int
    dropped_turns: int
    """Turns of the conversation that the model does not see in this reply."""
    ms: float


@dataclass
class Token(Event):
    """A piece of the visible reply: always whole characters."""

    kind = "token"
    text: str


@dataclass
class ToolCall(Event):
    """The model calls a tool."""

    kind = "tool_call"
    name: str
    arguments: dict[str, Any]


@dataclass
class Wrote(Event):
    """The memory has taken in the turn."""

    kind = "wrote"
    added: int
    changed: int
    removed: int
    ms: float
    device_bytes: int = 0
    host_bytes: int = 0
    disk_bytes: int = 0
    detail: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Stats(Event):
    """Figures of one reply. None: not known, never zero in its place."""

    kind = "stats"
    prompt_tokens: int
    cached_tokens: int
    """Prompt tokens whose KV was still there from before."""
    new_tokens: int
    ttft_ms: float | None
    tokens_per_s: float | None
    """Decode rate, the first token not counted; None below two tokens."""
    kv_bytes: int
    peak_bytes: int | None
    """Peak device memory on CUDA, peak resident memory of the process elsewhere."""
    bandwidth_share: float | None
    """Bytes of weights and KV read per second over the measured memory bandwidth."""
    context: int
    """Context length of the model in tokens."""
    seed: int | None = None


@dataclass
class Prompt(Event):
    """The exact prompt of the next reply."""

    kind = "prompt"
    text: str
    tokens: int
    segments: list[dict[str, Any]]
    """Parts in order: kind, tokens, source, text; parts without a text form say so."""


@dataclass
class Items(Event):
    """What the memory holds."""

    kind = "items"
    items: list[dict[str, Any]]
    nbytes: dict[str, int] = field(default_factory=dict)


@dataclass
class Told(Event):
    """The memory's answer to a command, as Markdown."""

    kind = "told"
    text: str


@dataclass
class Finished(Event):
    """A request is done. For a reply ``reason`` is stop, length or cancelled, ``turn`` the stored reply."""

    kind = "finished"
    reason: str = "done"
    turn: int | None = None


@dataclass
class Failed(Event):
    """A request failed; what was typed and what was already said is kept."""

    kind = "failed"
    message: str
    remedy: str = ""
    detail: str = ""
    """Traceback of a bug, for the log; empty for a mistake that the remedy mends."""
    exit_code: int = 1


EVENTS: dict[str, type[Event]] = {
    cls.kind: cls
    for cls in (
        Hello, Progress, Ready, Opened, Stored, Recalled, Token, ToolCall,
        Wrote, Stats, Prompt, Items, Told, Finished, Failed,
    )
}  # fmt: skip


def parse_event(line: str) -> tuple[int, Event]:
    """(request id, event) of one line; members that this version does not know are ignored.

    Raises:
        ValueError: not an event.
    """
    try:
        data = json.loads(line)
        cls = EVENTS[data.pop("event")]
        request = int(data.pop("request", 0))
        names = {f.name for f in dataclasses.fields(cls)}
        return request, cls(**{k: v for k, v in data.items() if k in names})
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        raise ValueError(f"not an event: {line[:200]!r}") from error

"""The heart: what a memory is, and how it may touch the model.

Five methods reach the model in four ways, so a memory answers with one value object, ``Recall``, and neither the
engine nor the session knows which method it talks to. The turn log is the truth; a memory's state is a cache that
``write`` derives from it, one turn after the other, so that forgetting, editing, forking and changing the method
are all one mechanism: replay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from memchat.engine.cache import KVPrefix


@dataclass(frozen=True)
class Turn:
    """One message of the conversation, as it stands in the turn log."""

    id: int
    role: str
    """``user`` or ``assistant``."""
    content: str
    name: str | None = None
    at: str | None = None
    """ISO 8601 time."""


@dataclass(frozen=True)
class Message:
    """One message of a prompt. ``turn`` is None for text that no turn of the log stands for."""

    role: str
    content: str
    turn: int | None = None


@dataclass(frozen=True)
class Budget:
    """What a recall may spend."""

    prompt_tokens: int
    """Tokens for everything before the reply, the new message and the template included."""
    count: Callable[[Sequence[Message]], int]
    """Tokens that these messages take in the prompt, template included."""


@dataclass
class Item:
    """Something a memory holds or used, as the user sees it."""

    kind: str
    """What it is: turn, slot, chunk, fact, procedure."""
    text: str
    """Text for the eye; a latent item shows the beginning of what it stands for."""
    turns: tuple[int, ...] = ()
    """The turns it was made of."""
    id: str = ""
    score: float | None = None
    used: bool = True
    meta: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Cost:
    """What a recall cost."""

    ms: float = 0.0
    device_bytes: int = 0
    host_bytes: int = 0
    prompt_tokens: int = 0


@dataclass
class Vocab:
    """Extra rows of the vocabulary for one reply.

    Attributes:
        patch: makes embedding and head know the rows while entered.
        allowed: ids that may be generated now, or None for all.
    """

    patch: AbstractContextManager[Any]
    allowed: Sequence[int] | None = None


@dataclass
class Recall:
    """What a memory wants for the next reply; every field is optional."""

    messages: list[Message] = field(default_factory=list)
    """What stands before the new message: recent turns verbatim, recalled facts as tagged text."""
    prefix: KVPrefix | None = None
    """KV columns placed before the prompt."""
    patch: AbstractContextManager[Any] | None = None
    """Active while the model runs: attention over a bank, a side network."""
    vocab: Vocab | None = None
    trace: list[Item] = field(default_factory=list)
    """What was used and why."""
    cost: Cost = field(default_factory=Cost)


@dataclass
class Receipt:
    """What a write or a forget did."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    ms: float = 0.0
    detail: list[Item] = field(default_factory=list)

    def take_in(self, other: Receipt) -> None:
        """Count what another write did as well."""
        self.added += other.added
        self.changed += other.changed
        self.removed += other.removed
        self.detail += other.detail


@dataclass(frozen=True)
class Bytes:
    device: int = 0
    host: int = 0
    disk: int = 0


class Memory(Protocol):
    """One way of remembering. Built by ``registry.create(name, engine, store, settings, folder)``.

    ``recall`` is pure with respect to state, so comparing, evaluating and regenerating never corrupt a memory;
    ``write`` is explicit, takes the turns in order, and may run in the background: the next recall waits for it.
    A memory that the user can command has ``command(text) -> str`` besides; the registry names what it knows. One
    whose state a replay cannot give back has ``fork(folder, turns)``: leave in the folder what a fork begins with,
    whose turns are numbered anew.
    """

    name: str
    capabilities: frozenset[str]
    """Of ``forget, edit, pin, history, undo``; the interface greys out the rest."""

    def recall(self, turn: Turn, budget: Budget) -> Recall:
        """What the model gets for answering ``turn``, the user's new message (not written yet)."""
        ...

    def write(self, turn: Turn) -> Receipt:
        """Take in one finished message."""
        ...

    def items(self, query: str | None = None) -> Iterator[Item]:
        """What is held, newest last; ``query`` filters."""
        ...

    def forget(self, turns: Iterable[int]) -> Receipt:
        """Remove these turns and rebuild what depends on them."""
        ...

    def nbytes(self) -> Bytes:
        """Size of the state, not of the model."""
        ...

    def save(self, folder: Path) -> None:
        """Write the state as safetensors, JSON or SQLite; never pickle. The manifest is the caller's."""
        ...

    def load(self, folder: Path) -> None:
        """Take the state that ``save`` wrote."""
        ...

    def close(self) -> None:
        """Finish background writes and release what is held."""
        ...

"""From token ids to text that may be shown: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class TextStream:
    """Turns ids into text piece by piece.

    A byte-level token may hold part of a character, and decoding token by token loses the spaces that some
    tokenizers put between words, so each piece is the growth of the decoded tail. Text that could be the beginning
    of a stop string is held back until it is known not to be one.

    Attributes:
        text: everything handed out so far.
        stopped: a stop string was met; nothing follows.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str] = ()) -> None:
        self._tokenizer = tokenizer
        self._stop = [s for s in stop if s]
        self._ids: list[int] = []
        self._from = 0  # decoding starts here: a token boundary that is also a character boundary
        self._to = 0  # ids[:_to] have been handed to _pending
        self._pending = ""
        self.text = ""
        self.stopped = False

    def push(self, token: int) -> str:
        """Text that ``token`` completes; often empty."""
        self._ids.append(token)
        before = self._decode(self._from, self._to)
        now = self._decode(self._from, len(self._ids))
        if len(now) > len(before) and not now.endswith("�"):
            self._pending += now[len(before) :]
            self._from, self._to = self._to, len(self._ids)
        return self._release(final=False)

    def finish(self) -> str:
        """What is still held back; an incomplete character is dropped."""
        return self._release(final=True)

    def _decode(self, start: int, end: int) -> str:
        return str(
            self._tokenizer.decode(self._ids[start:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    def _release(self, *, final: bool) -> str:
        if self.stopped:
            return ""
        met = [i for i in (self._pending.find(s) for s in self._stop) if i >= 0]
        if met:
            self.stopped = True
            piece = self._pending[: min(met)]
            self._pending = ""
        else:
            held = 0 if final else max((_overlap(self._pending, s) for s in self._stop), default=0)
            cut = len(self._pending) - held
            piece, self._pending = self._pending[:cut], self._pending[cut:]
        self.text += piece
        return piece


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that begins ``stop``."""
    for n in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:n]):
            return n
    return 0

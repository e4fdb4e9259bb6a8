"""Grammar-constrained decoding with llguidance, an optional extra: which tokens may follow what was written so far."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from memchat.errors import MemchatError


def available() -> bool:
    """Whether llguidance is installed."""
    return find_spec("llguidance") is not None


class Grammars:
    """Compiles grammars for one tokenizer.

    Raises:
        MemchatError: llguidance is not installed.
    """

    def __init__(self, tokenizer: Any, vocabulary: int) -> None:
        if not available():
            raise MemchatError("grammars need the library llguidance", "Run `pip install memchat[grammar]`.")
        from llguidance.hf import from_tokenizer

        self._tokenizer = from_tokenizer(tokenizer, n_vocab=vocabulary)

    def constraint(self, lark: str) -> Constraint:
        """A constraint for one run.

        Args:
            lark: the grammar in llguidance's dialect of Lark.

        Raises:
            ValueError: the grammar is wrong.
        """
        from llguidance import LLMatcher

        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_lark(lark))
        if matcher.get_error():
            raise ValueError(matcher.get_error())
        return Constraint(matcher)


class Constraint:
    """The state of one run under a grammar."""

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher

    def mask(self, logits: Tensor) -> Tensor:
        """``logits`` (1, V) with minus infinity where a token must not follow."""
        bits = torch.frombuffer(bytearray(self._matcher.compute_bitmask()), dtype=torch.uint8)
        allowed = (bits[:, None] >> torch.arange(8) & 1).flatten()[: logits.size(-1)].bool()
        return logits.masked_fill(~allowed.to(logits.device), float("-inf"))

    def take(self, token: int) -> None:
        """The token that was drawn."""
        self._matcher.consume_token(token)

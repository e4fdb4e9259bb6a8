"""How the next token is drawn: transformers' own logits processors, in ``generate``'s order."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from memchat.config import GenerationSettings

if TYPE_CHECKING:
    from memchat.engine.grammar import Constraint


class Sampler:
    """Draws tokens; greedy at temperature 0.

    Attributes:
        seed: the seed in use, None when greedy.
    """

    def __init__(
        self,
        settings: GenerationSettings,
        device: torch.device,
        allowed: Sequence[int] | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        self._constraint = constraint
        self._greedy = settings.temperature == 0
        self._penalised = settings.repetition_penalty != 1
        self._processors = _processors(settings)
        self._allowed = None if allowed is None else torch.tensor(list(allowed), device=device)
        self.seed: int | None = None
        if not self._greedy:
            self.seed = secrets.randbits(31) if settings.seed is None else settings.seed
            self._generator = torch.Generator(device).manual_seed(self.seed)

    def __call__(self, logits: torch.Tensor, tokens: Sequence[int]) -> int:
        """The next id. ``logits`` ``(1, V)``; ``tokens``: ids so far, for the repetition penalty."""
        if self._constraint is None:
            return self._draw(logits, tokens)
        token = self._draw(self._constraint.mask(logits), tokens)
        self._constraint.take(token)
        return token

    def _draw(self, logits: torch.Tensor, tokens: Sequence[int]) -> int:
        if self._allowed is not None:
            kept = torch.full_like(logits, float("-inf"))
            kept[:, self._allowed] = logits[:, self._allowed]
            logits = kept
        if self._processors:
            seen: Any = torch.tensor([list(tokens)] if self._penalised else [[]], device=logits.device).long()
            scores: Any = logits.float()
            logits = self._processors(seen, scores)
        if self._greedy:
            return int(logits.argmax(-1))
        return int(torch.multinomial(logits.float().softmax(-1), 1, generator=self._generator))


def _processors(settings: GenerationSettings) -> LogitsProcessorList:
    processors = LogitsProcessorList()
    if settings.repetition_penalty != 1:
        processors.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.temperature == 0:
        return processors
    if settings.temperature != 1:
        processors.append(TemperatureLogitsWarper(settings.temperature))
    if settings.top_k:
        processors.append(TopKLogitsWarper(settings.top_k))
    if settings.top_p < 1:
        processors.append(TopPLogitsWarper(settings.top_p))
    if settings.min_p:
        processors.append(MinPLogitsWarper(settings.min_p))
    return processors

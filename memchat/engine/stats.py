"""Figures of one reply, measured while it is made."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


@dataclass
class Clock:
    """Times of one run: started, first token, last token."""

    started: float = field(default_factory=time.perf_counter)
    first: float | None = None
    last: float | None = None
    tokens: int = 0

    def tick(self) -> None:
        """A token has been drawn."""
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.tokens += 1

    @property
    def ttft_ms(self) -> float | None:
        """Milliseconds from the start to the first token."""
        return None if self.first is None else (self.first - self.started) * 1000

    @property
    def tokens_per_s(self) -> float | None:
        """Decode rate after the first token; None below two tokens."""
        if self.first is None or self.last is None or self.tokens < 2 or self.last <= self.first:
            return None
        return (self.tokens - 1) / (self.last - self.first)


def read_bytes_per_token(model: Any) -> int:
    """Weight bytes that one decoded token reads: all but an embedding table that is not also the head."""
    total = sum(p.numel() * p.element_size() for p in model.parameters())
    table = model.get_input_embeddings().weight
    head = model.get_output_embeddings()
    tied = head is not None and head.weight.data_ptr() == table.data_ptr()
    return total if tied else total - table.numel() * table.element_size()


def peak_bytes(device: torch.device) -> int | None:
    """Peak device memory on CUDA since the last reset, peak resident memory of the process on a CPU."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    if device.type != "cpu" or sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

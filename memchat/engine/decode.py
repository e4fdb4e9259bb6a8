"""The decode loop: prefill in chunks, then one token after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from memchat.engine.cache import KVCache
from memchat.engine.sampling import Sampler

PREFILL_CHUNK = 1024
"""Prompt tokens between two looks at ``cancel``; larger chunks use the hardware no better."""


class Cancelled(Exception):
    """The user stopped the run while the prompt was still being read."""


def prefill(
    model: Any,
    ids: Sequence[int],
    cache: KVCache,
    *,
    cancel: Callable[[], bool] = lambda: False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> torch.Tensor:
    """Run the ``ids`` that the cache does not hold yet; logits ``(1, V)`` after the last one.

    The cache must already be cut back to a prefix of ``ids``, shorter than ``ids``.

    Raises:
        Cancelled: ``cancel`` answered True before a chunk; the cache stays usable.
    """
    start, total = len(cache.tokens), len(ids)
    assert start < total and cache.tokens == list(ids[:start])
    logits = None
    while start < total:
        if cancel():
            raise Cancelled
        chunk = ids[start : start + PREFILL_CHUNK]
        logits = _forward(model, chunk, cache)
        start += len(chunk)
        progress(start, total)
    assert logits is not None
    return logits


def decode(
    model: Any,
    logits: torch.Tensor,
    cache: KVCache,
    sampler: Sampler,
    *,
    cancel: Callable[[], bool] = lambda: False,
) -> Iterator[int]:
    """Draw tokens for ever, starting from ``logits (1, V)``; the caller stops at an end token or a limit.

    The forward pass of a token runs only when the next one is asked for, so a consumer that stops never pays for a
    token it does not want. Ends when ``cancel`` answers True.
    """
    gemv = native_gemv(model)
    while not cancel():
        token = sampler(logits, cache.tokens)
        yield token
        with gemv():
            logits = _forward(model, [token], cache)


def native_gemv(model: Any) -> Callable[[], AbstractContextManager[Any]]:
    """A context in which half-precision matrix-vector products on a CPU use PyTorch's own kernels.

    oneDNN repacks the weights at every call, which costs twice the product itself when there is one row (measured:
    8 against 17 GB/s on one core); for the many rows of a prefill it is the faster one.
    """
    if model.device.type != "cpu" or model.dtype == torch.float32 or not torch.backends.mkldnn.is_available():
        return nullcontext
    return lambda: torch.backends.mkldnn.flags(enabled=False)


@torch.inference_mode()
def _forward(model: Any, ids: Sequence[int], cache: KVCache) -> torch.Tensor:
    """Logits ``(1, V)`` of the last of ``ids``; their columns join the cache."""
    cache.settle()
    first = cache.offset + len(cache.tokens)
    device = model.device
    out = model(
        input_ids=torch.tensor([list(ids)], device=device),
        position_ids=torch.arange(first, first + len(ids), device=device)[None],
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    cache.tokens.extend(ids)
    return out.logits[:, -1]

"""The KV cache of the decode loop, and KV columns that a memory puts before a prompt.

transformers' dynamic cache copies everything for each new token, and its static cache computes attention over the
whole allocation. This one grows in place by doubling and hands out views of what is filled. Sliding-window layers
keep all columns too (the mask hides the old ones), so that any cache can be cut back to a common prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

_FIRST = 256
"""Columns of the first allocation."""


class GrowingLayer(CacheLayerMixin):
    """Keys and values ``(B, H_kv, S, D)`` of one layer in buffers that double when full."""

    is_sliding = False
    is_croppable = True

    def __init__(self) -> None:
        super().__init__()
        self.length = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        capacity = max(_FIRST, key_states.shape[2])
        self._keys = _room_like(key_states, capacity)
        self._values = _room_like(value_states, capacity)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns; returns views of all filled ones."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        end = self.length + key_states.shape[2]
        if end > self._keys.shape[2]:
            capacity = max(end, 2 * self._keys.shape[2])
            self._keys = _grown(self._keys, self.length, capacity)
            self._values = _grown(self._values, self.length, capacity)
        self._keys[:, :, self.length : end] = key_states
        self._values[:, :, self.length : end] = value_states
        self.length = end
        self.keys, self.values = self._keys[:, :, :end], self._values[:, :, :end]
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_seq_length(self) -> int:
        return self.length

    def get_max_length(self) -> int:
        return -1

    def crop(self, tokens_to_remove: int) -> None:
        """Drop the last ``|tokens_to_remove|`` columns (transformers passes a negative number)."""
        self.length -= min(abs(tokens_to_remove), self.length)
        if self.is_initialized:
            self.keys, self.values = self._keys[:, :, : self.length], self._values[:, :, : self.length]


def _room_like(states: torch.Tensor, capacity: int) -> torch.Tensor:
    batch, heads, _, width = states.shape
    with torch.inference_mode(False):  # a memory may take columns out of the cache and work with them
        return states.new_empty(batch, heads, capacity, width)


def _grown(buffer: torch.Tensor, length: int, capacity: int) -> torch.Tensor:
    room = _room_like(buffer, capacity)
    room[:, :, :length] = buffer[:, :, :length]
    return room


@dataclass
class KVPrefix:
    """KV columns that stand before a prompt.

    Attributes:
        keys, values: one tensor ``(1, H_kv, n, D)`` a layer; keys are rotated.
        next_position: position id of the first prompt token after the columns.
        scheme: how positions were given (recorded in a bundle's manifest).
    """

    keys: list[torch.Tensor]
    values: list[torch.Tensor]
    next_position: int
    scheme: str = "skip"

    def __len__(self) -> int:
        return self.keys[0].shape[2] if self.keys else 0


class KVCache(Cache):
    """A cache that knows which tokens it holds.

    Attributes:
        tokens: ids whose columns are in the cache, the prefix not counted.
        offset: position id of ``tokens[0]``.
    """

    layers: list[GrowingLayer]  # type: ignore[assignment]

    def __init__(self, prefix: KVPrefix | None = None) -> None:
        super().__init__(layer_class_to_replicate=GrowingLayer)
        self.tokens: list[int] = []
        self.offset = prefix.next_position if prefix else 0
        self.prefix_length = len(prefix) if prefix else 0
        if prefix:
            for index, (keys, values) in enumerate(zip(prefix.keys, prefix.values, strict=True)):
                self.update(keys, values, index)

    @property
    def length(self) -> int:
        """Filled columns of a layer."""
        return self.layers[0].get_seq_length() if self.layers else 0

    def keep(self, count: int) -> None:
        """Cut back to the first ``count`` tokens (and the prefix)."""
        for layer in self.layers:
            surplus = layer.get_seq_length() - self.prefix_length - count
            if surplus > 0:
                layer.crop(-surplus)
        del self.tokens[count:]

    def settle(self) -> None:
        """Drop columns that no token stands for: a forward pass was interrupted half way through the layers."""
        self.keep(len(self.tokens))

    def nbytes(self) -> int:
        """Bytes of the filled columns of all layers."""
        filled = [layer.keys for layer in self.layers if layer.keys is not None]
        return sum(2 * keys.numel() * keys.element_size() for keys in filled)

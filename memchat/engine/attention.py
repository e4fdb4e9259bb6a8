"""The attention function of every model that memchat runs.

Registered with transformers as ``memchat``, so that no modelling file is forked and there is one place through which
all queries, keys and values pass. It equals transformers' own SDPA path, with two differences:

- a single query (decoding) attends on the grouped heads directly; PyTorch's ``enable_gqa`` is several times slower
  there on a CPU;
- soft-capping (Gemma 2) is supported, so such models need no second implementation.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

NAME = "memchat"


def attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    softcap: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Attention output ``(B, T, H, D)`` of ``query (B, H, T, D)`` over ``key, value (B, H_kv, S, D)``.

    ``attention_mask`` is boolean ``(B, 1, T, S)``, True where visible; None means causal (T > 1) or all (T = 1).
    """
    if softcap is not None:
        return _softcapped(query, key, value, attention_mask, scaling, softcap), None
    batch, heads, length, _ = query.shape
    if length == 1 and attention_mask is None:
        grouped = query.reshape(batch, key.shape[1], heads // key.shape[1], query.shape[-1])
        out = F.scaled_dot_product_attention(grouped, key, value, scale=scaling)
        return out.reshape(batch, 1, heads, value.shape[-1]), None
    return sdpa_attention_forward(module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs)


def _softcapped(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None,
    softcap: float,
) -> torch.Tensor:
    """Scores squashed to ±softcap before the softmax (Gemma 2, arXiv 2408.00118, section 2)."""
    batch, heads, length, width = query.shape
    groups, seen = key.shape[1], key.shape[2]
    scale = width**-0.5 if scaling is None else scaling
    grouped = query.reshape(batch, groups, heads // groups * length, width)
    scores = softcap * torch.tanh(grouped @ key.transpose(2, 3) * scale / softcap)
    scores = scores.view(batch, heads, length, seen)
    if mask is None and length > 1:
        mask = torch.ones(length, seen, dtype=torch.bool, device=query.device).tril(seen - length)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    exact = torch.promote_types(scores.dtype, torch.float32)
    weights = scores.softmax(-1, dtype=exact).to(query.dtype)
    out = weights.view(batch, groups, heads // groups * length, seen) @ value
    return out.view(batch, heads, length, value.shape[-1]).transpose(1, 2).contiguous()


def install(model: Any) -> None:
    """Make ``model`` use this attention; the weights and the module tree stay as they are."""
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)

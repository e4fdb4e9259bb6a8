"""Tiny random models of every supported family, and model folders made of them.

Each is four layers of hidden size 64 with a byte tokenizer's vocabulary, seeded, in float32. Families with a
sliding window get one of 16 tokens, and both kinds of layers where the family mixes them, so that a prompt of
one sentence already slides.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

VOCAB = 260
"""Rows of the embedding: as many as ``byte_tokenizer`` has tokens."""
WINDOW = 16
CONTEXT = 512

_MIXED = ["sliding_attention", "full_attention"] * 2
_FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"model_type": "llama", "tie_word_embeddings": True},
    "mistral": {"model_type": "mistral", "sliding_window": WINDOW},
    "qwen2": {"model_type": "qwen2", "tie_word_embeddings": True},
    "qwen3": {"model_type": "qwen3", "tie_word_embeddings": True},
    "gemma2": {
        "model_type": "gemma2",
        "sliding_window": WINDOW,
        "layer_types": _MIXED,
        "query_pre_attn_scalar": 16,
    },
    "gemma3": {
        "model_type": "gemma3_text",
        "sliding_window": WINDOW,
        "layer_types": _MIXED,
        "query_pre_attn_scalar": 16,
    },
    "smollm3": {"model_type": "smollm3", "no_rope_layer_interval": 2},
    "phi3": {"model_type": "phi3", "sliding_window": WINDOW},
}
FAMILIES = list(_FAMILIES)
"""Names for ``tiny_model``: one for each supported architecture."""


def tiny_model(family: str, *, seed: int = 0, **overrides: Any) -> PreTrainedModel:
    """A new random model in eval mode; ``overrides`` are configuration values (``num_hidden_layers=2``).

    The weights are wider than a fresh initialisation, so that greedy replies wander and do not just repeat.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    shape: dict[str, Any] = {
        "vocab_size": VOCAB,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": 256,
        "pad_token_id": 257,
        "eos_token_id": 259,
    }
    config = AutoConfig.for_model(**(shape | _FAMILIES[family] | overrides))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                noise = torch.randn_like(parameter)
                parameter.copy_(noise * 0.15 if parameter.dim() > 1 else parameter + noise * 0.1)
            if family.startswith("gemma"):  # which multiplies embeddings by the root of the hidden size
                model.get_input_embeddings().weight.div_(config.hidden_size**0.5)
    return model.eval().requires_grad_(False)


@cache
def byte_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer that goes with the tiny models (shared: do not change it)."""
    from memchat.engine import shapes

    return shapes.byte_tokenizer()


def tiny_folder(tmp_path: Path, family: str = "llama", **overrides: Any) -> Path:
    """A folder as transformers saves it: config, safetensors, byte tokenizer with a chat template."""
    folder = tmp_path / f"tiny-{family}"
    tiny_model(family, **overrides).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder

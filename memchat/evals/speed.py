"""Speed of the engine against transformers' ``generate``: same model, machine, prompt and number format.

The two take turns, so that a machine whose speed drifts slows both; figures are medians, and what counts is the
ratio pair by pair.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import torch

from memchat.config import EngineSettings, GenerationSettings
from memchat.engine import attention, device, stats
from memchat.engine.cache import KVCache
from memchat.engine.decode import decode, prefill
from memchat.engine.engine import Engine
from memchat.engine.sampling import Sampler

SEED = 0


@dataclass(frozen=True)
class Speed:
    """One model's figures: medians over ``repeats`` pairs; ratios are ours over theirs, pair by pair."""

    model: str
    device: str
    dtype: str
    threads: int
    prompt_tokens: int
    new_tokens: int
    repeats: int
    decode_tokens_per_s: float
    generate_tokens_per_s: float
    decode_ratio: float
    decode_ratio_range: tuple[float, float]
    prefill_ms: float
    generate_prefill_ms: float
    prefill_ratio: float
    prefill_ratio_range: tuple[float, float]
    """Time against time: below 1 is faster than ``generate``."""
    bandwidth_share: float
    kv_bytes: int
    peak_bytes: int | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    model: str,
    settings: EngineSettings,
    *,
    prompt_tokens: int = 512,
    new_tokens: int = 64,
    repeats: int = 5,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Speed:
    """Measure one model.

    Raises:
        MemchatError: the model cannot be loaded.
    """
    engine = Engine.load(model, settings)
    prompt_tokens = min(prompt_tokens, engine.context - new_tokens - 1)
    ids = _random_prompt(engine, prompt_tokens)
    runs: list[tuple[float, float, float, float]] = []
    for i in range(repeats + 1):  # the first pair warms up
        ours, theirs = _ours(engine, ids, new_tokens), _theirs(engine, ids, new_tokens)
        if i:
            runs.append((*ours, *theirs))
        report(i + 1, repeats + 1)
    return _summary(engine, model, ids, new_tokens, runs)


def _summary(
    engine: Engine, model: str, ids: list[int], new_tokens: int, runs: list[tuple[float, float, float, float]]
) -> Speed:
    prefills, rates, their_prefills, their_rates = (list(column) for column in zip(*runs, strict=True))
    decode_ratios = sorted(a / b for a, b in zip(rates, their_rates, strict=True))
    prefill_ratios = sorted(a / b for a, b in zip(prefills, their_prefills, strict=True))
    kv = engine.info["kv_bytes_per_token"] * (len(ids) + new_tokens)
    moved = median(rates) * (stats.read_bytes_per_token(engine.model) + kv)
    return Speed(
        model=model,
        device=engine.info["device"],
        dtype=engine.info["dtype"],
        threads=torch.get_num_threads(),
        prompt_tokens=len(ids),
        new_tokens=new_tokens,
        repeats=len(runs),
        decode_tokens_per_s=median(rates),
        generate_tokens_per_s=median(their_rates),
        decode_ratio=median(decode_ratios),
        decode_ratio_range=(decode_ratios[0], decode_ratios[-1]),
        prefill_ms=median(prefills) * 1000,
        generate_prefill_ms=median(their_prefills) * 1000,
        prefill_ratio=median(prefill_ratios),
        prefill_ratio_range=(prefill_ratios[0], prefill_ratios[-1]),
        bandwidth_share=moved / device.memory_bandwidth(engine.loaded.device),
        kv_bytes=kv,
        peak_bytes=stats.peak_bytes(engine.loaded.device),
    )


def _random_prompt(engine: Engine, length: int) -> list[int]:
    generator = torch.Generator().manual_seed(SEED)
    return torch.randint(0, engine.model.config.vocab_size, (length,), generator=generator).tolist()


def _ours(engine: Engine, ids: list[int], count: int) -> tuple[float, float]:
    """(seconds to the first token, tokens/s after it)."""
    cache, sampler = KVCache(), Sampler(GenerationSettings(), engine.loaded.device)
    clock = stats.Clock()
    tokens = decode(engine.model, prefill(engine.model, ids, cache), cache, sampler)
    for _ in range(count):
        next(tokens)
        clock.tick()
    assert clock.first is not None and clock.tokens_per_s is not None
    return clock.first - clock.started, clock.tokens_per_s


def _theirs(engine: Engine, ids: list[int], count: int) -> tuple[float, float]:
    """The same of ``generate`` as transformers sets it up by itself."""
    model: Any = engine.model
    softcap = getattr(model.config, "attn_logit_softcapping", None)
    model.set_attn_implementation("eager" if softcap else "sdpa")
    try:
        first, whole = _timed_generate(model, ids, 1), _timed_generate(model, ids, count)
    finally:
        attention.install(model)
    return first, (count - 1) / (whole - first)


def _timed_generate(model: Any, ids: list[int], count: int) -> float:
    inputs = torch.tensor([ids], device=model.device)
    started = time.perf_counter()
    out = model.generate(
        inputs,
        attention_mask=torch.ones_like(inputs),
        min_new_tokens=count,
        max_new_tokens=count,
        do_sample=False,
        pad_token_id=0,
    )
    assert out.shape[1] == len(ids) + count
    return time.perf_counter() - started

"""Speed of the training loop against a bare PyTorch loop, and of making batches against using them up.

The shipped side is one call of `trainers.loop.train` with the model, optimizers and batches of the base recipe, timed
from the moment it asks for a turn's first batch until the turn's last step is logged. In that time lie: making the
batches, the loader, the move to the device, the schedule, accelerate around forward, backward, clipping and the
optimizers, the check of the loss, the progress report and the log. Evaluations and checkpoints lie outside: how often
they come is a setting, not the loop's cost.

The bare side is a copy of the model with optimizers of its own on the very same batches, made already and on the
device: forward, backward, clip, step, in the same number format and nothing else. It takes its turns where the loop
evaluates, so the two alternate and a machine whose speed drifts slows both; what counts is the ratio pair by pair.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from trainers.base import BaseConfig, ChatBatches, build_model, build_tokenizer, chat_loss, check, settings
from trainers.loop import Batch, precision, train
from trainers.optim import muon_and_adamw

STEPS = 3
"""Optimizer steps in a turn."""


@dataclass(frozen=True)
class Throughput:
    """Medians over `repeats` pairs of turns, in padded tokens a second; ratios are pair by pair, with their range."""

    device: str
    precision: str
    threads: int
    parameters: int
    batch_tokens: int
    steps: int
    repeats: int
    tokens_per_s: float
    bare_tokens_per_s: float
    ratio: float
    ratio_range: tuple[float, float]
    making_tokens_per_s: float
    making_ratio: float
    """Speed of making batches, which counts in the loop's time, against the speed at which the loop trains on them."""
    making_ratio_range: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Pair:
    """One turn of each on the same batches: seconds of the loop, those it spent making batches, and the bare loop's."""

    tokens: int
    loop: float
    making: float
    bare: float


def measure(config: BaseConfig, repeats: int = 5) -> Throughput:
    """Measure the base recipe on batches from all parts of the run that `config` describes.

    Raises:
        UsageError: settings that cannot be built.
    """
    check(config)
    tokenizer = build_tokenizer(config)
    model = build_model(config, tokenizer)
    duel = Duel(model, ChatBatches(config, tokenizer), config, repeats)
    with TemporaryDirectory() as out:
        duel.run(Path(out))
    pairs = duel.pairs[1:]  # the first warms up
    ratios = sorted(pair.bare / pair.loop for pair in pairs)
    making = sorted(pair.loop / pair.making for pair in pairs)
    return Throughput(
        device=model.device.type,
        precision=precision(config.loop.precision),
        threads=torch.get_num_threads(),
        parameters=model.num_parameters(),
        batch_tokens=config.batch_tokens,
        steps=STEPS,
        repeats=len(pairs),
        tokens_per_s=median(pair.tokens / pair.loop for pair in pairs),
        bare_tokens_per_s=median(pair.tokens / pair.bare for pair in pairs),
        ratio=median(ratios),
        ratio_range=(ratios[0], ratios[-1]),
        making_tokens_per_s=median(pair.tokens / pair.making for pair in pairs),
        making_ratio=median(making),
        making_ratio_range=(making[0], making[-1]),
    )


class Duel:
    """The loop and the bare loop in turns; to the loop it is its batches and its evaluation."""

    def __init__(self, model: nn.Module, batches: ChatBatches, config: BaseConfig, repeats: int) -> None:
        self.model, self.batches, self.config = model, batches, config
        self.bare = copy.deepcopy(model)
        self.bare_optimizers = self.optimizers(self.bare)
        self.count = STEPS * (repeats + 1)
        self.pairs: list[Pair] = []
        self.kept: list[Batch] = []  # this turn's batches
        self.begun = self.making = 0.0

    def optimizers(self, model: nn.Module) -> list[Optimizer]:
        """The recipe's optimizers."""
        return muon_and_adamw(model, self.config.muon_lr, self.config.adamw_lr, self.config.weight_decay)

    def run(self, out: Path) -> None:
        """Train both models; the files of the run go to `out`."""
        loop = replace(
            self.config.loop, steps=self.count, accumulate=1, workers=0, eval_every=STEPS, save_every=self.count
        )
        train(
            self.model, self.optimizers(self.model), self, chat_loss, loop, out, evaluate=self.turn,
            settings=settings(self.config), resume_hint="A measurement keeps nothing: start it again.",
        )  # fmt: skip

    def __getitem__(self, index: int) -> Batch:
        """A batch from the run's same part, made now."""
        started = _now()
        if not self.kept:
            self.begun, self.making = started, 0.0
        self.kept.append(self.batches[index * self.batches.total // self.count])
        self.making += _now() - started
        return self.kept[-1]

    def turn(self, model: nn.Module, step: int) -> dict[str, float]:
        """End the loop's turn, and take the bare loop's with the same batches."""
        ended, device = _now(), next(model.parameters()).device
        ready = [{name: value.to(device) for name, value in batch.items()} for batch in self.kept]
        self.bare.to(device).train()
        started = _now()
        bare_steps(self.bare, self.bare_optimizers, ready, self.config.loop.clip, precision(self.config.loop.precision))
        took = _now() - started
        tokens = sum(batch["input_ids"].numel() for batch in ready)
        self.pairs.append(Pair(tokens, ended - self.begun, self.making, took))
        self.kept = []
        return {"bare tokens/s": tokens / took, "ratio": took / (ended - self.begun)}


def bare_steps(
    model: nn.Module, optimizers: Sequence[Optimizer], batches: Sequence[Batch], clip: float, number_format: str
) -> None:
    """What everybody writes first: one optimizer step for each batch."""
    formats = {"bf16": torch.bfloat16, "fp16": torch.float16}
    for batch in batches:
        device = batch["input_ids"].device.type
        with torch.autocast(device, formats[number_format]) if number_format in formats else nullcontext():
            loss = chat_loss(model, batch)
        loss.backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()


def _now() -> float:
    """Seconds, once a GPU has done what was asked of it."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()

"""The one training loop: every recipe hands it a model, optimizers, numbered batches and a loss.

It stands on accelerate, so one CPU, one GPU or several run the same code. Batches are numbered (`batches[i]`),
which makes a resumed run continue with exactly the next one. Ctrl-C saves a checkpoint and says how to go on.
`trainers.run` describes the files it leaves; beside them it draws `curve.svg`.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available, is_wandb_available
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from memchat.errors import MemchatError, UsageError
from trainers.curve import write_curve
from trainers.report import Report
from trainers.run import LoopConfig, Progress, Run

Batch = dict[str, Tensor]
LossFn = Callable[[nn.Module, Batch], Tensor]
Evaluate = Callable[[nn.Module, int], dict[str, float]]


class Batches(Protocol):
    """Batch number `index`, the same for the same number, whenever it is asked for."""

    def __getitem__(self, index: int) -> Batch: ...


def schedule(step: int, config: LoopConfig) -> float:
    """The learning rate's factor at `step`: linear warm-up, constant, linear decay to zero."""
    rising = max(1, round(config.steps * config.warmup))
    falling = max(1, round(config.steps * config.decay))
    return min(1.0, (step + 1) / rising, max(0.0, (config.steps - step) / falling))


def precision(wanted: str) -> str:
    """The autocast type for this machine: bf16 where the hardware computes in it, else none."""
    if wanted not in ("auto", "no", "bf16", "fp16"):
        raise UsageError(f"unknown precision {wanted!r}", "Choose auto, no, bf16 or fp16.")
    if wanted == "fp16" and not torch.cuda.is_available():
        raise UsageError("fp16 needs a CUDA device", "Choose precision=auto.")
    if wanted != "auto":
        return wanted
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    return "bf16" if not torch.backends.mps.is_available() and fast() else "no"


def train(
    model: nn.Module,
    optimizers: Sequence[Optimizer],
    batches: Batches,
    loss: LossFn,
    config: LoopConfig,
    out: Path,
    *,
    evaluate: Evaluate | None = None,
    resume: bool = False,
    settings: dict[str, Any] | None = None,
    resume_hint: str = "Run the same command with --resume.",
) -> Progress:
    """Train `model` in place for `config.steps` steps.

    Args:
        loss: (model, batch) -> a scalar; the batch has `input_ids` (B, T) and whatever the loss needs.
        evaluate: (model, step) -> numbers, called every `eval_every` steps and at the end.
        settings: the recipe's own configuration, written to `run.json`; a resumed run must have the same.

    Raises:
        MemchatError: interrupted (a checkpoint is saved), nothing to resume from, an unfinished run in the way,
            a folder that cannot be written, or a loss that is not finite.
    """
    accelerator = _accelerator(config, out)
    run = Run(config, settings or {}, out, accelerator)
    run.start(resume)
    torch.manual_seed(config.seed)
    model, *prepared = accelerator.prepare(model, *optimizers)
    if resume:
        run.resume(model, prepared)
    with _interruptible() as stop_asked, Report(config.steps, run.progress.step, run.main) as report:
        _steps(run, model, _Rates(prepared, config), _stream(batches, run), loss, evaluate, report, stop_asked)
    accelerator.end_training()
    if run.progress.step < config.steps:
        raise MemchatError(f"stopped at step {run.progress.step} of {config.steps}; a checkpoint is saved", resume_hint)
    return run.progress


def _accelerator(config: LoopConfig, out: Path) -> Accelerator:
    """Devices, precision and trackers, as accelerate manages them."""
    for tracker in config.trackers:
        if not {"tensorboard": is_tensorboard_available, "wandb": is_wandb_available}.get(tracker, bool)():
            raise UsageError(f"tracker {tracker!r} is not installed", "Run `pip install memchat[track]`.")
    accelerator = Accelerator(
        mixed_precision=precision(config.precision),
        gradient_accumulation_steps=config.accumulate,
        log_with=list(config.trackers) or None,
        project_dir=str(out),
    )
    if config.trackers:
        accelerator.init_trackers("memchat")
    return accelerator


class _Rates:
    """The optimizers with the learning rates they were made with, which the schedule scales."""

    def __init__(self, optimizers: Sequence[Any], config: LoopConfig) -> None:
        self.optimizers, self.config = optimizers, config
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", group["lr"])  # saved with the optimizer, so a resumed run finds it

    def set(self, step: int) -> float:
        """Set the rates of `step`; returns the first optimizer's."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * schedule(step, self.config)
        return float(self.optimizers[0].param_groups[0]["lr"])


class _Numbered(Dataset[Batch]):
    def __init__(self, batches: Batches) -> None:
        self.batches = batches

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


def _stream(batches: Batches, run: Run) -> Iterator[Batch]:
    """The batches of this process from where the run stands to its end, on its device."""
    world, rank = run.accelerator.num_processes, run.accelerator.process_index
    per_step = run.config.accumulate * world
    numbers = range(run.progress.step * per_step + rank, run.config.steps * per_step, world)
    # A generator of its own: the loader must not draw from the random state that a checkpoint restores.
    loader = DataLoader(
        _Numbered(batches),
        batch_size=None,
        sampler=numbers,
        num_workers=run.config.workers,
        generator=torch.Generator(),
    )
    for batch in loader:
        yield {name: value.to(run.accelerator.device, non_blocking=True) for name, value in batch.items()}


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C into a wish to stop after the step; a second one stops at once."""
    asked = False

    def ask(signum: int, frame: Any) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {}
    try:
        for kind in (signal.SIGINT, signal.SIGTERM):
            before[kind] = signal.signal(kind, ask)
    except ValueError:  # not in the main thread: nobody presses keys here
        pass
    try:
        yield lambda: asked
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _steps(
    run: Run,
    model: nn.Module,
    rates: _Rates,
    stream: Iterator[Batch],
    loss: LossFn,
    evaluate: Evaluate | None,
    report: Report,
    stop_asked: Callable[[], bool],
) -> None:
    """The loop itself; returns early, with a checkpoint, when a stop is asked for."""
    config, progress = run.config, run.progress
    model.train()
    while progress.step < config.steps:
        started = time.perf_counter()
        rate = rates.set(progress.step)
        value, tokens = _step(run, model, rates.optimizers, stream, loss)
        took = time.perf_counter() - started
        progress.step += 1
        progress.tokens += tokens
        progress.seconds += took
        report.step(progress.step, value, tokens, took)
        last = progress.step == config.steps
        if progress.step % config.log_every == 0 or last:
            run.log(loss=value, lr=rate, tokens=progress.tokens, seconds=progress.seconds)
        if evaluate and config.eval_every and (progress.step % config.eval_every == 0 or last):
            model.eval()
            scores = evaluate(run.accelerator.unwrap_model(model), progress.step)
            model.train()
            run.log(**scores)
            report.scores(progress.step, scores)
        if progress.step % config.save_every == 0 or last or stop_asked():
            run.save(model, rates.optimizers)
            if run.main:
                write_curve(run.log_path, run.out / "curve.svg")
        if stop_asked():
            return


def _step(
    run: Run, model: nn.Module, optimizers: Sequence[Any], stream: Iterator[Batch], loss: LossFn
) -> tuple[float, int]:
    """One optimizer step over `accumulate` batches: the mean loss and the tokens seen by all devices."""
    accelerator, total, tokens = run.accelerator, 0.0, 0
    for _ in range(run.config.accumulate):
        batch = next(stream)
        with accelerator.accumulate(model):
            value = loss(model, batch)
            total += value.item()
            if not math.isfinite(total):
                raise MemchatError(f"the loss is {total} at step {run.progress.step}", "Lower the learning rate.")
            accelerator.backward(value)
            if accelerator.sync_gradients and run.config.clip:
                accelerator.clip_grad_norm_(model.parameters(), run.config.clip)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
        tokens += batch["input_ids"].numel()
    if accelerator.num_processes > 1:
        sums = accelerator.reduce(torch.tensor([total, float(tokens)], device=accelerator.device), "sum")
        total, tokens = sums[0].item() / accelerator.num_processes, int(sums[1].item())
    return total / run.config.accumulate, tokens

"""One training run on disk: its settings, its checkpoint, its log.

A run folder holds `checkpoint.pt` (weights, optimizers, random state, position), `training.jsonl` (one object for
each logged step and evaluation) and `run.json` (settings, seed, versions).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from memchat.errors import MemchatError
from trainers.versions import versions


@dataclass
class LoopConfig:
    """How to train, whatever is trained."""

    steps: int = 1000  # optimizer steps
    accumulate: int = 1  # batches a step and device
    clip: float = 1.0  # largest gradient norm; 0 for none
    warmup: float = 0.02  # share of the steps with a rising learning rate
    decay: float = 0.4  # share of the steps, at the end, with a falling learning rate
    precision: str = "auto"  # auto, no, bf16, fp16
    seed: int = 0
    log_every: int = 10
    eval_every: int = 0  # 0: never
    save_every: int = 200
    workers: int = 0  # processes that make batches; 0: this one
    trackers: list[str] = field(default_factory=list)  # tensorboard, wandb


@dataclass
class Progress:
    """Where a run stands; saved with every checkpoint."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0


class Run:
    """The state of one training run and the files it writes."""

    def __init__(self, config: LoopConfig, settings: dict[str, Any], out: Path, accelerator: Accelerator) -> None:
        self.config, self.settings, self.out, self.accelerator = config, settings, out, accelerator
        self.progress = Progress()
        self.log_path, self.checkpoint = out / "training.jsonl", out / "checkpoint.pt"

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.accelerator.is_main_process)

    @property
    def plan(self) -> dict[str, Any]:
        """What must not change between the parts of one run."""
        config = self.config
        return {"steps": config.steps, "accumulate": config.accumulate, "seed": config.seed, **self.settings}

    def start(self, resume: bool) -> None:
        """Make the folder; for a fresh run write `run.json` and an empty log.

        Raises:
            MemchatError: there is nothing to resume, an unfinished run would be lost, or the folder cannot be written.
        """
        if resume and not self.checkpoint.exists():
            raise MemchatError(f"no checkpoint in {self.out}", "Start without --resume.")
        if not resume and self.checkpoint.exists():
            remedy = f"Continue it with --resume, choose another --out, or delete {self.checkpoint.name} there."
            raise MemchatError(f"an unfinished run lies in {self.out}", remedy)
        if not self.main:
            return
        with self._writing():
            self.out.mkdir(parents=True, exist_ok=True)
            if resume:
                return
            device = str(self.accelerator.device)
            described = {"loop": asdict(self.config), "recipe": self.settings, "versions": versions(), "device": device}
            (self.out / "run.json").write_text(json.dumps(described, indent=2) + "\n")
            self.log_path.write_text("")

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            remedy = "Free some space or choose another --out."
            raise MemchatError(f"cannot write to {self.out}: {error.strerror or error}", remedy) from error

    def save(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        """Write a checkpoint beside the old one, then replace it: a crash leaves one of the two."""
        if not self.main:
            return
        scaler = self.accelerator.scaler
        state = {
            "model": trained(self.accelerator.unwrap_model(model)),
            "optimizers": [optimizer.state_dict() for optimizer in optimizers],
            "scaler": scaler.state_dict() if scaler else None,
            "progress": asdict(self.progress),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "plan": self.plan,
        }
        partial = self.checkpoint.with_suffix(".part")
        with self._writing():
            with partial.open("wb") as file:  # a plain file reports a full disk as an OSError
                torch.save(state, file)
            partial.replace(self.checkpoint)

    def resume(self, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
        """Continue from the checkpoint; lines logged after it are dropped.

        Raises:
            MemchatError: the checkpoint belongs to another plan.
        """
        state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
        changed = [key for key, value in self.plan.items() if state["plan"].get(key) != value]
        if changed:
            was = ", ".join(f"{key}={state['plan'].get(key)}" for key in changed)
            raise MemchatError(f"the checkpoint was made with other settings: {was}", "Resume with the same ones.")
        bare = self.accelerator.unwrap_model(model)
        assert trained(bare).keys() == state["model"].keys()
        bare.load_state_dict(state["model"], strict=False)
        for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["rng"])
        if torch.cuda.is_available() and state["cuda_rng"]:
            torch.cuda.set_rng_state_all(state["cuda_rng"])
        self.progress = Progress(**state["progress"])
        kept = [line for line in read_log(self.log_path) if line["step"] <= self.progress.step]
        if self.main:
            self.log_path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def log(self, **values: float) -> None:
        """Add one line to the log, and hand the numbers to the trackers."""
        self.accelerator.log(values, step=self.progress.step)
        if self.main:
            rounded = {name: round(value, 6) for name, value in values.items()}
            with self._writing(), self.log_path.open("a") as file:
                file.write(json.dumps({"step": self.progress.step, **rounded}) + "\n")


def trained(model: nn.Module) -> dict[str, Tensor]:
    """What training changes: frozen weights are where they came from."""
    named = model.named_parameters(remove_duplicate=False)
    frozen = {name for name, parameter in named if not parameter.requires_grad}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in frozen}


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a `training.jsonl`; a line cut off by a crash is left out."""
    lines = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines

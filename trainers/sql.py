"""The SQL memory's two agents: LoRA adapters that write what the persona world would have written.

    memchat train sql --agent storage --stage distil
    memchat train sql --agent storage --stage rl

`distil` learns the right SQL by heart (from the world's own, or from a frozen copy that sees the target's line alone,
as in the original); `rl` samples SQL, runs it in the sandbox and follows the reward. Read from top to bottom:
settings, episodes, the two losses, evaluation, run.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from memchat import prompts
from memchat.errors import UsageError, unknown
from memchat.memory.sql.agents import NEW_TOKENS
from memchat.memory.sql.spelling import spelt
from trainers import policy
from trainers.card import made_by, write_adapter_card
from trainers.loop import Batch, LoopConfig, train
from trainers.settings import apply
from trainers.sql_cases import Episode, Episodes, fit_to_teach, focus
from trainers.sql_rewards import Reward

AGENTS, STAGES, TEACHERS = ("storage", "retrieval"), ("distil", "rl"), ("world", "self")
FOCUS = 8.0
"""How much more the fields and values of the right SQL weigh than its form."""


@dataclass
class SqlConfig:
    """Settings of the recipe."""

    agent: str = "storage"  # storage or retrieval
    stage: str = "distil"  # distil, then rl
    teacher: str = "world"  # of distil: world, or self (a frozen copy that sees the target's line alone)
    trainer: str = "group"  # of rl: group, loo or expert
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    lr: float = 2e-4
    prompts: int = 32  # in a batch
    samples: int = 8  # answers to each in rl; tries at most with `expert`
    beta: float = 0.02  # of the KL to the model without its adapter
    clip_ratio: float = 0.2
    low: int = 1  # fields that a retrieval call may read for its bonus; the world asks for one at least
    high: int = 8
    replay: float = 0.1  # share of batches of distil among those of `expert`
    size: int = 1200  # characters of the largest tables
    noise: float = 0.0  # share of a line's words that are left out in training, in every second case
    probes: int = 200  # cases of the fixed validation set
    loop: LoopConfig = field(default_factory=LoopConfig)


PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "starter": {
        "distil": {
            "lr": 1e-3,
            "steps": 1800,
            "prompts": 16,
            "noise": 0.15,
            "eval_every": 300,
            "save_every": 100,
            "decay": 0.95,
            "probes": 120,
        },
        "rl": {
            "lr": 2e-4,
            "steps": 200,
            "prompts": 8,
            "eval_every": 50,
            "save_every": 50,
            "warmup": 0.03,
            "decay": 0.5,
        },
    },
    "quick": {
        "distil": {"lr": 2e-3, "steps": 200, "eval_every": 100, "save_every": 50, "probes": 60},
        "rl": {"lr": 2e-4, "steps": 50, "prompts": 4, "eval_every": 50, "save_every": 50, "probes": 60},
    },
    # Gemma-2 2B on one GPU of 12 to 24 GB.
    "paper": {
        "distil": {"dropout": 0.05, "steps": 300, "eval_every": 50, "save_every": 50, "warmup": 0.03},
        "rl": {"lr": 1e-5, "steps": 400, "prompts": 8, "eval_every": 50, "save_every": 50, "warmup": 0.03},
    },
}


def preset(name: str, stage: str) -> SqlConfig:
    """The settings of a preset for one stage."""
    if name not in PRESETS:
        raise unknown("preset", name, list(PRESETS))
    if stage not in STAGES:
        raise unknown("stage", stage, list(STAGES))
    config = SqlConfig(stage=stage)
    apply(config, PRESETS[name][stage])
    return config


class Distil:
    """Loss of the first stage: the right SQL, token by token; what is chosen in it weighs most."""

    def __init__(self, config: SqlConfig, episodes: Episodes) -> None:
        self.config, self.episodes = config, episodes
        self.figures: dict[str, list[float]] = {}

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        cases = self.episodes.batch_of(int(batch["index"]))
        answers = [case.answer for case in cases]
        if self.config.teacher == "self":
            cases, answers = self.teach(model, cases)
        samples = self.episodes.taught(cases, answers)
        mask = samples.mask.to(batch["input_ids"].device)
        mask *= 1 + (FOCUS - 1) * focus(self.episodes.tokenizer, samples.texts, mask.size(1)).to(mask.device)
        scores = policy.log_probs(model, policy.moved(samples, mask.device))
        return -(scores * mask).sum() / mask.sum()

    def teach(self, model: Any, cases: list[Episode]) -> tuple[list[Episode], list[str]]:
        """What a frozen copy writes that sees the target's line alone; kept only where that can be right.

        A batch in which nothing is fit to be learnt is learnt from the world.
        """
        alone = [case.line for case in cases]
        rows = [self.episodes.prompt(case, text) for case, text in zip(cases, alone, strict=True)]
        ids, attention = self.episodes.padded(rows)
        with policy.bare(model):
            device = next(model.parameters()).device
            said = policy.sample(
                model, self.episodes.tokenizer, ids.to(device), attention.to(device), copies=1,
                new=NEW_TOKENS[self.config.agent], temperature=0.0,
            )  # fmt: skip
        pairs = zip(cases, said.texts, alone, strict=True)
        kept = [(case, spelt(text)) for case, text, line in pairs if fit_to_teach(case, text, line)]
        self.figures.setdefault("kept", []).append(len(kept) / len(cases))
        kept = kept or [(case, case.answer) for case in cases]
        return [case for case, _ in kept], [text for _, text in kept]


class Reinforce:
    """Loss of the second stage: sample, run in the sandbox, follow the reward."""

    def __init__(self, config: SqlConfig, episodes: Episodes) -> None:
        self.config, self.episodes = config, episodes
        self.distil = Distil(config, episodes)
        self.figures: dict[str, list[float]] = {}

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        config, index = self.config, int(batch["index"])
        if config.trainer == "expert" and Random(f"replay {config.loop.seed} {index}").random() < config.replay:
            return self.distil(model, batch)
        cases = self.episodes.batch_of(index)
        draw = self.until_right if config.trainer == "expert" else self.groups
        samples, advantage = draw(model, batch, cases)
        now = policy.log_probs(model, samples)
        reference = None
        if config.beta and config.trainer != "expert":
            with torch.no_grad(), policy.bare(model):
                reference = policy.log_probs(model, samples)
        # One update for each batch: the policy that sampled is the one that is changed.
        value, kl = policy.loss(
            now, now.detach(), reference, advantage, samples.mask, clip=config.clip_ratio, beta=config.beta
        )
        self.note(kl=kl, entropy=float(-(now.detach() * samples.mask).sum() / samples.mask.sum().clamp(min=1)))
        return value

    def groups(self, model: Any, batch: Batch, cases: list[Episode]) -> tuple[policy.Samples, Tensor]:
        """A group of answers to each prompt, and their advantages."""
        samples = self.sample(model, batch["input_ids"], batch["attention"], self.config.samples, 1.0)
        each = [case for case in cases for _ in range(self.config.samples)]
        rewards = self.rewards(each, samples)
        grid = torch.tensor([reward.total for reward in rewards]).view(len(cases), -1)
        return samples, policy.advantages(grid, self.config.trainer).flatten().to(samples.mask.device)

    def until_right(self, model: Any, batch: Batch, cases: list[Episode]) -> tuple[policy.Samples, Tensor]:
        """One answer to each prompt, tried again at rising temperature until it is right; the rest teach nothing."""
        answers, weights = [""] * len(cases), torch.zeros(len(cases))
        open_, tries = list(range(len(cases))), self.config.samples
        for attempt in range(tries):
            temperature = 0.7 + 0.5 * attempt / max(1, tries - 1)
            rows = torch.tensor(open_, device=batch["input_ids"].device)
            samples = self.sample(model, batch["input_ids"][rows], batch["attention"][rows], 1, temperature)
            rewards = self.rewards([cases[i] for i in open_], samples)
            for i, reward, text in zip(list(open_), rewards, samples.texts, strict=True):
                answers[i] = text
                if reward.main > 0.99:
                    weights[i] = 1.0 + 0.2 * (self.config.low <= reward.fields <= self.config.high)
                    open_.remove(i)
            if not open_:
                break
        self.note(solved=1 - len(open_) / len(cases))
        device = batch["input_ids"].device
        return policy.moved(self.episodes.taught(cases, answers), device), weights.to(device)

    def sample(self, model: Any, ids: Tensor, attention: Tensor, copies: int, temperature: float) -> policy.Samples:
        new = NEW_TOKENS[self.config.agent]
        return policy.sample(
            model, self.episodes.tokenizer, ids, attention, copies=copies, new=new, temperature=temperature
        )

    def rewards(self, cases: Sequence[Episode], samples: policy.Samples) -> list[Reward]:
        """The rewards of the answers, noted for the log."""
        told = zip(cases, samples.texts, samples.truncated, strict=True)
        found = [case.reward(text, cut, (self.config.low, self.config.high)) for case, text, cut in told]
        for name in ("total", "main", "valid", "leak", "noop"):
            self.note(**{f"reward {name}": sum(float(getattr(r, name)) for r in found) / len(found)})
        return found

    def note(self, **figures: float) -> None:
        for name, value in figures.items():
            self.figures.setdefault(name, []).append(value)


def measure(model: Any, episodes: Episodes, config: SqlConfig) -> dict[str, float]:
    """Greedy answers to the fixed validation set: main reward (F1 or recall), leak, validity, and the score.

    The score picks the best checkpoint: main less leak.
    """
    cases, rows = episodes.draw("valid", "fixed", config.probes), list[Reward]()
    device = next(model.parameters()).device
    for start in range(0, len(cases), 32):
        part = cases[start : start + 32]
        ids, attention = (t.to(device) for t in episodes.padded([episodes.prompt(case) for case in part]))
        new = NEW_TOKENS[config.agent]
        said = policy.sample(model, episodes.tokenizer, ids, attention, copies=1, new=new, temperature=0.0)
        rows += [
            case.reward(text, cut, (config.low, config.high))
            for case, text, cut in zip(part, said.texts, said.truncated, strict=True)
        ]

    def mean(values: list[float]) -> float:
        return sum(values) / max(1, len(values))

    main, leak = mean([row.main for row in rows]), mean([row.leak for row in rows])
    quiet = [bool(not (case.wanted or case.reads)) for case in cases]
    right = mean([float(row.noop == q) for row, q in zip(rows, quiet, strict=True)])
    reward = mean([row.total for row in rows])
    valid = mean([float(row.valid) for row in rows])
    return {"score": main - leak, "main": main, "leak": leak, "valid": valid, "noop right": right, "reward": reward}


def run(
    config: SqlConfig, model_id: str, out: Path, *, command: str = "memchat train sql", resume: bool = False,
    adapter: Path | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train one agent's adapter and save it to `out`. Returns the figures of the best checkpoint.

    Args:
        model_id: the chat model that the adapter is for.
        adapter: an adapter to go on with, as `rl` does with what `distil` made.

    Raises:
        UsageError: settings that do not fit, or no adapter in the folder.
    """
    check(config)
    loaded = load_model(model_id)
    model, tokenizer = loaded.model, loaded.tokenizer
    attach(model, config, adapter)
    noise = config.noise if config.stage == "distil" else 0.0
    seed, count, size = config.loop.seed, config.prompts, config.size
    episodes = Episodes(config.agent, tokenizer, seed=seed, count=count, size=size, noise=noise)
    loss = (Distil if config.stage == "distil" else Reinforce)(config, episodes)
    keeper = Keeper(model, out, config.stage, resume)

    def evaluate(trained: Any, step: int) -> dict[str, float]:
        found = measure(trained, episodes, config)
        keeper.keep(step, found)
        figures = {name: sum(values) / len(values) for name, values in loss.figures.items() if values}
        loss.figures.clear()
        return {**found, **figures}

    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.lr, betas=(0.9, 0.95), weight_decay=0.0)
    progress = train(
        model, [optimizer], episodes, loss, config.loop, out,
        evaluate=evaluate, resume=resume, settings=settings(config),
    )  # fmt: skip
    best = keeper.finish(loaded, config, made_by(command, asdict(progress), adapter))
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return best


def settings(config: SqlConfig) -> dict[str, Any]:
    """The recipe's own settings, without the loop's."""
    return {name: value for name, value in asdict(config).items() if name != "loop"}


def check(config: SqlConfig) -> None:
    """Refuse words that mean nothing here."""
    for name, known in (("agent", AGENTS), ("stage", STAGES), ("teacher", TEACHERS), ("trainer", policy.TRAINERS)):
        if getattr(config, name) not in known:
            raise unknown(name, getattr(config, name), list(known))
    if config.teacher == "self" and config.agent == "retrieval":
        raise UsageError("a retrieval call has one line", "Use teacher=world for the retrieval agent.")
    if config.trainer in ("loo", "group") and config.samples < 2:
        raise UsageError("advantages need two samples at least", "Give --set samples=2 or more.")
    if not config.loop.eval_every:
        raise UsageError("the best checkpoint is kept by its score", "Give --set eval_every=50, or another number.")


def load_model(model_id: str) -> Any:
    """The chat model with its tokenizer, in fp32 on a CPU and bf16 on a GPU."""
    from memchat.config import EngineSettings
    from memchat.engine.loader import load
    from memchat.engine.spec import resolve

    return load(resolve(model_id), EngineSettings(dtype="bfloat16" if torch.cuda.is_available() else "float32"))


def lora(config: SqlConfig) -> Any:
    """The shape of a fresh adapter; its weights follow from the seed."""
    from peft import LoraConfig

    torch.manual_seed(config.loop.seed)
    shape = LoraConfig(r=config.rank, lora_alpha=config.alpha, target_modules="all-linear", bias="none")
    shape.lora_dropout = config.dropout
    return shape


def check_adapter(folder: Path) -> None:
    """Refuse a folder without an adapter."""
    if not (folder / "adapter_config.json").is_file():
        raise UsageError(f"{folder} holds no adapter", "Give the folder that an earlier `memchat train sql` made.")


def attach(model: Any, config: SqlConfig, adapter: Path | None) -> None:
    """Put a fresh adapter on the model, or the one to go on with; nothing else is trained."""
    if adapter is not None:
        check_adapter(adapter)
        model.load_adapter(str(adapter), adapter_name="agent", is_trainable=True)
    else:
        model.add_adapter(lora(config), adapter_name="agent")
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def set_aside(folder: Path) -> Path:
    """Copy what `distil` left in a folder to `distil` inside it, where `rl` begins.

    Raises:
        UsageError: there is nothing.
    """
    aside = folder / "distil"
    if not aside.is_dir():
        if not (folder / "adapter_config.json").is_file():
            raise UsageError(f"{folder} holds no adapter", "Run --stage distil first, or give --adapter FOLDER.")
        partial = folder / "distil.part"
        shutil.copytree(folder, partial, ignore=shutil.ignore_patterns("checkpoints", "*.part"), dirs_exist_ok=True)
        partial.rename(aside)
    return aside


class Keeper:
    """Keeps each scored checkpoint of a stage in `checkpoints/<stage>/step_<n>_<score>`, and the best as the result."""

    def __init__(self, model: Any, out: Path, stage: str, resume: bool) -> None:
        self.model, self.out, self.kept = model, out, out / "checkpoints" / stage
        if not resume:
            shutil.rmtree(self.kept, ignore_errors=True)

    def keep(self, step: int, found: dict[str, float]) -> None:
        """Save the adapter as it is."""
        folder = self.kept / f"step_{step}_{found['score']:.3f}"
        self.model.save_pretrained(folder)
        (folder / "metrics.json").write_text(json.dumps({"step": step, **found}, indent=2) + "\n")

    def finish(self, loaded: Any, config: SqlConfig, made: list[dict[str, Any]]) -> dict[str, float]:
        """Copy the best checkpoint to the run's folder and describe it."""
        folders = [path.parent for path in self.kept.glob("*/metrics.json")]
        found = {folder: json.loads((folder / "metrics.json").read_text()) for folder in folders}
        best = max(found, key=lambda folder: (found[folder]["score"], found[folder]["step"]))
        for path in best.iterdir():
            shutil.copyfile(path, self.out / path.name)
        base = loaded.spec.name if loaded.spec.kind == "folder" else loaded.spec.id  # no path of this machine
        shape = json.loads((self.out / "adapter_config.json").read_text())
        shape["base_model_name_or_path"] = base
        (self.out / "adapter_config.json").write_text(json.dumps(shape, indent=2) + "\n")
        described = {
            "method": "sql", "agent": config.agent, "base": base, "weights": loaded.weight_hash,
            "tokenizer": loaded.tokenizer_hash, "prompts": prompts.fingerprint(), "recipe": settings(config),
            "trained_on": ["world:train"], "made": made,
        }  # fmt: skip
        (self.out / "config.json").write_text(json.dumps(described, indent=2) + "\n")
        write_adapter_card(self.out, base, made, found[best])
        return dict(found[best])

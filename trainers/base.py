"""The base model: a small Llama trained from nothing on the persona world, so that it chats and remembers.

    memchat train base --preset starter

Read from top to bottom: settings, batches, loss, model, run, save. Short chats come first, then longer ones, with
SQL, tool calls, labels and stories among them; every fact told is asked for, and answers weigh most in the loss,
since everything else in a chat is easier.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from memchat.data.tasks.labels import labels_task
from memchat.data.tasks.notes import notes_task
from memchat.data.tasks.sql import sql_task
from memchat.data.tasks.stories import stories_task
from memchat.data.tasks.tools import tools_task
from memchat.data.world import dialogue
from memchat.data.world.pen import Dialogue, Line, capital
from memchat.errors import UsageError, unknown
from trainers.card import write_card
from trainers.loop import Batch, LoopConfig, train
from trainers.optim import muon_and_adamw
from trainers.recall import Question, measure, questions
from trainers.settings import apply
from trainers.tokenizer import Span, encode_lines, train_tokenizer

# What a token of each kind of line weighs in the loss; lines of the user and the system are read, hardly predicted.
# A slip is what the assistant must not learn to say, a story what nobody can foresee.
WEIGHTS = {"answer": 1.0, "unknown": 1.0, "echo": 0.5, "talk": 0.5, "ack": 0.2, "story": 0.1, "slip": 0.0}
USER_WEIGHT = 0.05
FOCUS = 8.0
"""How much more the values in a line weigh, and the first token of an answer, with which it is decided whether the
value is known at all: the rest of an answer follows from the question and is learnt in no time."""

SPELLING = (sql_task, tools_task, labels_task, stories_task)
"""Tasks with words and signs that chats have not; the tokenizer learns from them too."""

TASKS = (*SPELLING, notes_task)
"""What the model learns beside chatting, in equal parts."""

Row = tuple[list[int], list[float]]  # token ids of a chat, and what predicting each of them weighs


@dataclass
class BaseConfig:
    """Settings of the base recipe."""

    vocabulary: int = 2048
    hidden: int = 192
    layers: int = 6
    heads: int = 6
    kv_heads: int = 2
    intermediate: int = 512
    context: int = 1024  # positions
    batch_tokens: int = 4096  # padded tokens in a batch
    short_share: float = 0.2  # share of the run with short chats only
    ramp: float = 0.3  # share of the run in which they grow to the longest
    longest: int = 2300  # characters of the longest chats that are trained often, about 750 tokens,
    full: float = 0.2  # and how often, among those that are not short, a chat is longer still and fills the context
    tasks_from: float = 0.25  # share of the run after which other tasks come in between,
    tasks: float = 0.26  # and the share of their batches
    doubt_from: float = 0.8  # share of the run after which questions about things never told are frequent,
    doubt: float = 0.4  # and how frequent: learnt before recall, "I do not know" would be the answer to everything
    muon_lr: float = 0.02
    adamw_lr: float = 3e-3
    weight_decay: float = 0.1
    tokenizer_chats: int = 4000
    tokenizer_tasks: int = 400  # of each other task
    test_probes: int = 500
    loop: LoopConfig = field(default_factory=LoopConfig)


# More of everything for a model that has been through `starter`: about 14 M tokens, an hour and a half.
_MORE: dict[str, Any] = {
    "steps": 3700,
    "eval_every": 250,
    "save_every": 50,
    "warmup": 0.03,
    "decay": 0.97,
    "muon_lr": 0.006,
    "adamw_lr": 8e-4,
    "short_share": 0.0,
    "ramp": 0.0,
    "tasks_from": 0.0,
    "tasks": 0.15,
    "doubt_from": 0.0,
    "doubt": 0.35,
}

# One core of a laptop-class CPU trains on about 2.4 thousand tokens/s.
PRESETS: dict[str, dict[str, Any]] = {
    # The shipped model: about 12 M tokens, an hour and a half there; `more` and `polish` were run on it.
    "starter": {"steps": 3000, "eval_every": 250, "save_every": 50},
    "more": _MORE,
    # A gentle last pass over a model that has been through `more`, with longer chats: about 11 M tokens, an hour.
    "polish": _MORE | {"steps": 2800, "muon_lr": 0.005, "adamw_lr": 6e-4, "doubt": 0.2, "full": 0.4},
    # Chats alone: about 5 M tokens, half an hour.
    "quick": {"steps": 1200, "eval_every": 200, "save_every": 100, "tasks": 0.0},
}


def preset(name: str) -> BaseConfig:
    """The settings of a preset."""
    if name not in PRESETS:
        raise unknown("preset", name, list(PRESETS))
    config = BaseConfig()
    apply(config, PRESETS[name])
    return config


class ChatBatches:
    """Numbered batches of chats of about one length each; `[index]` depends on seed and index alone."""

    def __init__(self, config: BaseConfig, tokenizer: Any) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.total = config.loop.steps * config.loop.accumulate

    def size(self, index: int, rng: Random) -> int:
        """Characters of the chats in a batch: short at first, then up to the longest; a few fill the context."""
        done = index / max(1, self.total)
        grown = (done - self.config.short_share) / self.config.ramp if self.config.ramp else 1.0
        ramp = min(1.0, max(0.0, grown))
        longest = 600 + ramp * (self.config.longest - 600)
        if rng.random() < 0.3:
            return rng.randint(100, 600)
        if ramp == 1.0 and rng.random() < self.config.full:
            return rng.randint(self.config.longest, round(self.config.longest * 1.4))
        return round(rng.uniform(250, longest))

    def maker(self, index: int, rng: Random) -> Callable[[], Dialogue]:
        """What writes the chats of a batch: the persona world most of the time, one of the other tasks else."""
        done, size = index / max(1, self.total), self.size(index, rng)
        if done >= self.config.tasks_from and rng.random() < self.config.tasks:
            task = rng.choice(TASKS)
            return lambda: task("train", rng, min(size, 1200))
        unknown = self.config.doubt if done >= self.config.doubt_from else 0.15
        return lambda: dialogue("train", rng, size, unknown)

    def __getitem__(self, index: int) -> Batch:
        rng = Random(f"chats {self.config.loop.seed} {index}")
        make, chats, made = self.maker(index, rng), [], 0
        while made < 2 * self.config.batch_tokens:
            chats.append(self.encode(make()))
            made += len(chats[-1][0])
        rows = self.fit(sorted(chats, key=lambda chat: len(chat[0])), rng)
        longest = len(rows[-1][0])
        ids = torch.full((len(rows), longest), self.tokenizer.pad_token_id)
        weights = torch.zeros(len(rows), longest)
        for i, (tokens, weight) in enumerate(rows):
            ids[i, : len(tokens)] = torch.tensor(tokens)
            weights[i, : len(tokens)] = torch.tensor(weight)
        return {"input_ids": ids, "weights": weights}

    def fit(self, chats: list[Row], rng: Random) -> list[Row]:
        """Neighbours in length that fill one batch: less padding than whatever comes first."""
        end = rng.randint(len(chats) // 2, len(chats))
        room = max(1, self.config.batch_tokens // len(chats[end - 1][0]))
        return chats[max(0, end - room) : end]

    def encode(self, chat: Dialogue) -> Row:
        """Token ids of one chat and the weight of predicting each of them."""
        lines, ids, weights = chat.lines, [self.tokenizer.bos_token_id], [0.0]
        parts = encode_lines(self.tokenizer, ((line.role, line.text) for line in lines))
        for line, (part, spans) in zip(lines, parts, strict=True):
            weight = WEIGHTS[line.kind] if line.role == "assistant" else USER_WEIGHT if line.role == "user" else 0.0
            ids += part
            weights.append(0.0)
            first = line.kind in ("answer", "unknown")
            weights += [weight * FOCUS if hit else weight for hit in focus(line, spans[1:], first)]
        return ids[: self.config.context], weights[: self.config.context]


def focus(line: Line, spans: Sequence[Span], first: bool) -> list[bool]:
    """Which of a line's tokens are those of its values, or its `first`."""
    text = line.text.strip()
    forms = [form for value in line.values if value for form in (value, capital(value)) if form in text]
    held = [(text.index(form), text.index(form) + len(form)) for form in forms]
    hits = [any(a < end and start < b for start, end in held) for a, b in spans]
    return [True, *hits[1:]] if first else hits


def chat_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Weighted mean cross entropy of the next token; input_ids and weights are (B, T). Padding weighs nothing."""
    ids, weights = batch["input_ids"], batch["weights"][:, 1:]
    logits = model(input_ids=ids, use_cache=False).logits[:, :-1]  # (B, T - 1, V)
    losses = F.cross_entropy(logits.flatten(0, 1).float(), ids[:, 1:].flatten(), reduction="none").view_as(weights)
    return (losses * weights).sum() / weights.sum()


def build_tokenizer(config: BaseConfig) -> Any:
    """Learn the tokenizer from the training split alone: chats, and a few of each other task."""
    seed = config.loop.seed
    chats = (dialogue("train", Random(f"tokenizer {seed} {i}"), 900) for i in range(config.tokenizer_chats))
    numbers = range(config.tokenizer_tasks)
    others = (task("train", Random(f"tokenizer {seed} {i}"), 900) for i in numbers for task in SPELLING)
    texts = chain.from_iterable((line.text for line in chat.lines) for chat in chain(chats, others))
    return train_tokenizer(texts, config.vocabulary, config.context)


def build_model(config: BaseConfig, tokenizer: Any) -> Any:
    """A Llama with random weights in the recipe's shape."""
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    torch.manual_seed(config.loop.seed)
    tokens = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    shape = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=config.hidden, intermediate_size=config.intermediate,
        num_hidden_layers=config.layers, num_attention_heads=config.heads, num_key_value_heads=config.kv_heads,
        max_position_embeddings=config.context, tie_word_embeddings=True, attention_bias=False, **tokens,
    )  # fmt: skip
    model = LlamaForCausalLM(shape)
    model.generation_config = GenerationConfig(do_sample=False, max_new_tokens=64, **tokens)
    return model


def load(folder: Path) -> tuple[Any, Any]:
    """A model that an earlier run made, in fp32, and its tokenizer.

    Raises:
        UsageError: there is none in the folder.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder} holds no model", "Give the folder that an earlier `memchat train base` made.")
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def run(
    config: BaseConfig, out: Path, *, command: str = "memchat train base", resume: bool = False,
    model_folder: Path | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train, evaluate on unseen values and sentences, and save a transformers folder to `out`. Returns the scores.

    Args:
        command: the command line that does this run again; it goes into the card.
        model_folder: a model to go on with, shape and tokenizer included; None begins with random weights.

    Raises:
        UsageError: settings that do not fit, or no model in the folder.
    """
    check(config)
    quiet()
    if model_folder:
        model, tokenizer = load(model_folder)
        shape = {"hidden": "hidden_size", "layers": "num_hidden_layers", "heads": "num_attention_heads"}
        shape |= {"kv_heads": "num_key_value_heads", "intermediate": "intermediate_size", "vocabulary": "vocab_size"}
        apply(config, {ours: getattr(model.config, theirs) for ours, theirs in shape.items()})
    else:
        tokenizer = build_tokenizer(config)
        model = build_model(config, tokenizer)
    watched = questions(tokenizer, "valid", 100, (200, 1200))

    def evaluate(trained: nn.Module, step: int) -> dict[str, float]:
        scores = measure(trained, tokenizer, watched)["scores"]
        return {f"recall {kind}": part["accuracy"] for kind, part in scores.items() if kind in ("fact", "abstain")}

    progress = train(
        model, muon_and_adamw(model, config.muon_lr, config.adamw_lr, config.weight_decay),
        ChatBatches(config, tokenizer), chat_loss, config.loop, out,
        evaluate=evaluate, resume=resume, settings=settings(config),
    )  # fmt: skip
    save(model, tokenizer, out)
    if model_folder:
        keep_history(model_folder, out)
    scores = final_scores(out, tokenizer, config)
    write_card(out, config.loop.seed, command, settings(config), asdict(progress), model.num_parameters(), scores)
    (out / "checkpoint.pt").unlink(missing_ok=True)
    return scores


def quiet() -> None:
    """No progress bars of transformers' own for files this small."""
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()


def settings(config: BaseConfig) -> dict[str, Any]:
    """The recipe's own settings, without the loop's."""
    return {name: value for name, value in asdict(config).items() if name != "loop"}


def check(config: BaseConfig) -> None:
    """Refuse shapes that cannot be built."""
    if config.hidden % (2 * config.heads) or config.heads % config.kv_heads:
        remedy = "hidden must be an even multiple of heads, and heads a multiple of kv_heads."
        raise UsageError(f"hidden={config.hidden}, heads={config.heads}, kv_heads={config.kv_heads} do not fit", remedy)
    if config.vocabulary < 300:
        raise UsageError(
            f"vocabulary={config.vocabulary} is too small", "Bytes and roles alone need 263; give 300 or more."
        )


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """A standard transformers folder with bf16 weights."""
    model.to("cpu", torch.bfloat16).save_pretrained(out)
    tokenizer.save_pretrained(out)
    for path in out.glob("*.safetensors"):
        path.chmod(0o644)  # the writer makes them private, which an installed model must not be


def keep_history(model_folder: Path, out: Path) -> None:
    """Keep how the model came about before this run in `before`, and what came before that in `before/before`."""
    if (model_folder / "before").is_dir():
        shutil.copytree(model_folder / "before", out / "before" / "before", dirs_exist_ok=True)
    for name in ("run.json", "training.jsonl", "curve.svg", "card.md"):
        if (model_folder / name).is_file():
            (out / "before").mkdir(exist_ok=True)
            shutil.copyfile(model_folder / name, out / "before" / name)


def final_scores(out: Path, tokenizer: Any, config: BaseConfig) -> dict[str, Any]:
    """Recall of the saved model, read back from disk, on short and long chats of the validation and test splits."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    if torch.cuda.is_available():
        model = model.cuda()
    n = config.test_probes
    sets: dict[str, list[Question]] = {
        "valid": questions(tokenizer, "valid", n, (200, 1600)),
        "test": questions(tokenizer, "test", n, (200, 1600)),
        "test, long chats": questions(tokenizer, "test", n // 2, (1600, 2100)),
    }
    scores = {name: measure(model, tokenizer, asked)["scores"] for name, asked in sets.items()}
    (out / "metrics.json").write_text(json.dumps(scores, indent=2) + "\n")
    return scores

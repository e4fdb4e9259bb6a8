"""Stage `rl` of the SQL recipe with TRL's GRPOTrainer in place of the loop of this project (extra `memchat[trl]`).

    memchat train sql --agent storage --stage rl --trl

The episodes, the rewards, the evaluation and the files of a run are the recipe's own; sampling, advantages, loss and
steps are TRL's. What differs by default is set to what `trainers.sql` does. TRL has no trainers `expert` and `loo`.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from transformers.trainer_callback import PrinterCallback, TrainerCallback

from memchat.errors import MemchatError, UsageError
from trainers import sql as recipe
from trainers.card import made_by
from trainers.curve import write_curve
from trainers.loop import precision, schedule
from trainers.report import Report
from trainers.run import Progress, Run, read_log
from trainers.sql_cases import Episode, Episodes

CHECKPOINTS = "trl"
"""Folder of TRL's own checkpoints, until the run is done."""


def library() -> Any:
    """TRL itself.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import datasets  # noqa: F401
        import trl
    except ImportError as error:
        raise UsageError("--trl needs the library trl", "Run `pip install memchat[trl]`.") from error
    return trl


def grpo_config(config: recipe.SqlConfig, out: Path) -> Any:
    """TRL's GRPOConfig that does what `config` does with `trainer=group`; what TRL would do by itself stands behind.

    Raises:
        UsageError: TRL is not installed, or its trainer is no other name for these settings.
    """
    recipe.check(config)
    if (config.stage, config.trainer) != ("rl", "group"):
        raise UsageError("TRL's trainer is that of --stage rl with trainer=group", "Leave out --trl.")
    loop, number = config.loop, precision(config.loop.precision)
    return library().GRPOConfig(
        output_dir=str(out / CHECKPOINTS),
        max_steps=loop.steps,
        per_device_train_batch_size=config.prompts * config.samples,  # TRL counts answers; 8
        gradient_accumulation_steps=loop.accumulate,
        num_generations=config.samples,
        max_completion_length=recipe.NEW_TOKENS[config.agent],  # 512
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        learning_rate=config.lr,  # 1e-6
        lr_scheduler_type="constant",  # linear; `train_with_trl` gives the loop's schedule instead
        adam_beta1=0.9,
        adam_beta2=0.95,  # 0.999
        weight_decay=0.0,
        max_grad_norm=loop.clip,
        beta=config.beta,  # 0: no reference
        use_bias_correction_kl=False,  # True: the KL is weighted with the ratio
        epsilon=config.clip_ratio,
        epsilon_high=config.clip_ratio,
        loss_type="bnpo",  # dapo; this is the mean over the tokens of each batch
        scale_rewards="group",
        num_iterations=1,
        mask_truncated_completions=False,
        disable_dropout=False,
        shuffle_dataset=False,  # True
        chat_template_kwargs={"enable_thinking": False},
        gradient_checkpointing=False,  # True
        bf16=number == "bf16",  # True
        fp16=number == "fp16",
        use_cpu=not (torch.cuda.is_available() or torch.backends.mps.is_available()),  # else bf16 is refused there
        seed=loop.seed,  # 42
        logging_steps=loop.log_every,
        save_steps=loop.save_every,
        save_total_limit=1,
        dataloader_num_workers=loop.workers,
        report_to=loop.trackers or "none",
        disable_tqdm=True,
    )


def train_with_trl(
    config: recipe.SqlConfig, model_id: str, out: Path, *, command: str = "memchat train sql --trl",
    resume: bool = False, adapter: Path | None = None,
) -> dict[str, float]:  # fmt: skip
    """Train one agent's adapter with TRL and save it to `out`: the counterpart of `trainers.sql.run`.

    Raises:
        UsageError: TRL is not installed, settings that do not fit, or no adapter in the folder.
        MemchatError: an unfinished run is in the way, there is none to resume, or this one was interrupted.
    """
    args, trl = grpo_config(config, out), library()
    check_folder(out, resume)
    loaded = recipe.load_model(model_id)
    episodes = Episodes(config.agent, loaded.tokenizer, seed=config.loop.seed, count=config.prompts, size=config.size)
    if not episodes.template.has_template:
        raise UsageError(f"{model_id} has no chat template, which TRL needs", "Leave out --trl.")
    model = attach(loaded.model, config, adapter)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.lr, betas=(0.9, 0.95), weight_decay=0.0)
    rates = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, config.loop))
    loss = recipe.Reinforce(config, episodes)
    count = config.loop.steps * config.loop.accumulate * args.world_size
    trainer = trl.GRPOTrainer(
        model, rewards(loss), args, dataset(episodes, count),
        processing_class=loaded.tokenizer, optimizers=(optimizer, rates),
    )  # fmt: skip
    if "ref" in model.peft_config:  # a copy of the adapter; the reference is to be the model without it
        model.delete_adapter("ref")
    run = Run(config.loop, {**recipe.settings(config), "trl": trl.__version__}, out, trainer.accelerator)
    if not resume:
        run.start(resume=False)
    keeper = recipe.Keeper(model, out, config.stage, resume)
    with Report(config.loop.steps, 0, run.main) as report, stoppable(out):
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(Watch(run, report, keeper, loss))
        trainer.train(resume_from_checkpoint=resume)
    best = keeper.finish(loaded, config, made_by(command, asdict(run.progress), adapter))
    write_curve(run.log_path, out / "curve.svg")
    shutil.rmtree(out / CHECKPOINTS)
    return best


def check_folder(out: Path, resume: bool) -> None:
    """Refuse to resume nothing, and to begin where an unfinished run lies."""
    unfinished = any((out / CHECKPOINTS).glob("checkpoint-*"))
    if resume and not unfinished:
        raise MemchatError(f"no checkpoint of TRL in {out}", "Start without --resume.")
    if unfinished and not resume:
        remedy = f"Continue it with --resume, choose another --out, or delete the folder {CHECKPOINTS} there."
        raise MemchatError(f"an unfinished run lies in {out}", remedy)


@contextmanager
def stoppable(out: Path) -> Any:
    """One line for Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        kept = any((out / CHECKPOINTS).glob("checkpoint-*"))
        what = "the last checkpoint is kept" if kept else "there was no checkpoint yet"
        raise MemchatError(f"stopped; {what}", "Run the same command with --resume." if kept else "") from None


def attach(model: Any, config: recipe.SqlConfig, adapter: Path | None) -> Any:
    """The model with its adapter in the form that TRL knows: peft's own wrapper."""
    from peft import PeftModel, get_peft_model

    wrapped: Any
    if adapter is not None:
        recipe.check_adapter(adapter)
        wrapped = PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
    else:
        wrapped = get_peft_model(model, recipe.lora(config))
    wrapped.create_or_update_model_card = lambda folder: None  # the run writes a card of its own
    return wrapped


def dataset(episodes: Episodes, count: int) -> Any:
    """The prompts of so many batches, each with the number of its batch and its place there."""
    from datasets import Dataset

    rows = [
        {"prompt": messages(episodes, case), "batch": number, "place": place}
        for number in range(count)
        for place, case in enumerate(episodes.batch_of(number))
    ]
    return Dataset.from_list(rows)


def messages(episodes: Episodes, case: Episode) -> list[dict[str, str]]:
    """An episode's prompt as messages, of which TRL makes the tokens that `Episodes.prompt` gives."""
    if episodes.template.has_system:
        return [{"role": "system", "content": case.system}, {"role": "user", "content": case.text}]
    return [{"role": "user", "content": f"{case.system}\n\n{case.text}"}]


def rewards(loss: recipe.Reinforce) -> Callable[..., list[float]]:
    """The recipe's rewards as TRL calls them."""
    tokenizer, episodes = loss.episodes.tokenizer, loss.episodes

    def reward(completion_ids: list[list[int]], batch: list[int], place: list[int], **_: Any) -> list[float]:
        drawn = {number: episodes.batch_of(number) for number in set(batch)}
        cases = [drawn[number][i] for number, i in zip(batch, place, strict=True)]
        texts = [text.strip() for text in tokenizer.batch_decode(completion_ids, skip_special_tokens=True)]
        cut = [tokenizer.eos_token_id not in ids for ids in completion_ids]
        answers: Any = SimpleNamespace(texts=texts, truncated=cut)
        return [found.total for found in loss.rewards(cases, answers)]

    return reward


class Watch(TrainerCallback):
    """Writes the log, scores the checkpoints and moves the bar, as the project's own loop does."""

    def __init__(self, run: Run, report: Report, keeper: recipe.Keeper, loss: recipe.Reinforce) -> None:
        self.run, self.report, self.keeper, self.loss, self.started = run, report, keeper, loss, 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After a resumption the clock goes on, and what was logged behind the checkpoint is dropped."""
        kept = [line for line in read_log(self.run.log_path) if line["step"] <= state.global_step]
        self.started = time.perf_counter() - max((line.get("seconds", 0.0) for line in kept), default=0.0)
        if self.run.main:
            self.run.log_path.write_text("".join(json.dumps(line) + "\n" for line in kept))

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        """Score the adapter where that is due."""
        config, step = self.loss.config, state.global_step
        self.run.progress = Progress(step, int(state.num_input_tokens_seen), time.perf_counter() - self.started)
        self.report.bar.update(self.report.task, completed=step)
        if step % config.loop.eval_every and step < config.loop.steps:
            return
        found = recipe.measure(self.run.accelerator.unwrap_model(model), self.loss.episodes, config)
        self.keeper.keep(step, found)
        found |= {name: sum(values) / len(values) for name, values in self.loss.figures.items() if values}
        self.loss.figures.clear()
        self.run.log(**found)
        self.report.scores(step, found)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """A line of the log for each of TRL's; its last one, of the whole run, is left out."""
        if "loss" in logs:
            names = {"loss": "loss", "learning_rate": "lr", "kl": "kl", "entropy": "entropy"}
            figures = {ours: float(logs[theirs]) for theirs, ours in names.items() if theirs in logs}
            self.run.log(**figures, tokens=self.run.progress.tokens, seconds=self.run.progress.seconds)

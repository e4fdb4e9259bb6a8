"""Stage `rl` with TRL: the settings, the prompts, the advantages and the loss are those of this project's own loop."""

from __future__ import annotations

import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from memchat.errors import MemchatError, UsageError
from trainers import policy, sql_trl
from trainers import sql as recipe
from trainers.run import read_log
from trainers.settings import apply
from trainers.sql_rewards import Reward

needs_trl = pytest.mark.skipif(find_spec("trl") is None or find_spec("datasets") is None, reason="trl is not installed")

TINY = {"prompts": 2, "samples": 4, "probes": 4, "rank": 4, "eval_every": 2, "save_every": 1, "size": 300,
        "log_every": 1, "precision": "no", "steps": 2}  # fmt: skip
REWARDS = [1.1, 0.4, -0.3, 0.4, 0.7, 0.7, 0.7, 0.7]


def config(**more: Any) -> recipe.SqlConfig:
    made = recipe.preset("quick", "rl")
    apply(made, {**TINY, **more})
    return made


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tests.test_train_base import tiny
    from trainers.base import build_tokenizer

    return build_tokenizer(tiny())


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A random model in a folder, as `memchat train base` leaves one."""
    from tests.test_train_base import tiny
    from trainers.base import build_model, save

    folder = tmp_path_factory.mktemp("small")
    save(build_model(tiny(), tokenizer), tokenizer, folder)
    return folder


@pytest.fixture
def trainers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """TRL's trainers as they are made, which also keep the prompts that they sampled answers to."""
    import trl

    made: list[Any] = []

    class Spy(trl.GRPOTrainer):
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self.asked: list[list[int]] = []
            made.append(self)

        def _generate_single_turn(self, prompt_ids: Any, *args: Any, **more: Any) -> Any:
            self.asked += [list(ids) for ids in prompt_ids]
            return super()._generate_single_turn(prompt_ids, *args, **more)

    monkeypatch.setattr(trl, "GRPOTrainer", Spy)
    monkeypatch.setitem(recipe.NEW_TOKENS, "storage", 8)
    return made


@pytest.fixture
def varied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewards in which the answers of a random model differ: it writes no SQL, so its own are all alike."""

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        return [sum(ids) % 11 / 10 for ids in completion_ids]

    monkeypatch.setattr(sql_trl, "rewards", lambda loss: reward)


def test_a_missing_library_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(UsageError, match=r"needs the library trl\. Run `pip install memchat\[trl\]`"):
        sql_trl.train_with_trl(config(), "starter", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_trl_does_not_have_is_refused(tmp_path: Path) -> None:
    distil = recipe.preset("quick", "distil")
    for wrong in (distil, config(trainer="loo"), config(trainer="expert"), config(samples=1)):
        with pytest.raises(UsageError):
            sql_trl.grpo_config(wrong, tmp_path)


def test_the_command_hands_stage_rl_to_trl(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from memchat.cli.train import app

    told: list[tuple[str, str]] = []

    def trained(config: recipe.SqlConfig, model: str, out: Path, *, command: str, **_: Any) -> dict[str, float]:
        told.append((config.stage, command))
        return {"score": 0.5}

    monkeypatch.setattr(sql_trl, "train_with_trl", trained)
    words = ["sql", "--agent", "storage", "--stage", "rl", "--adapter", str(tmp_path), "--out", str(tmp_path), "--trl"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0 and "score: 0.500" in result.stdout
    assert told == [("rl", "memchat train sql --agent storage --stage rl --model starter --preset starter --trl")]


@needs_trl
def test_every_setting_is_mapped(tmp_path: Path) -> None:
    more = {"prompts": 3, "samples": 5, "lr": 3e-4, "beta": 0.07, "clip_ratio": 0.3, "steps": 7, "accumulate": 2,
            "clip": 0.5, "seed": 9, "log_every": 4, "save_every": 3, "workers": 0, "agent": "retrieval"}  # fmt: skip
    made = sql_trl.grpo_config(config(**more), tmp_path)
    wanted = {
        "output_dir": str(tmp_path / "trl"), "max_steps": 7, "per_device_train_batch_size": 15,
        "gradient_accumulation_steps": 2, "steps_per_generation": 2, "num_generations": 5, "num_iterations": 1,
        "max_completion_length": recipe.NEW_TOKENS["retrieval"], "temperature": 1.0, "top_p": 1.0, "top_k": 0,
        "min_p": None, "repetition_penalty": 1.0, "learning_rate": 3e-4, "adam_beta1": 0.9, "adam_beta2": 0.95,
        "weight_decay": 0.0, "max_grad_norm": 0.5, "beta": 0.07, "use_bias_correction_kl": False, "epsilon": 0.3,
        "epsilon_high": 0.3, "delta": None, "loss_type": "bnpo", "scale_rewards": "group",
        "importance_sampling_level": "token", "multi_objective_aggregation": "sum_then_normalize",
        "mask_truncated_completions": False, "entropy_coef": 0.0, "top_entropy_quantile": 1.0, "disable_dropout": False,
        "shuffle_dataset": False, "use_vllm": False, "gradient_checkpointing": False, "bf16": False, "fp16": False,
        "seed": 9, "logging_steps": 4, "save_steps": 3, "save_total_limit": 1, "dataloader_num_workers": 0,
        "report_to": [], "remove_unused_columns": False,
    }  # fmt: skip
    assert {name: getattr(made, name) for name in wanted} == wanted
    assert sql_trl.grpo_config(config(precision="bf16"), tmp_path).bf16
    # What is not mapped has no meaning for this trainer: a new setting of the recipe must be thought of here.
    left = [
        "stage",
        "teacher",
        "trainer",
        "rank",
        "alpha",
        "dropout",
        "low",
        "high",
        "replay",
        "size",
        "probes",
        "noise",
    ]
    mapped = ["agent", "lr", "prompts", "samples", "beta", "clip_ratio", "loop"]
    assert {field.name for field in fields(recipe.SqlConfig)} == {*left, *mapped}


def answered(episodes: Any, cases: list[Any], answers: list[str]) -> policy.Samples:
    """Prompts with answers as both trainers sample them: answers begin in one column and are padded at the right."""
    ids, attention = episodes.padded([episodes.prompt(case) for case in cases])
    said = [torch.tensor([*episodes.tokenizer.encode(t), episodes.tokenizer.eos_token_id]) for t in answers]
    answer = torch.nn.utils.rnn.pad_sequence(said, batch_first=True, padding_value=episodes.tokenizer.pad_token_id)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(row)) for row in said], batch_first=True)
    whole = torch.cat([attention, mask.long()], 1)
    return policy.Samples(torch.cat([ids, answer], 1), whole, ids.size(1), mask, answers, [False] * len(said))


@needs_trl
def test_advantages_and_loss_are_those_of_the_loop(
    small_model: Path, tmp_path: Path, trainers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step of TRL on given rewards."""
    monkeypatch.setattr(sql_trl, "rewards", lambda loss: lambda completion_ids, **_: REWARDS)
    wanted = config(steps=1, eval_every=1, beta=0.1)
    sql_trl.train_with_trl(wanted, str(small_model), tmp_path / "out")
    (trainer,) = trainers
    grid = torch.tensor(REWARDS).view(2, 4)
    theirs = torch.tensor(list(trainer._logs["advantages"])).view(2, 4)
    ours = policy.advantages(grid, "group")
    torch.testing.assert_close(theirs, ours, rtol=1e-3, atol=1e-6)
    assert ours[1].tolist() == theirs[1].tolist() == [0.0] * 4

    episodes = recipe.Episodes("storage", trainer.processing_class, seed=wanted.loop.seed, count=2, size=wanted.size)
    cases = episodes.batch_of(0)
    assert trainer.asked == [episodes.prompt(case) for case in cases for _ in range(4)]
    samples = answered(episodes, [case for case in cases for _ in range(4)], ["NOOP", "SELECT 1;", "x y z", ""] * 2)
    model, advantage = trainer.model.eval(), ours.flatten()
    now = policy.log_probs(model, samples)
    with torch.no_grad(), model.disable_adapter():
        reference = policy.log_probs(model, samples)
    assert not torch.equal(now, reference), "the adapter has moved"
    value, _ = policy.loss(now, now.detach(), reference, advantage, samples.mask, clip=wanted.clip_ratio, beta=0.1)
    batch = {
        "prompt_ids": samples.ids[:, : samples.prompt], "prompt_mask": samples.attention[:, : samples.prompt],
        "completion_ids": samples.ids[:, samples.prompt :], "completion_mask": samples.mask.long(),
        "advantages": advantage, "ref_per_token_logps": reference,
    }  # fmt: skip
    weights = [p for p in model.parameters() if p.requires_grad]
    loss = trainer._compute_loss(model, batch)
    torch.testing.assert_close(loss, value)
    for one, other in zip(torch.autograd.grad(loss, weights), torch.autograd.grad(value, weights), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


@needs_trl
@pytest.mark.usefixtures("varied")
def test_the_reference_is_the_model_without_the_adapter_that_distil_made(
    small_model: Path, tmp_path: Path, trainers: list[Any]
) -> None:
    first, one = tmp_path / "first", config(steps=1, eval_every=1, lr=0.05)
    sql_trl.train_with_trl(one, str(small_model), first)
    sql_trl.train_with_trl(one, str(small_model), tmp_path / "out", adapter=first)
    model, plain = trainers[-1].model.eval(), recipe.load_model(str(small_model)).model
    assert list(model.peft_config) == ["default"], "TRL's copy of the adapter is gone"
    ids = torch.tensor([[5, 6, 7]])
    with model.disable_adapter():
        assert torch.equal(model(ids).logits, plain(ids).logits)
    assert not torch.equal(model(ids).logits, plain(ids).logits)
    logs = [read_log(path / "training.jsonl") for path in (first, tmp_path / "out")]
    fresh, going_on = ([line["kl"] for line in log if "kl" in line] for log in logs)
    assert fresh == [0.0] and going_on[0] > 0, "measured from the bare model, not from the adapter it began with"


@needs_trl
def test_a_run_leaves_an_adapter_that_the_memory_finds(
    small_model: Path, trainers: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from memchat.engine import adapters

    told: list[tuple[str, bool]] = []
    counted = recipe.Reinforce.rewards

    def heard(loss: Any, cases: Any, samples: Any) -> list[Reward]:
        told.extend(zip(samples.texts, samples.truncated, strict=True))
        return counted(loss, cases, samples)

    monkeypatch.setattr(recipe.Reinforce, "rewards", heard)
    out = adapters.home("small", "sql_storage")
    figures = sql_trl.train_with_trl(config(steps=4, save_every=3), str(small_model), out)
    assert {path.name for path in out.iterdir()} == {
        "adapter_model.safetensors", "adapter_config.json", "config.json", "card.md", "metrics.json",
        "training.jsonl", "curve.svg", "run.json", "checkpoints",
    }  # fmt: skip
    assert len(list((out / "checkpoints" / "rl").glob("step_*_*"))) == 2
    assert len(told) == 4 * 8 and any(cut for _, cut in told)
    log = read_log(out / "training.jsonl")
    losses, scores = ([line["step"] for line in log if name in line] for name in ("loss", "score"))
    assert losses == [1, 2, 3, 4] and scores == [2, 4]
    assert "reward main" in log[-2] or "reward main" in log[-1]
    assert figures["score"] == max(line["score"] for line in log if "score" in line)
    loaded = recipe.load_model(str(small_model))
    found = adapters.find_adapter("sql_storage", loaded.weight_hash)
    assert found is not None and found.path == out
    with adapters.worn(loaded.model, found):
        loaded.model(torch.tensor([[5, 6, 7]]))


@needs_trl
@pytest.mark.usefixtures("trainers", "varied")
def test_a_resumed_run_is_the_same_run(small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(name: str, *, resume: bool = False) -> None:
        sql_trl.train_with_trl(config(steps=4, lr=0.05), str(small_model), tmp_path / name, resume=resume)

    def left(name: str) -> tuple[list[Any], bytes]:
        log = [
            (line["loss"], line["kl"], line["lr"])
            for line in read_log(tmp_path / name / "training.jsonl")
            if "kl" in line
        ]
        (last,) = (tmp_path / name / "checkpoints" / "rl").glob("step_4_*")
        return log, (last / "adapter_model.safetensors").read_bytes()

    measure, count = recipe.measure, 0

    def interrupted(*args: Any) -> Any:
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return measure(*args)

    run("whole")
    with monkeypatch.context() as patch:
        patch.setattr(recipe, "measure", interrupted)
        with pytest.raises(MemchatError, match="the last checkpoint is kept"):
            run("parts")
    with pytest.raises(MemchatError, match="unfinished run"):
        run("parts")
    run("parts", resume=True)
    assert left("parts") == left("whole")
    log, _ = left("whole")
    assert len(log) == 4 and len({kl for _, kl, _ in log}) == 4, "the adapter moved at each step"
    with pytest.raises(MemchatError, match="no checkpoint"):
        run("parts", resume=True)

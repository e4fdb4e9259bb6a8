"""The recipe of the SQL agents: rewards, policy gradients, adapters that leave the model alone, exact resume."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from memchat.engine.adapters import Adapter, worn
from memchat.errors import MemchatError, UsageError
from memchat.memory.sql.table import Person, Table
from tests.tiny import byte_tokenizer
from trainers import policy
from trainers import sql as recipe
from trainers.run import read_log
from trainers.settings import apply
from trainers.sql_cases import Episodes, fit_to_teach, thinned
from trainers.sql_rewards import retrieval_reward, soft_f1, storage_reward, token_f1

TABLE = Table(
    (Person(1, "user", "Ana"), Person(2, "assistant", "Bo")),
    ("dog", "city"),
    {(1, "dog"): "Rex", (2, "city"): "Lund"},
)
WANTED = {("user", "job"): "baker"}
ADD = "ALTER TABLE users ADD COLUMN job TEXT;\n"
RIGHT = f"{ADD}UPDATE users SET job = 'baker' WHERE relation = 'user';"


def store(text: str, wanted: Any = WANTED, **more: Any) -> Any:
    return storage_reward(text, TABLE, "user", wanted, **more)


def test_storage_rewards_by_hand() -> None:
    assert store(RIGHT).total == pytest.approx(1.0)  # F1 1, valid +0.1, call -0.1
    assert store("NOOP", {}).total == pytest.approx(1.1)
    assert store("NOOP").total == pytest.approx(0.1)
    assert store(RIGHT, {}).total == pytest.approx(0.0)
    assert store(RIGHT, truncated=True).total == pytest.approx(0.75)
    leaked = store(RIGHT.replace("'user'", "'assistant'"))
    assert leaked.leak == 1.0 and leaked.total == pytest.approx(-0.5)
    assert store("UPDATE users SET job = 'baker' WHERE relation = 'user';").total == pytest.approx(0.9), "repaired"
    forgotten = store("UPDATE users SET dog = NULL WHERE relation = 'user';", {("user", "dog"): ""})
    assert forgotten.main == 1.0


def test_a_further_right_cell_raises_the_reward_and_a_leaked_one_lowers_it() -> None:
    wanted = {**WANTED, ("user", "city"): "Oslo"}
    one, both = store(RIGHT, wanted), store(f"{RIGHT}\nUPDATE users SET city = 'Oslo' WHERE relation = 'user';", wanted)
    leaked = store(f"{RIGHT}\nUPDATE users SET city = 'Oslo' WHERE relation = 'assistant';", wanted)
    assert leaked.total < one.total < both.total


@pytest.mark.parametrize("seed", range(20))
def test_the_reward_knows_no_order_and_keeps_its_bounds(seed: int) -> None:
    rng = Random(seed)
    cells = {(rng.choice(("user", "assistant")), rng.choice("abcdef")): rng.choice(("x y", "x", "z")) for _ in range(4)}
    made = {key: rng.choice(("x", "y z", value)) for key, value in cells.items() if rng.random() < 0.7}
    lines = [f"UPDATE users SET {f} = '{v}' WHERE relation = '{who}';" for (who, f), v in made.items()]
    rng.shuffle(lines)
    reward = store("\n".join(lines) or "NOOP", cells)
    rng.shuffle(lines)
    assert store("\n".join(lines) or "NOOP", cells).total == pytest.approx(reward.total)
    assert -1 <= reward.total <= 1.1 and 0 <= soft_f1(made, cells) <= 1
    assert soft_f1(cells, cells) == pytest.approx(1.0)


def test_f1_in_its_corners() -> None:
    assert soft_f1({}, {}) == 1.0 and soft_f1({}, WANTED) == 0.0 == soft_f1(WANTED, {})
    assert soft_f1({("assistant", "job"): "baker"}, WANTED) == 0.0
    assert soft_f1({("user", "work"): "baker"}, WANTED) == pytest.approx(0.5)
    assert token_f1("a b", "b c") == pytest.approx(0.5) and token_f1("", "") == 1.0 and token_f1("a", "") == 0.0


def test_retrieval_rewards_by_hand() -> None:
    wanted = frozenset({(1, "dog")})
    right = "SELECT dog FROM users WHERE relation = 'user';"
    assert retrieval_reward(right, TABLE, wanted).total == pytest.approx(1.1)
    assert retrieval_reward(right, TABLE, wanted, low=2).total == pytest.approx(0.9)
    assert retrieval_reward("NOOP", TABLE, wanted).total == 0.0
    assert retrieval_reward("NOOP", TABLE, frozenset()).total == 1.0
    assert retrieval_reward(right, TABLE, frozenset()).total == pytest.approx(0.9), "a call that was not needed"
    wrong = retrieval_reward("SELECT city FROM users WHERE relation = 'assistant';", TABLE, wanted)
    assert wrong.total == pytest.approx(-0.1), "the bonus is never paid on a wrong answer"
    assert retrieval_reward("DROP TABLE users;", TABLE, wanted).total == pytest.approx(-0.3)
    both = f"{right}\nSELECT city FROM users WHERE relation = 'user';"
    assert retrieval_reward(both, TABLE, wanted, high=1).total == pytest.approx(0.88)


def test_advantages() -> None:
    rewards = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]])
    loo = policy.advantages(rewards, "loo")
    assert loo[0].tolist() == pytest.approx([2 / 3, -2 / 3, -2 / 3, 2 / 3]) and loo[1].tolist() == [0, 0, 0, 0]
    group = policy.advantages(rewards, "group")
    assert group[0].tolist() == pytest.approx([0.866, -0.866, -0.866, 0.866], abs=1e-3)
    assert group[1].tolist() == [0, 0, 0, 0]
    assert policy.advantages(rewards, "expert").tolist() == [[1, 0, 0, 1], [0, 0, 0, 0]]


class Letters:
    """A tokenizer as far as sampling needs one."""

    pad_token_id, eos_token_id = 0, 1

    def batch_decode(self, ids: torch.Tensor, skip_special_tokens: bool) -> list[str]:
        return [" ".join(map(str, row.tolist())) for row in ids]


def toy(**more: Any) -> Any:
    """One layer of Gemma 2, wide enough at the start that replies differ."""
    from transformers import Gemma2Config, Gemma2ForCausalLM

    shape = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "head_dim": 16}
    heads = {
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "pad_token_id": 0,
        "eos_token_id": 1,
        "bos_token_id": 2,
    }
    config = Gemma2Config(**{**shape, **heads, "initializer_range": 0.2, "attn_implementation": "eager", **more})
    return Gemma2ForCausalLM(config).eval()


def drawn(model: Any, copies: int = 4, new: int = 8) -> policy.Samples:
    ids = torch.tensor([[0, 5, 6], [7, 8, 9]])
    return policy.sample(model, Letters(), ids, (ids != 0).long(), copies=copies, new=new)


def test_scores_of_the_answer_alone_equal_those_of_the_whole() -> None:
    torch.manual_seed(0)
    model = toy()
    samples = drawn(model)
    positions = (samples.attention.cumsum(1) - 1).clamp(min=0)
    whole = model(input_ids=samples.ids, attention_mask=samples.attention, position_ids=positions).logits
    scores = whole[:, :-1].float().log_softmax(-1).gather(-1, samples.ids[:, 1:, None]).squeeze(-1)
    torch.testing.assert_close(policy.log_probs(model, samples), scores[:, samples.prompt - 1 :])


def test_what_follows_the_first_end_does_not_count() -> None:
    torch.manual_seed(1)
    samples = drawn(toy(vocab_size=10), copies=16, new=12)
    answers = samples.ids[:, samples.prompt :]
    for row, mask in zip(answers.tolist(), samples.mask.tolist(), strict=True):
        length = row.index(1) + 1 if 1 in row else len(row)
        assert mask == [1.0] * length + [0.0] * (len(row) - length)
    assert samples.truncated == [1 not in row for row in answers.tolist()] and any(samples.truncated)


def lora(model: Any) -> Any:
    from peft import LoraConfig

    model.add_adapter(LoraConfig(r=8, lora_alpha=16, target_modules="all-linear"), adapter_name="agent")
    return model


def test_the_reference_is_the_model_itself_at_first_and_its_weights_never_move() -> None:
    torch.manual_seed(0)
    model = lora(toy())
    samples = drawn(model)
    before = {name: p.clone() for name, p in model.named_parameters() if "lora_" not in name}
    now = policy.log_probs(model, samples)
    with torch.no_grad(), policy.bare(model):
        reference = policy.log_probs(model, samples)
    gain = torch.linspace(-1, 1, samples.ids.size(0))
    value, kl = policy.loss(now, now.detach(), reference, gain, samples.mask, clip=0.2, beta=0.1)
    assert kl == 0.0
    value.backward()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    optimizer.step()
    with torch.no_grad(), policy.bare(model):
        assert torch.equal(policy.log_probs(model, samples), reference)
    assert not torch.equal(policy.log_probs(model, samples), now)
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters() if name in before)


@pytest.mark.parametrize("trainer", ["loo", "group"])
@pytest.mark.parametrize("seed", range(3))
def test_reinforcement_learns(seed: int, trainer: str) -> None:
    """The share of tokens below 16, a quarter by chance, rises to most of them."""
    torch.manual_seed(seed)
    model = lora(toy())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.02)
    means = []
    for _ in range(60):
        samples = drawn(model, copies=16)
        answers = samples.ids[:, samples.prompt :]
        rewards = ((answers < 16) * samples.mask).sum(1) / samples.mask.sum(1)
        means.append(float(rewards.mean()))
        advantage = policy.advantages(rewards.view(2, -1), trainer).flatten()
        now = policy.log_probs(model, samples)
        value, _ = policy.loss(now, now.detach(), None, advantage, samples.mask, clip=0.2, beta=0.0)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
    assert sum(means[-10:]) / 10 > max(0.8, sum(means[:3]) / 3 + 0.3), means


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tests.test_train_base import tiny
    from trainers.base import build_tokenizer

    return build_tokenizer(tiny())


@pytest.mark.parametrize("agent", recipe.AGENTS)
def test_the_worlds_own_sql_earns_the_whole_reward(tokenizer: Any, agent: str) -> None:
    cases = Episodes(agent, tokenizer, seed=0, count=8, size=900).draw("valid", "test", 150)
    for case in cases:
        reward = case.reward(case.sql, False, (1, 12))
        assert reward.main == 1.0 and reward.valid and reward.leak == 0.0, (case.text, case.sql)
        bonus = 0.1 * (bool(case.reads) if agent == "retrieval" else reward.noop)
        assert reward.total == pytest.approx(1.0 + bonus)


def test_a_frozen_teacher_is_believed_only_where_it_can_be_right(tokenizer: Any) -> None:
    cases = Episodes("storage", tokenizer, seed=0, count=8, size=900).draw("train", "teach", 80)
    told = next(case for case in cases if case.sql.startswith("ALTER") and "NULL" not in case.sql)
    line = told.text.rpartition("\n")[2]
    assert fit_to_teach(told, told.sql, line)
    assert not fit_to_teach(told, "NOOP", line)
    assert not fit_to_teach(told, told.sql, "> user: something else")
    other = "assistant" if told.target == "user" else "user"
    swapped = told.sql.replace(f"relation = '{told.target}'", f"relation = '{other}'")
    assert not fit_to_teach(told, swapped, line)


TINY = {"prompts": 2, "samples": 2, "probes": 4, "rank": 4, "eval_every": 2, "save_every": 1, "size": 300,
        "log_every": 1, "precision": "no", "steps": 4}  # fmt: skip


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory, tokenizer: Any) -> Path:
    """A random model in a folder, as `memchat train base` leaves one."""
    from tests.test_train_base import tiny
    from trainers.base import build_model, save

    folder = tmp_path_factory.mktemp("small")
    save(build_model(tiny(), tokenizer), tokenizer, folder)
    return folder


def config(stage: str, **more: Any) -> recipe.SqlConfig:
    made = recipe.preset("quick", stage)
    apply(made, {**TINY, **more})
    return made


@pytest.mark.parametrize("agent", recipe.AGENTS)
def test_lines_with_gaps_keep_their_speaker_and_all_that_the_answer_says(agent: str) -> None:
    cases = Episodes(agent, byte_tokenizer(), seed=2, count=60, size=800).draw("train", "x", 60)
    thin = [thinned(case, 0.9, Random(i)) for i, case in enumerate(cases)]
    assert 15 < sum(a.text != b.text for a, b in zip(cases, thin, strict=True)) < 45, "every second one"
    for case, other in zip(cases, thin, strict=True):
        assert other == replace(case, text=case.text.replace(case.line, other.line)), "the other lines are whole"
        needed = set(re.findall(r"[^\W_]+", case.answer.casefold()))
        kept = [word for word in case.line.casefold().split() if word in needed]
        assert [word for word in other.line.casefold().split() if word in needed] == kept
        assert agent == "retrieval" or other.line.split()[:2] == case.line.split()[:2]
    assert all(thinned(case, 0.0, Random(1)) is case for case in cases)


@pytest.mark.parametrize(
    ("stage", "more"),
    [
        ("distil", {}),
        ("distil", {"teacher": "self"}),
        ("rl", {}),
        ("rl", {"trainer": "loo"}),
        ("rl", {"trainer": "expert"}),
    ],
)
def test_a_run_leaves_an_adapter_that_the_memory_finds(
    small_model: Path, tmp_path: Path, stage: str, more: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from memchat.engine import adapters
    from trainers.sql import NEW_TOKENS

    monkeypatch.setitem(NEW_TOKENS, "storage", 12)
    out = adapters.home("small", "sql_storage")
    recipe.run(config(stage, **more), str(small_model), out)
    assert {"adapter_model.safetensors", "adapter_config.json", "config.json", "card.md", "metrics.json",
            "training.jsonl", "curve.svg", "run.json"} <= {path.name for path in out.iterdir()}  # fmt: skip
    assert len(list((out / "checkpoints" / stage).glob("step_*_*"))) == 2
    loaded = recipe.load_model(str(small_model))
    found = adapters.find_adapter("sql_storage", loaded.weight_hash)
    assert found is not None and found.path == out
    assert found.read("adapter_config.json")["base_model_name_or_path"] == small_model.name
    assert adapters.find_adapter("sql_storage", "another model") is None
    ids = torch.tensor([[5, 6, 7]])
    plain = loaded.model(ids).logits
    with worn(loaded.model, found):
        loaded.model(ids)
    assert torch.equal(loaded.model(ids).logits, plain)


def test_an_adapter_tells_all_the_runs_that_made_it(small_model: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    recipe.run(config("distil"), str(small_model), first, command="the first")
    recipe.run(config("distil", steps=1, eval_every=1), str(small_model), second, command="the second", adapter=first)
    made = json.loads((second / "config.json").read_text())["made"]
    assert [(run["command"], run["steps"]) for run in made] == [("the first", 4), ("the second", 1)]
    card = (second / "card.md").read_text()
    assert card.index("`the first`: 4 steps") < card.index("`the second`: 1 steps")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_twenty_iterations_raise_the_reward(tmp_path: Path) -> None:
    """On the starter without an adapter: rewards rise, and no more cells go to the wrong speaker."""
    made = recipe.preset("starter", "rl")
    apply(made, {"steps": 20, "eval_every": 10, "probes": 100, "lr": 1e-3, "prompts": 16})
    bare = recipe.load_model("starter")
    episodes = recipe.Episodes("storage", bare.tokenizer, seed=made.loop.seed, count=made.prompts, size=made.size)
    before = recipe.measure(bare.model, episodes, made)
    after = recipe.run(made, "starter", tmp_path / "out")
    assert after["reward"] > before["reward"] + 0.05
    assert after["leak"] <= before["leak"]


@pytest.mark.parametrize("stage", recipe.STAGES)
def test_a_resumed_run_is_the_same_run(
    small_model: Path, tmp_path: Path, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainers.sql import NEW_TOKENS

    monkeypatch.setitem(NEW_TOKENS, "storage", 8)
    recipe.run(config(stage), str(small_model), tmp_path / "whole")
    original, count = recipe.policy.log_probs, 0

    def interrupted(*args: Any) -> Any:
        nonlocal count
        count += 1
        if count == (3 if stage == "distil" else 5):
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(recipe.policy, "log_probs", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recipe.run(config(stage), str(small_model), tmp_path / "parts")
    monkeypatch.setattr(recipe.policy, "log_probs", original)
    recipe.run(config(stage), str(small_model), tmp_path / "parts", resume=True)
    logs = [
        [line.get("loss") for line in read_log(tmp_path / name / "training.jsonl") if "loss" in line]
        for name in ("whole", "parts")
    ]
    assert logs[0] == logs[1] and len(logs[0]) == 4


@pytest.mark.parametrize(
    "more", [{"agent": "both"}, {"trainer": "ppo"}, {"teacher": "me"}, {"samples": 1}, {"eval_every": 0}]
)
def test_settings_that_do_not_fit_are_refused(tmp_path: Path, more: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        recipe.run(config("rl", **more), "starter", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_adapter_is_one_line(small_model: Path, tmp_path: Path) -> None:
    loaded = recipe.load_model(str(small_model))
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(MemchatError, match="cannot be used"), worn(loaded.model, Adapter("x", "y", tmp_path, False)):
        pass
    with pytest.raises(UsageError, match="holds no adapter"):
        recipe.set_aside(tmp_path / "nothing")

"""Training speed: both sides of the comparison do the same work, and the command prints what was measured."""

from __future__ import annotations

import json

import pytest
import torch
from typer.testing import CliRunner

from memchat.errors import UsageError
from tests.test_train_base import TINY
from trainers import base
from trainers.settings import apply
from trainers.throughput import STEPS, Duel


def test_the_bare_loop_does_the_same_work(tmp_path):
    """With a constant rate, which is all the bare loop knows, both end with the same weights."""
    config = base.BaseConfig()
    apply(config, {**TINY, "warmup": 0.0, "decay": 0.0})
    tokenizer = base.build_tokenizer(config)
    model, batches = base.build_model(config, tokenizer), base.ChatBatches(config, tokenizer)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    duel = Duel(model, batches, config, repeats=1)
    duel.run(tmp_path)
    ends = duel.bare.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, ends[name], rtol=1e-5, atol=1e-6)
        assert not torch.equal(value, start[name])
    used = [number * batches.total // (2 * STEPS) for number in range(2 * STEPS)]  # from all parts of a run
    assert sum(pair.tokens for pair in duel.pairs) == sum(batches[number]["input_ids"].numel() for number in used)
    assert all(0 < pair.making < pair.loop and pair.bare > 0 for pair in duel.pairs)


def speed(*args: str):
    from memchat.cli.evaluate import app

    changes = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
    return CliRunner().invoke(app, ["speed", "--training", *changes, *args])


def test_the_command_prints_json_and_a_table():
    result = speed("--repeats", "3", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["repeats"], found["batch_tokens"], found["steps"]) == (3, 512, STEPS)
    assert found["parameters"] < 100_000
    for name in ("ratio", "making_ratio"):
        low, high = found[f"{name}_range"]
        assert 0 < low <= found[name] <= high
    table = speed("--repeats", "1").stdout
    assert all(text in table for text in ("bare PyTorch loop", "making batches", "1 pairs of 3 steps"))


@pytest.mark.parametrize("args", [("--startup",), ("--model", "starter"), ("--set", "hiddn=3"), ("--set", "heads=5")])
def test_what_does_not_fit_is_said(args: tuple[str, ...]):
    assert isinstance(speed(*args).exception, UsageError)

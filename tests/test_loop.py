"""The training loop: exact resume, interruption, schedule, accumulation, log, curve."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from memchat.errors import MemchatError, UsageError
from trainers.curve import BOTTOM, HEIGHT, TOP, write_curve
from trainers.loop import LoopConfig, precision, schedule, train
from trainers.optim import muon_and_adamw
from trainers.run import read_log
from trainers.settings import apply, read_file, read_pairs


class Numbers:
    """Batches for a toy regression, each made from its number."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        self.asked.append(index)
        generator = torch.Generator().manual_seed(index)
        x = torch.randn(8, 6, generator=generator)
        return {"input_ids": x, "wanted": x.sin()}


def toy() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 6))


def squared(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return (model(batch["input_ids"]) - batch["wanted"]).square().mean()


def config(**changes) -> LoopConfig:
    return LoopConfig(**{"steps": 12, "log_every": 1, "save_every": 5, "precision": "no", "seed": 4, **changes})


def fit(out: Path, loss=squared, resume: bool = False, **changes) -> nn.Module:
    model = toy()
    train(model, muon_and_adamw(model, 0.02, 0.01, 0.1), Numbers(), loss, config(**changes), out, resume=resume)
    return model


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_log(out / "training.jsonl")]


def test_an_interrupted_run_continues_the_same_curve(tmp_path):
    whole = fit(tmp_path / "whole")
    calls = 0

    def breaks(model, batch):
        nonlocal calls
        calls += 1
        if calls == 9:
            raise RuntimeError("power cut")
        return squared(model, batch)

    with pytest.raises(RuntimeError):
        fit(tmp_path / "parts", breaks)
    assert len(losses(tmp_path / "parts")) == 8  # three of them after the checkpoint at step 5
    resumed = fit(tmp_path / "parts", resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    for a, b in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_saves_a_checkpoint_and_says_how_to_resume(tmp_path, kind):
    fit(tmp_path / "whole")
    calls = 0

    def pressed(model, batch):
        nonlocal calls
        calls += 1
        if calls == 4:
            os.kill(os.getpid(), kind)
        return squared(model, batch)

    before = signal.getsignal(kind)
    with pytest.raises(MemchatError) as caught:
        fit(tmp_path / "parts", pressed)
    assert signal.getsignal(kind) is before
    assert "step 4 of 12" in caught.value.message
    assert "--resume" in caught.value.remedy
    fit(tmp_path / "parts", resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")


def test_resume_refuses_another_plan_and_a_missing_checkpoint(tmp_path):
    with pytest.raises(MemchatError, match="no checkpoint"):
        fit(tmp_path / "none", resume=True)
    fit(tmp_path / "run")
    with pytest.raises(MemchatError, match="seed=4"):
        fit(tmp_path / "run", resume=True, seed=5)


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    saved, real = [], torch.save

    def full_disk(state, file):
        if saved:
            file.write(b"half")
            raise OSError(28, "No space left on device")
        real(state, file)
        saved.append(state["progress"]["step"])

    monkeypatch.setattr(torch, "save", full_disk)
    with pytest.raises(MemchatError, match="No space left"):
        fit(tmp_path)
    monkeypatch.undo()
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert saved == [state["progress"]["step"]] == [5]


def test_an_unfinished_run_is_not_lost(tmp_path):
    fit(tmp_path)
    with pytest.raises(MemchatError, match="unfinished run"):
        fit(tmp_path)


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MemchatError, match="cannot write"):
        fit(tmp_path / "file" / "run")


def test_accumulation_takes_the_right_batches_and_averages(tmp_path):
    model, batches = toy(), Numbers()
    train(model, muon_and_adamw(model, 0.02, 0.01, 0.1), batches, squared, config(steps=3, accumulate=2), tmp_path)
    assert batches.asked == list(range(6))
    assert read_log(tmp_path / "training.jsonl")[-1]["tokens"] == 6 * 48

    def mean(parts: int) -> list[torch.Tensor]:
        torch.manual_seed(2)
        linear = nn.Linear(6, 6)
        optimizer = torch.optim.SGD(linear.parameters(), lr=0.1)
        joined = {k: torch.cat([Numbers()[0][k], Numbers()[1][k]]) for k in Numbers()[0]}
        source = Numbers() if parts == 2 else {0: joined}
        train(linear, [optimizer], source, squared, config(steps=1, accumulate=parts, clip=0.0), tmp_path / str(parts))
        return list(linear.parameters())

    for a, b in zip(mean(2), mean(1), strict=True):
        torch.testing.assert_close(a, b)


_TWO_PROCESSES = """
import sys, torch
from pathlib import Path
from tests.test_loop import Numbers, config, squared, toy
from trainers.loop import train

model, out = toy().eval(), Path(sys.argv[1])
for part in model.modules():
    part.p = 0.0
train(model, [torch.optim.SGD(model.parameters(), lr=0.1)], Numbers(), squared,
      config(steps=4, accumulate=int(sys.argv[2])), out)
"""


@pytest.mark.slow
def test_two_processes_equal_two_batches_a_step(tmp_path):
    script, root = tmp_path / "two.py", Path(__file__).parent.parent
    script.write_text(_TWO_PROCESSES)
    environment = {**os.environ, "PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    for start, out, accumulate in ((launch, "both", "1"), ([sys.executable], "alone", "2")):
        command = [*start, str(script), str(tmp_path / out), accumulate]
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
    assert losses(tmp_path / "both") == pytest.approx(losses(tmp_path / "alone"), abs=2e-6)
    ends = [read_log(tmp_path / out / "training.jsonl")[-1] for out in ("both", "alone")]
    assert ends[0]["tokens"] == ends[1]["tokens"] == 8 * 48


def test_the_schedule_warms_up_holds_and_decays():
    plan = LoopConfig(steps=100, warmup=0.1, decay=0.5)
    factors = [schedule(step, plan) for step in range(100)]
    assert factors[0] == pytest.approx(0.1)
    assert factors[10:50] == [1.0] * 40
    assert factors[99] == pytest.approx(0.02)
    assert sorted(factors[50:], reverse=True) == factors[50:]


def test_precision_is_what_was_asked_for():
    assert precision("no") == "no"
    assert precision("bf16") == "bf16"
    assert precision("auto") in ("no", "bf16", "fp16")
    with pytest.raises(UsageError):
        precision("fp8")


def test_a_tracker_that_is_missing_is_said(tmp_path):
    with pytest.raises(UsageError, match="not installed"):
        fit(tmp_path, trackers=["abacus"])


def test_a_broken_loss_stops_the_run(tmp_path):
    with pytest.raises(MemchatError, match="nan"):
        fit(tmp_path, lambda model, batch: squared(model, batch) * float("nan"))


def test_evaluation_log_curve_and_settings_are_written(tmp_path):
    model = toy()
    modes = []

    def evaluate(trained, step):
        modes.append(trained.training)
        return {"recall fact": step / 12}

    optimizers = muon_and_adamw(model, 0.02, 0.01, 0.1)
    done = train(model, optimizers, Numbers(), squared, config(eval_every=5), tmp_path, evaluate=evaluate,
                 settings={"hidden": 6})  # fmt: skip
    assert (done.step, modes, model.training) == (12, [False] * 3, True)
    scored = [line for line in read_log(tmp_path / "training.jsonl") if "recall fact" in line]
    assert [line["step"] for line in scored] == [5, 10, 12]
    described = json.loads((tmp_path / "run.json").read_text())
    assert described["recipe"] == {"hidden": 6}
    assert described["loop"]["seed"] == 4
    assert described["versions"]["torch"] == torch.__version__.split("+")[0] or described["versions"]["torch"]
    svg = ElementTree.parse(tmp_path / "curve.svg")
    assert len(svg.findall(".//{*}polyline")) == 3


def test_curves_of_rewards_stay_inside_the_picture(tmp_path):
    log = [{"step": 1, "loss": -0.5}, {"step": 2, "loss": 1.5}, {"step": 2, "reward": 1.2, "valid": 1.0, "leak": 0.1}]
    (tmp_path / "log").write_text("\n".join(map(json.dumps, log)))
    write_curve(tmp_path / "log", tmp_path / "curve.svg")
    lines = ElementTree.parse(tmp_path / "curve.svg").findall(".//{*}polyline")
    loss, _, reward, valid = ([tuple(map(float, xy.split(","))) for xy in line.get("points").split()] for line in lines)
    top, bottom = TOP, HEIGHT - BOTTOM
    assert [y for _, y in loss] == [bottom, top], "from the lowest to the highest"
    assert (reward[0][1], round(valid[0][1])) == (top, round(top + (bottom - top) / 6))


def test_muon_takes_the_hidden_matrices_only():
    model = nn.Sequential(nn.Embedding(10, 4), nn.Linear(4, 4), nn.LayerNorm(4))
    muon, adamw = muon_and_adamw(model, 0.1, 0.1, 0.0)
    assert [tuple(p.shape) for p in muon.param_groups[0]["params"]] == [(4, 4)]
    assert len(adamw.param_groups[0]["params"]) == 4


def test_settings_come_from_files_and_pairs(tmp_path):
    from trainers.base import BaseConfig

    chosen = BaseConfig()
    file = tmp_path / "settings.toml"
    file.write_text("hidden = 64\n[loop]\nsteps = 7\ntrackers = ['tensorboard']\n")
    apply(chosen, read_file(file))
    apply(chosen, read_pairs(["loop.warmup=0.5", "seed=9", "longest = 300"]))
    assert (chosen.hidden, chosen.loop.steps, chosen.loop.trackers) == (64, 7, ["tensorboard"])
    assert (chosen.loop.warmup, chosen.loop.seed, chosen.longest) == (0.5, 9, 300)
    for bad in ({"hiden": 3}, {"hidden": "wide"}, {"loop": 3}):
        with pytest.raises(UsageError):
            apply(chosen, bad)
    with pytest.raises(UsageError, match="key=value"):
        read_pairs(["steps"])
    file.write_text("hidden = = 3")
    with pytest.raises(UsageError, match="TOML"):
        read_file(file)
    with pytest.raises(UsageError, match="cannot read"):
        read_file(tmp_path / "missing.toml")

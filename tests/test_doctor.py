"""``memchat doctor`` tells the truth, and goes on after what is broken."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memchat import paths
from memchat.cli.main import app
from tests.tiny import tiny_folder


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """User folders of their own, and a tiny model in the place of the starter."""
    monkeypatch.setenv("MEMCHAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    shipped = tmp_path / "shipped"
    (shipped / "assets").mkdir(parents=True)
    tiny_folder(tmp_path, "llama").rename(shipped / "assets/starter")
    monkeypatch.setattr("memchat.paths.shipped", lambda *parts: shipped.joinpath(*parts))
    return tmp_path / "home"


def examined() -> tuple[int, dict[str, dict[str, Any]]]:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    checks = json.loads(result.stdout)
    return result.exit_code, {f"{check['section']}/{check['name']}": check for check in checks}


def test_a_sound_installation(home: Path) -> None:
    import torch

    from memchat.engine import device

    code, checks = examined()
    assert code == 0, [check for check in checks.values() if check["status"] == "fail"]
    assert checks["packages/torch"]["value"] == torch.__version__
    assert checks["device/device"]["value"].startswith(str(device.choose_device(_engine())))
    assert str(torch.get_num_threads()) in checks["device/threads"]["value"]
    assert str(home) in checks["paths/data"]["value"]
    assert checks["store/conversations"]["value"] == "none yet"
    assert "0.1 M parameters, context 512" in checks["starter/model"]["value"]
    assert checks["starter/weights"]["value"].startswith("full:")
    assert checks["modes/full"]["status"] == "ok"
    assert not home.exists(), "looking leaves no trace"


def _engine() -> Any:
    from memchat.config import EngineSettings

    return EngineSettings()


def test_the_report_for_people() -> None:
    result = CliRunner().invoke(app, ["doctor"])
    assert result.exit_code == 0
    for word in ("Device", "Starter", "Modes", "Nothing is broken"):
        assert word in result.stdout


def test_a_missing_or_broken_starter() -> None:
    weights = paths.starter_dir() / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    code, checks = examined()
    assert code == 1
    assert "truncated" in checks["starter/starter"]["value"]
    weights.with_name("config.json").unlink()
    code, checks = examined()
    assert code == 1
    assert "memchat train base" in checks["starter/starter"]["remedy"]
    assert "modes/full" in checks, "the checks after it are there"


def test_a_store_with_conversations_and_a_damaged_one() -> None:
    from memchat.store import Store

    with Store() as store:
        store.create_session("one", model="starter", memory="full")
    code, checks = examined()
    assert code == 0
    assert checks["store/conversations"]["value"].startswith("1 in ")
    assert checks["store/integrity"]["value"] == "every page is sound"
    paths.store_path().write_bytes(b"not a database at all" * 1000)
    for log in paths.data_dir().glob("memchat.db-*"):
        log.unlink()
    code, checks = examined()
    assert code == 1
    assert checks["store/store"]["status"] == "fail"


def test_a_broken_config_file_and_a_wrong_device(monkeypatch: pytest.MonkeyPatch) -> None:
    paths.config_dir().mkdir(parents=True)
    paths.config_path().write_text("model = ")
    code, checks = examined()
    assert code == 1
    assert "not valid TOML" in checks["settings/settings"]["value"]
    assert "program/python" in checks and "paths/data" in checks
    paths.config_path().write_text('[engine]\ndevice = "gpu"\n')
    code, checks = examined()
    assert code == 1
    assert "unknown device 'gpu'" in checks["device/device"]["value"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(home: Path) -> None:
    home.mkdir()
    home.chmod(0o500)
    code, checks = examined()
    assert code == 1
    assert "cannot be written" in checks["paths/data"]["value"]


def test_a_file_where_a_folder_should_be(home: Path) -> None:
    home.write_text("in the way")
    code, checks = examined()
    assert code == 1
    assert "cannot be written" in checks["paths/data"]["value"]


def test_what_a_mode_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    lacking = {
        "name": "ccm",
        "summary": "slots",
        "available": False,
        "reason": "no adapter for starter",
        "remedy": "Run: memchat train ccm",
    }
    monkeypatch.setattr("memchat.memory.registry.modes", lambda: [lacking])
    code, checks = examined()
    assert code == 0
    assert checks["modes/ccm"]["status"] == "note"
    assert "no adapter for starter" in checks["modes/ccm"]["value"]
    assert checks["modes/ccm"]["remedy"] == "Run: memchat train ccm"


def test_packages_out_of_range_and_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    wanted = ["torch<1.0", "no-such-package>=2", "pytest>=1; extra == 'dev'"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: wanted)
    code, checks = examined()
    assert code == 1
    assert checks["packages/torch"]["status"] == "note" and "<1.0" in checks["packages/torch"]["remedy"]
    assert checks["packages/no-such-package"]["status"] == "fail"
    assert "packages/pytest" not in checks

"""Every test gets user folders of its own, and no network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``MEMCHAT_HOME`` in a temporary folder; no setting of the developer leaks in."""
    for name in list(os.environ):
        if name.startswith("MEMCHAT_"):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("MEMCHAT_HOME", str(folder))
    return folder

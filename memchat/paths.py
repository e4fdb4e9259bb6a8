"""Where things are: what ships with memchat, and what belongs to the user.

``MEMCHAT_HOME`` puts every user folder below one place (tests, portable installs).
"""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).resolve().parent


def shipped(*parts: str) -> Path:
    """A path inside ``assets/`` or ``adapters/``, in an installed wheel as in a checkout."""
    wheel = _PACKAGE / "_share"
    root = wheel if wheel.is_dir() else _PACKAGE.parent
    return root.joinpath(*parts)


def _user(kind: str) -> Path:
    home = os.environ.get("MEMCHAT_HOME")
    if home:
        return Path(home).expanduser() / kind
    return Path(getattr(platformdirs, f"user_{kind}_path")("memchat", appauthor=False))


def config_dir() -> Path:
    """Settings and user themes."""
    return _user("config")


def data_dir() -> Path:
    """Conversations, trained adapters, memory bundles: what must not be lost."""
    return _user("data")


def state_dir() -> Path:
    """Logs, drafts and crash reports."""
    return _user("state")


def cache_dir() -> Path:
    """What can be made again."""
    return _user("cache")


def store_path() -> Path:
    """The SQLite file with every conversation."""
    return data_dir() / "memchat.db"


def models_dir() -> Path:
    """Where downloaded and self-made models are: ``<name>`` or ``<owner>/<name>``."""
    return data_dir() / "models"


def config_path() -> Path:
    return config_dir() / "config.toml"


def adapter_roots() -> list[Path]:
    """Folders searched for adapters, the user's first: each holds ``<base-model>/<method>/``."""
    return [data_dir() / "adapters", shipped("adapters")]


def starter_dir() -> Path:
    """The embedded starter model."""
    return shipped("assets", "starter")

"""Which software a run was made with."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("memchat", "torch", "transformers", "tokenizers", "accelerate", "safetensors")


def versions() -> dict[str, str]:
    """Installed versions of what a run depends on, and of Python."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # a checkout that is not installed
            from memchat import __version__

            found[name] = __version__ if name == "memchat" else "missing"
    return found

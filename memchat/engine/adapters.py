"""Trained adapters: where they lie, whether they belong to the model, and how the model wears one for a while.

An adapter is a folder ``<base-model>/<name>/`` below an adapter root: peft's own two files, and our ``config.json``
with the method, the hash of the weights it was trained on, and what the method wants to know. Nothing heavy is
imported before one is put on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memchat import paths
from memchat.errors import MemchatError


@dataclass(frozen=True)
class Adapter:
    """One folder ``<base-model>/<name>/`` below an adapter root."""

    model: str
    name: str
    path: Path
    shipped: bool

    @property
    def id(self) -> str:
        return f"{self.model}/{self.name}"

    @property
    def size_bytes(self) -> int:
        return sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())

    @property
    def hash(self) -> str:
        """SHA-256 of its tensors, shortened."""
        whole = hashlib.sha256()
        for path in sorted(self.path.glob("*.safetensors")):
            whole.update(path.read_bytes())
        return whole.hexdigest()[:16]

    def read(self, name: str) -> Any:
        """One of its JSON files; None when it is not there.

        Raises:
            MemchatError: it cannot be read.
        """
        try:
            return json.loads((self.path / name).read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise MemchatError(f"{self.path / name} is damaged: {error}", "Train the adapter again.") from error


def find_adapters() -> list[Adapter]:
    """All adapters, the user's before the shipped ones; of two with one name the first is used."""
    found: dict[str, Adapter] = {}
    for root in paths.adapter_roots():
        for config in sorted(root.glob("*/*/config.json")):
            folder = config.parent
            adapter = Adapter(folder.parent.name, folder.name, folder, root == paths.shipped("adapters"))
            found.setdefault(adapter.id, adapter)
    return list(found.values())


def find_adapter(name: str, weight_hash: str) -> Adapter | None:
    """The adapter of this name that was trained on the weights with this hash."""
    named = (adapter for adapter in find_adapters() if adapter.name == name)
    return next(
        (adapter for adapter in named if (adapter.read("config.json") or {}).get("weights") == weight_hash), None
    )


def home(model: str, name: str) -> Path:
    """Where the user's adapter for a model (an id or a folder) lies."""
    return paths.data_dir() / "adapters" / Path(model).name / name


@contextmanager
def worn(model: Any, adapter: Adapter) -> Iterator[None]:
    """The model with a LoRA adapter; outside it computes what it always did, bit for bit.

    The first time the adapter's matrices are read and put beside the model's, where they stay.

    Raises:
        MemchatError: the files are damaged, or made for another shape.
    """
    name = f"{adapter.model}-{adapter.name}".replace(".", "_")
    if name not in getattr(model, "peft_config", {}):
        _attach(model, name, adapter)
    model.enable_adapters()
    model.set_adapter(name)
    try:
        yield
    finally:
        model.disable_adapters()


def _attach(model: Any, name: str, adapter: Adapter) -> None:
    was_training = model.training
    try:
        model.load_adapter(str(adapter.path), adapter_name=name)
    except Exception as error:  # safetensors, peft and torch each raise their own
        what = str(error).splitlines()[0]
        raise MemchatError(f"the adapter {adapter.id} cannot be used: {what}", "Train it again.") from error
    model.disable_adapters()
    model.train(was_training)

"""The files of a model folder, checked and hashed without loading them (and without torch).

Whatever can be told from names, sizes and headers is told here, in one line with a remedy, before transformers gets
to see the folder: a missing config, pickled weights, a truncated or corrupt shard.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memchat.errors import MemchatError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
HASH_WHOLE = 256 * 2**20
"""Models up to this many bytes are hashed whole; of larger ones 4 KiB of every tensor."""

_SAMPLE = 4096
_MENDS = "Delete the folder and download the model again."


@dataclass(frozen=True)
class Tensor:
    """Where one tensor stands: ``end`` - ``start`` bytes of ``file`` from ``start`` on."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: Path
    start: int
    end: int


@dataclass(frozen=True)
class Weights:
    """The tensors of a model folder, in the order of their names."""

    tensors: list[Tensor] = field(repr=False)

    @property
    def parameters(self) -> int:
        """Numbers stored; a model that ties embedding and head may store them twice."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def nbytes(self) -> int:
        return sum(tensor.end - tensor.start for tensor in self.tensors)

    def hash(self) -> str:
        """A hash of names, dtypes, shapes and values that does not depend on how the shards are cut.

        ``full:...`` covers every byte; ``sampled:...``, for models above ``HASH_WHOLE``, covers 4 KiB from the
        middle of every tensor, which tells any two trained models apart at a thousandth of the reading.
        """
        whole = self.nbytes <= HASH_WHOLE
        digest = hashlib.sha256()
        for tensor in self.tensors:
            digest.update(json.dumps([tensor.name, tensor.dtype, tensor.shape]).encode())
            size = tensor.end - tensor.start
            take = size if whole else min(size, _SAMPLE)
            with tensor.file.open("rb") as file:
                file.seek(tensor.start + (size - take) // 2)
                while take > 0 and (block := file.read(min(take, 1 << 20))):
                    digest.update(block)
                    take -= len(block)
        return f"{'full' if whole else 'sampled'}:{digest.hexdigest()[:32]}"


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json``.

    Raises:
        MemchatError: not there, or not a JSON object.
    """
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise MemchatError(f"{folder} is not a model: it has no config.json", "Check the path.") from None
    except OSError as error:
        raise MemchatError(f"cannot read {file}: {error.strerror}", "Check its permissions.") from error
    except ValueError as error:
        raise MemchatError(f"{file} is not valid JSON", _MENDS) from error
    if not isinstance(config, dict):
        raise MemchatError(f"{file} is not a model configuration", _MENDS)
    return config


def read_weights(folder: Path) -> Weights:
    """The tensors of all shards.

    Raises:
        MemchatError: no safetensors, a shard missing, truncated or corrupt, a tensor of the index nowhere.
    """
    index = folder / INDEX
    if (folder / SINGLE).is_file():
        return Weights(_sorted(_header(folder / SINGLE)))
    if not index.is_file():
        raise _no_weights(folder)
    try:
        listed = json.loads(index.read_text("utf-8"))["weight_map"]
        shards = sorted(set(listed.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MemchatError(f"{index} is damaged", _MENDS) from error
    tensors: list[Tensor] = []
    for shard in shards:
        if not (folder / shard).is_file():
            raise MemchatError(f"{folder} is incomplete: {shard} is missing", _MENDS)
        tensors += _header(folder / shard)
    absent = sorted(set(listed) - {tensor.name for tensor in tensors})
    if absent:
        raise MemchatError(f"{folder} is incomplete: {absent[0]} is in no shard", _MENDS)
    return Weights(_sorted(tensors))


def _sorted(tensors: list[Tensor]) -> list[Tensor]:
    return sorted(tensors, key=lambda tensor: tensor.name)


def _no_weights(folder: Path) -> MemchatError:
    names = [path.name for path in folder.iterdir()]
    remedy = "Use a version of the model in safetensors."
    if any(name.endswith((".bin", ".pt", ".pth", ".ckpt")) for name in names):
        return MemchatError(f"{folder} has only pickled weights, which can run code when read", remedy)
    if any(name.endswith(".gguf") for name in names):
        return MemchatError(f"{folder} has only GGUF weights, which memchat does not read", remedy)
    return MemchatError(f"{folder} has no weights ({SINGLE} is missing)", _MENDS)


def _header(file: Path) -> list[Tensor]:
    """The tensors of one safetensors file, whose size must be what the header says."""
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= size - 8:
                raise ValueError("header length")
            entries = json.loads(opened.read(length))
        entries.pop("__metadata__", None)
        base = 8 + length
        tensors = [
            Tensor(name, entry["dtype"], tuple(entry["shape"]), file, base + start, base + end)
            for name, entry in entries.items()
            for start, end in [entry["data_offsets"]]
        ]
        expected = max((tensor.end for tensor in tensors), default=base)
    except OSError as error:
        raise MemchatError(f"cannot read {file}: {error.strerror}", "Check its permissions.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MemchatError(f"{file} is corrupt: its header cannot be read", _MENDS) from error
    if size < expected:
        raise MemchatError(f"{file} is truncated: {size} of {expected} bytes are there", _MENDS)
    if size > expected or not tensors:
        raise MemchatError(f"{file} is corrupt: its size is not what its header says", _MENDS)
    return tensors

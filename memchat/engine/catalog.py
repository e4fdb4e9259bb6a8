"""Which models are on this machine, and which ones are worth downloading to it. No torch in here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.filesize import decimal as size_text

from memchat import paths
from memchat.engine.weights import INDEX, SINGLE
from memchat.errors import MemchatError, unknown


@dataclass(frozen=True)
class Installed:
    """A model on this machine.

    ``source``: ``starter``, ``memchat`` (our data folder), ``huggingface`` (its cache), or ``unfinished`` (a
    download that has stopped).
    """

    id: str
    path: Path
    size_bytes: int
    source: str


@dataclass(frozen=True)
class Entry:
    """A published chat model that memchat is made for."""

    id: str
    parameters: int
    licence: str
    context: int
    """Tokens."""
    kv_bytes: int
    """KV cache bytes for one token in 16 bits."""
    gated: bool = False
    note: str = ""

    def nbytes(self, quantize: str = "none", bits: int = 16) -> int:
        """Bytes of the weights in memory; in 4-bit about 5 bits each, because embeddings stay as they are."""
        return int(self.parameters * (0.65 if quantize == "4bit" else bits / 8))


# From the best to the smallest; parameters and KV as the published configurations give them.
RECOMMENDED: list[Entry] = [
    Entry("Qwen/Qwen3-4B-Instruct-2507", 4_022_468_096, "Apache-2.0", 262_144, 147_456),
    Entry("HuggingFaceTB/SmolLM3-3B", 3_075_098_624, "Apache-2.0", 65_536, 73_728),
    Entry("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824, "Llama 3.2", 131_072, 114_688, gated=True),
    Entry("google/gemma-2-2b-it", 2_614_341_888, "Gemma", 8_192, 106_496, gated=True),
    Entry("Qwen/Qwen3-1.7B", 1_720_574_976, "Apache-2.0", 40_960, 114_688),
    Entry("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1_711_376_384, "Apache-2.0", 8_192, 196_608),
    Entry("meta-llama/Llama-3.2-1B-Instruct", 1_235_814_400, "Llama 3.2", 131_072, 32_768, gated=True),
    Entry("google/gemma-3-1b-it", 999_885_952, "Gemma", 32_768, 26_624, gated=True),
    Entry("Qwen/Qwen3-0.6B", 596_049_920, "Apache-2.0", 40_960, 114_688),
    Entry("Qwen/Qwen2.5-0.5B-Instruct", 494_032_768, "Apache-2.0", 32_768, 12_288),
    Entry("HuggingFaceTB/SmolLM2-360M-Instruct", 361_821_120, "Apache-2.0", 8_192, 40_960),
    Entry("HuggingFaceTB/SmolLM2-135M-Instruct", 134_515_008, "Apache-2.0", 8_192, 23_040),
]

_TALK = 4096
"""Tokens of conversation that have to fit beside the weights."""
_OVERHEAD = 512 * 2**20
READING = 5.0
"""Tokens a second below which waiting is a pain: about how fast people read aloud."""


@dataclass(frozen=True)
class Recommendation:
    """One model judged for this machine. ``quantize`` is what makes it fit, ``reason`` the judgement in words."""

    model: Entry
    fits: bool
    quantize: str
    bytes: int
    """Memory for the weights, 4,096 tokens of conversation, and overhead."""
    tokens_per_s: float | None
    """What the memory's bandwidth allows at most; None when it is not known."""
    installed: bool
    reason: str

    @property
    def slow(self) -> bool:
        return self.tokens_per_s is not None and self.tokens_per_s < READING

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def installed() -> list[Installed]:
    """The starter, the models in our data folder, and the chat models in the Hugging Face cache."""
    found: list[Installed] = []
    if (paths.starter_dir() / "config.json").is_file():
        found.append(Installed("starter", paths.starter_dir(), _size(paths.starter_dir()), "starter"))
    for folder in _own_folders():
        name = folder.relative_to(paths.models_dir()).as_posix()
        found.append(Installed(name, folder, _size(folder), "memchat"))
    have = {model.id for model in found}
    return found + [model for model in _cached() if model.id not in have]


def unfinished() -> list[Installed]:
    """Downloads that have stopped; downloading the model again goes on with them."""
    folders = sorted(path for path in (paths.models_dir() / ".partial").glob("*@*") if path.is_dir())
    return [
        Installed(path.name.rpartition("@")[0].replace("--", "/", 1), path, _size(path), "unfinished")
        for path in folders
    ]


def recommend(free_bytes: int, device: str, bandwidth: float | None = None, bits: int = 16) -> list[Recommendation]:
    """All models of the catalogue, the best for this machine first.

    Args:
        free_bytes: memory that a model may take.
        device: ``cuda``, ``mps`` or ``cpu``; 4-bit weights are proposed on CUDA only.
        bandwidth: bytes a second that the device reads; with it, models too slow to chat with come later.
        bits: of a weight: 16, or 32 where the device computes in nothing smaller.
    """
    here = {model.id for model in installed()}
    judged = []
    for entry in RECOMMENDED:
        quantize = "none"
        needed = _needed(entry, quantize, bits)
        if needed > free_bytes and device == "cuda":
            quantize, needed = "4bit", _needed(entry, "4bit", bits)
        fits = needed <= free_bytes
        rate = bandwidth / entry.nbytes(quantize, bits) if bandwidth else None
        reason = _reason(entry, fits, quantize, needed, free_bytes, rate)
        judged.append(Recommendation(entry, fits, quantize, needed, rate, entry.id in here, reason))
    # The catalogue's order holds among equals; what needs an account is no first recommendation.
    return sorted(judged, key=lambda r: (not r.fits, r.slow, r.model.gated))


def remove(model_id: str) -> int:
    """Delete a model, or what is left of its download; returns the bytes freed.

    Raises:
        UsageError: no such model here.
        MemchatError: the starter, which is a part of memchat; or the files cannot be deleted.
    """
    models = {model.id: model for model in (*unfinished(), *installed())}
    if model_id not in models:
        raise unknown("model", model_id, [*models]) if models else MemchatError("no model is installed")
    model = models[model_id]
    if model.source == "starter":
        raise MemchatError("the starter model is a part of memchat", "Choose another one to remove.")
    try:
        if model.source == "huggingface":
            return _remove_cached(model_id)
        shutil.rmtree(model.path)
        if (
            model.source == "memchat"
            and model.path.parent != paths.models_dir()
            and not any(model.path.parent.iterdir())
        ):
            model.path.parent.rmdir()
    except OSError as error:
        raise MemchatError(f"cannot delete {model.path}: {error.strerror}", "Check its permissions.") from error
    return model.size_bytes


def _needed(entry: Entry, quantize: str, bits: int) -> int:
    return entry.nbytes(quantize, bits) + _TALK * entry.kv_bytes * bits // 16 + _OVERHEAD


def _reason(entry: Entry, fits: bool, quantize: str, needed: int, free: int, rate: float | None) -> str:
    if not fits:
        return f"needs {size_text(needed)}, {size_text(free)} are free"
    how = "fits in 4 bits" if quantize == "4bit" else "fits"
    words = f"{how} ({size_text(needed)} of {size_text(free)})"
    if rate is not None:
        words += f", at most {rate:.0f} tokens/s" if rate >= 1 else ", under one token a second"
        if rate < READING:
            words += ": slower than reading"
    return words + ("; accept its terms on the hub first" if entry.gated else "")


def _own_folders() -> Iterator[Path]:
    """``<name>`` and ``<owner>/<name>`` below our models folder; unfinished downloads stand in ``.partial``."""
    for pattern in ("*/config.json", "*/*/config.json"):
        for config in sorted(paths.models_dir().glob(pattern)):
            if ".partial" not in config.relative_to(paths.models_dir()).parts:
                yield config.parent


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _hf_cache() -> Path:
    """The Hugging Face cache, found without importing its library."""
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home, "hub")).expanduser()


def _cached() -> list[Installed]:
    if not any(_hf_cache().glob("models--*")):
        return []
    from huggingface_hub import scan_cache_dir

    found = []
    for repo in scan_cache_dir(_hf_cache()).repos:
        for revision in repo.revisions:
            names = {file.file_name for file in revision.files}
            if repo.repo_type == "model" and "config.json" in names and names & {SINGLE, INDEX}:
                found.append(Installed(repo.repo_id, revision.snapshot_path, repo.size_on_disk, "huggingface"))
                break
    return sorted(found, key=lambda model: model.id)


def _remove_cached(model_id: str) -> int:
    from huggingface_hub import scan_cache_dir

    cache = scan_cache_dir(_hf_cache())
    commits = [r.commit_hash for repo in cache.repos if repo.repo_id == model_id for r in repo.revisions]
    strategy = cache.delete_revisions(*commits)
    strategy.execute()
    return strategy.expected_freed_size

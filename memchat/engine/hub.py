"""Download of a model from the Hugging Face hub, and finding the ones that are already here.

A model goes to ``models/<owner>/<name>`` in the data folder, as plain files. On its way it is below
``models/.partial``: what has arrived stays there when the transfer breaks, when the user stops it or when the
process dies, and the next attempt asks for the rest. Every file is checked against its hash before the folder moves
to its place, so what is there is complete. (``snapshot_download`` throws a partial file away when it is interrupted
and does not compare hashes over HTTP, hence the client's lower-level calls.)
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from rich.filesize import decimal as size_text

from memchat import paths
from memchat.engine.spec import near
from memchat.engine.weights import INDEX, SINGLE
from memchat.errors import MemchatError, UsageError

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

log = logging.getLogger(__name__)

_SPARE = 64 * 2**20
_ATTEMPTS = 5
"""In a row, without a new byte."""
_BLOCK = 1 << 18
_BESIDES = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
_TOKENIZER_PARTS = (
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.json",
    "chat_template.jinja",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
)


def local_path(model_id: str) -> Path | None:
    """The folder of a hub model that is complete on this machine: ours, or the Hugging Face cache's; or None."""
    ours = paths.models_dir() / model_id
    if (ours / "config.json").is_file():
        return ours
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(model_id, "config.json")
    if not isinstance(cached, str):
        return None
    folder = Path(cached).parent
    if (folder / SINGLE).is_file():
        return folder
    try:
        import json

        shards = json.loads((folder / INDEX).read_text("utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError, AttributeError):
        return None
    return folder if all((folder / shard).is_file() for shard in shards) else None


def download(model_id: str, progress: Callable[[int, int], None] | None = None) -> Path:
    """Fetch what is needed to run a model, going on where an earlier attempt stopped; returns its folder.

    ``progress`` gets (bytes that are here, bytes in all); what it raises ends the download, which can be resumed.
    ``HF_ENDPOINT``, ``HF_TOKEN`` and ``HF_HUB_OFFLINE`` are honoured.

    Raises:
        UsageError: ``model_id`` is not an id ``owner/name``.
        MemchatError: offline, not found, private or gated, no safetensors, disk full, damaged on the way, or another
            process is downloading the same model.
    """
    final = paths.models_dir() / model_id
    with _explained(model_id):
        if (final / "config.json").is_file():
            return final
        revision, files = _listing(model_id)
        partial = paths.models_dir() / ".partial" / f"{model_id.replace('/', '--')}@{revision[:12]}"
        partial.mkdir(parents=True, exist_ok=True)
        with _locked(model_id, partial):
            if (final / "config.json").is_file():  # another process has finished it while we listed
                return final
            _fetch_all(model_id, revision, files, partial, progress or (lambda done, total: None))
            final.parent.mkdir(exist_ok=True)
            partial.replace(final)
        for stale in partial.parent.glob(f"{model_id.replace('/', '--')}@*"):  # of earlier revisions, and the lock
            shutil.rmtree(stale) if stale.is_dir() else stale.unlink()
    return final


def _fetch_all(
    model_id: str, revision: str, files: list[RepoFile], folder: Path, progress: Callable[[int, int], None]
) -> None:
    total = sum(file.size for file in files)
    here = {file.path: _arrived(folder / file.path) for file in files}
    missing = total - sum(here.values())
    free = shutil.disk_usage(folder).free
    if missing + _SPARE > free:
        raise MemchatError(
            f"{model_id} needs {size_text(missing + _SPARE)} of disk space, and {size_text(free)} are free"
            f" in {paths.models_dir()}",
            "Free some space ('memchat models remove'), or set MEMCHAT_HOME to a folder on another disk.",
        )
    progress(total - missing, total)
    for file in files:

        def moved(size: int, path: str = file.path) -> None:
            here[path] = size
            progress(sum(here.values()), total)

        _fetch(model_id, revision, file, folder / file.path, moved)


def _arrived(target: Path) -> int:
    for path in (target, _part(target)):
        if path.is_file():
            return path.stat().st_size
    return 0


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _fetch(model_id: str, revision: str, file: RepoFile, target: Path, moved: Callable[[int], None]) -> None:
    """Bring one file to ``target``; ``moved`` is told how many of its bytes are here."""
    if target.is_file():  # checked when it got its name
        return
    from huggingface_hub import hf_hub_url

    part = _part(target)
    url = hf_hub_url(model_id, file.path, revision=revision, endpoint=_endpoint())
    with part.open("ab") as stream:
        if stream.tell() > file.size:
            stream.truncate(0)
        failures = 0
        while stream.tell() < file.size:
            start = stream.tell()
            try:
                _stream(url, stream, moved)
            except Exception as error:
                failures = failures + 1 if stream.tell() == start else 1
                if not _is_transient(error) or failures == _ATTEMPTS:
                    raise
                log.warning("%s broke off at byte %d: %s", file.path, stream.tell(), error)
                time.sleep(min(0.25 * 2**failures, 5))
    if not _intact(part, file):
        part.unlink()
        raise MemchatError(
            f"{file.path} of {model_id} arrived damaged: its hash is not the hub's", "Run the download again."
        )
    part.replace(target)


def _stream(url: str, stream: BinaryIO, moved: Callable[[int], None]) -> None:
    """Append to ``stream`` what follows its end."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    start = stream.tell()
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        if start and response.status_code != 206:  # a server that does not know ranges sends everything
            stream.truncate(0)
        for block in response.iter_bytes(_BLOCK):
            stream.write(block)
            moved(stream.tell())


def _intact(path: Path, file: RepoFile) -> bool:
    """Whether the content is the one the hub lists: SHA-256 of large files, git's blob hash of small ones."""
    if path.stat().st_size != file.size:
        return False
    digest = hashlib.sha256() if file.lfs else hashlib.sha1(f"blob {file.size}\0".encode())
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == (file.lfs.sha256 if file.lfs else file.blob_id)


def _listing(model_id: str) -> tuple[str, list[RepoFile]]:
    """(commit, the files that are needed) of the model's main branch."""
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    api = HfApi(endpoint=_endpoint())
    revision = str(api.model_info(model_id).sha)
    tree = [f for f in api.list_repo_tree(model_id, revision=revision, recursive=True) if isinstance(f, RepoFile)]
    needed = _needed([file.path for file in tree])
    if not any(name.endswith(".safetensors") for name in needed):
        kind = "GGUF" if any(f.path.endswith(".gguf") for f in tree) else "no safetensors"
        has = "only GGUF weights" if kind == "GGUF" else "no safetensors weights"
        raise MemchatError(f"{model_id} has {has}", "Choose a version of the model in safetensors.")
    if "config.json" not in needed:
        raise MemchatError(f"{model_id} is no transformers model: it has no config.json", "Choose another model.")
    return revision, [file for file in tree if file.path in needed]


def _needed(names: list[str]) -> set[str]:
    """The files that transformers reads: one set of weights, never pickled ones, configs, and one tokenizer."""
    present = set(names)
    if SINGLE in present:
        weights = {SINGLE}
    else:
        weights = {n for n in present if n == INDEX or (n.startswith("model-") and n.endswith(".safetensors"))}
    besides = {*_BESIDES, *_TOKENIZER_PARTS}
    if "tokenizer.json" not in present:
        besides.add("tokenizer.model")
    return weights | (besides & present)


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


@contextmanager
def _locked(model_id: str, partial: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    try:
        with FileLock(f"{partial}.lock", timeout=0):
            yield
    except Timeout:
        raise MemchatError(f"{model_id} is already being downloaded", "Wait for the other process.") from None


@contextmanager
def _explained(model_id: str) -> Iterator[None]:
    """Turn what goes wrong between here and the hub into one line and a remedy."""
    try:
        yield
    except MemchatError:
        raise
    except Exception as error:
        log.info("downloading %s failed", model_id, exc_info=True)
        explained = _explain(model_id, error)
        if explained is None:
            raise
        raise explained from error


def _explain(model_id: str, error: Exception) -> MemchatError | None:
    from huggingface_hub import errors

    host = (_endpoint() or "https://huggingface.co").split("://", 1)[-1]
    here = "Models that are here: 'memchat models list'."
    if isinstance(error, errors.HFValidationError):
        return UsageError(f"{model_id!r} is not a model id", "It has the form owner/name.")
    if isinstance(error, errors.OfflineModeIsEnabled):
        return MemchatError(f"{model_id} is not here, and downloads are switched off", f"Unset HF_HUB_OFFLINE. {here}")
    if isinstance(error, errors.GatedRepoError):
        return MemchatError(
            f"{model_id} is gated: its owner wants you to accept conditions first",
            f"Accept them at https://huggingface.co/{model_id} and set HF_TOKEN to your access token.",
        )
    response = error.response if isinstance(error, errors.HfHubHTTPError) else None
    status = response.status_code if response is not None else 0
    if response is not None and "Invalid credentials" in response.headers.get("X-Error-Message", ""):
        return MemchatError(f"{host} does not accept your access token", "Make a new one and set HF_TOKEN to it.")
    if status == 401 or isinstance(error, errors.RepositoryNotFoundError):
        guess = near(model_id)
        hint = f"Did you mean {guess!r}?" if guess and guess != model_id else "Check the spelling."
        return MemchatError(
            f"there is no model {model_id} on {host}, or it is private",
            f"{hint} For a private model set HF_TOKEN.",
        )
    if status:
        return MemchatError(
            f"{host} refused the download of {model_id} (status {status})",
            "Wait a little and run it again; what has arrived is kept."
            if _is_transient(error)
            else "Check that you may read it, and HF_TOKEN.",
        )
    if _is_network(error):
        return MemchatError(
            f"cannot reach {host} to download {model_id}",
            f"Check the connection; what has arrived is kept, so just run it again. {here}",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return MemchatError("the disk is full", "Free some space and run the download again; it goes on.")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return MemchatError(f"cannot write to {paths.models_dir()}", "Check its permissions, or set MEMCHAT_HOME.")
    return None


def _is_transient(error: Exception) -> bool:
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in (408, 429, 500, 502, 503, 504)
    return _is_network(error)


def _is_network(error: Exception) -> bool:
    """Whether the way to the hub failed; the HTTP library below huggingface_hub is its own business."""
    module = type(error).__module__.partition(".")[0]
    return module.startswith(("httpx", "httpcore")) or isinstance(error, ConnectionError | TimeoutError)

"""Downloads with the real huggingface_hub client from a local server that speaks the hub's protocol."""

from __future__ import annotations

import errno
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memchat import paths
from memchat.config import EngineSettings
from memchat.engine import hub, spec
from memchat.errors import MemchatError, UsageError
from tests.fake_hub import COMMIT, TOKEN, FakeHub, serving
from tests.tiny import tiny_folder

MODEL = "tiny/llama"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A model as it stands on the hub, with things that nobody needs."""
    folder = tiny_folder(tmp_path_factory.mktemp("hub"), "llama")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    unneeded = ("pytorch_model.bin", "README.md", "consolidated.safetensors", "onnx/model.onnx", "training_args.bin")
    return files | dict.fromkeys(unneeded, b"not needed")


@pytest.fixture
def served(files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    monkeypatch.setenv("MEMCHAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hf/hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(hub, "_BLOCK", 4096)
    with serving(FakeHub({MODEL: dict(files), "closed/one": dict(files)})) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def same(folder: Path, files: dict[str, bytes]) -> bool:
    return all(path.read_bytes() == files[path.name] for path in folder.iterdir())


def test_download_takes_what_is_needed_and_reports_every_byte(served: FakeHub, files: dict[str, bytes]) -> None:
    steps: list[tuple[int, int]] = []
    folder = hub.download(MODEL, lambda done, total: steps.append((done, total)))
    assert folder == paths.models_dir() / MODEL
    needed = {"config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json"}
    assert {path.name for path in folder.iterdir()} == needed | {"chat_template.jinja"}
    assert same(folder, files)
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert steps[0] == (0, total)
    assert steps[-1] == (total, total)
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert len(steps) > 50
    assert not [*(paths.models_dir() / ".partial").iterdir()]


def test_a_downloaded_model_loads_without_network(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from memchat.engine.loader import load

    tasks: list[str] = []
    first = load(spec.resolve(MODEL), EngineSettings(device="cpu"), lambda task, *_: tasks.append(task))
    assert {"downloading", "loading"} == set(tasks)
    asked = len(served.requests)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    second = load(spec.resolve(MODEL), EngineSettings(device="cpu"))
    assert len(served.requests) == asked
    assert first.weight_hash == second.weight_hash


def test_a_model_in_the_hugging_face_cache_is_found(served: FakeHub, tmp_path: Path) -> None:
    from huggingface_hub import snapshot_download

    assert hub.local_path(MODEL) is None
    cached = Path(snapshot_download(MODEL, endpoint=served.url, allow_patterns=["*.json"]))
    assert hub.local_path(MODEL) is None, "a snapshot without weights is not complete"
    snapshot_download(MODEL, endpoint=served.url)
    assert hub.local_path(MODEL) == cached


def test_shards_are_taken_with_their_index(served: FakeHub, files: dict[str, bytes]) -> None:
    shards = {"model-00001-of-00002.safetensors": b"one" * 1000, "model-00002-of-00002.safetensors": b"two" * 1000}
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    offer = {name: content for name, content in files.items() if name != WEIGHTS} | shards
    served.models[MODEL] = offer | {"model.safetensors.index.json": json.dumps(index).encode()}
    names = {path.name for path in hub.download(MODEL).iterdir()}
    assert {*shards, "model.safetensors.index.json"} <= names
    assert "consolidated.safetensors" not in names


@pytest.mark.parametrize("fault", ["close", "reset"])
def test_a_broken_transfer_goes_on_where_it_broke(served: FakeHub, files: dict[str, bytes], fault: str) -> None:
    served.faults[WEIGHTS] = [(fault, 200_000), (fault, 100_000)]
    folder = hub.download(MODEL)
    assert same(folder, files)
    first, second, third = served.transfers(WEIGHTS)
    assert first.range is None
    starts = [int(r.range.removeprefix("bytes=").rstrip("-")) for r in (second, third) if r.range]
    # A reset throws away what the client's kernel had not handed over yet; a close loses less than a block.
    assert len(starts) == 2
    assert starts[1] > starts[0] >= (0 if fault == "reset" else 200_000 - 4096)


def test_an_interrupted_download_is_resumed_by_the_next_one(served: FakeHub, files: dict[str, bytes]) -> None:
    class Stopped(Exception):
        pass

    def stop(done: int, total: int) -> None:
        if done > 300_000:
            raise Stopped

    with pytest.raises(Stopped):
        hub.download(MODEL, stop)
    assert hub.local_path(MODEL) is None
    steps: list[int] = []
    assert same(hub.download(MODEL, lambda done, total: steps.append(done)), files)
    assert steps[0] > 290_000, "the bar starts where it stopped"
    _, second = served.transfers(WEIGHTS)
    assert second.range and int(second.range.removeprefix("bytes=").rstrip("-")) > 200_000


def arrived() -> int:
    """Bytes of the weights that an unfinished download has on the disk."""
    return sum(path.stat().st_size for path in (paths.models_dir() / ".partial").rglob(f"{WEIGHTS}.part"))


def test_a_killed_process_loses_nothing(served: FakeHub, files: dict[str, bytes]) -> None:
    served.faults[WEIGHTS] = [("stall", 400_000)]
    code = f"from memchat.engine import hub; hub._BLOCK = 4096; hub.download({MODEL!r})"
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        assert served.stalled.wait(60)
        deadline = time.monotonic() + 10
        while arrived() < 390_000 and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    part = arrived()
    assert part >= 390_000
    assert same(hub.download(MODEL), files)
    assert served.transfers(WEIGHTS)[-1].range == f"bytes={part}-"


def test_a_server_without_ranges_sends_the_file_anew(served: FakeHub, files: dict[str, bytes]) -> None:
    served.faults[WEIGHTS] = [("close", 200_000), ("ignore range", 0)]
    assert same(hub.download(MODEL), files)


def test_a_busy_hub_is_asked_again(served: FakeHub, files: dict[str, bytes]) -> None:
    served.faults[WEIGHTS] = [("status", 503), ("status", 429)]
    assert same(hub.download(MODEL), files)


def test_altered_content_is_refused_and_fetched_anew(served: FakeHub, files: dict[str, bytes]) -> None:
    served.faults[WEIGHTS] = [("alter", 0)]
    with pytest.raises(MemchatError, match=r"arrived damaged.*Run the download again"):
        hub.download(MODEL)
    assert hub.local_path(MODEL) is None
    assert same(hub.download(MODEL), files)


def test_not_found_private_gated_and_misspelt(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MemchatError, match=r"no model Qwen/Qwen3-0.6C .* private.*mean 'Qwen/Qwen3-0.6B'"):
        hub.download("Qwen/Qwen3-0.6C")
    with pytest.raises(UsageError, match=r"not a model id.*owner/name"):
        hub.download("what/is/this")
    served.private.add("closed/one")
    with pytest.raises(MemchatError, match=r"private.*HF_TOKEN"):
        hub.download("closed/one")
    served.private.clear()
    served.gated.add("closed/one")
    with pytest.raises(MemchatError, match=r"gated.*Accept them at .*HF_TOKEN"):
        hub.download("closed/one")
    monkeypatch.setenv("HF_TOKEN", "hf_expired")
    with pytest.raises(MemchatError, match=r"does not accept your access token.*HF_TOKEN"):
        hub.download("closed/one")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.download("closed/one")
    assert not any(request.authorized for request in served.transfers(WEIGHTS)), "the token left the hub's host"


def test_offline_and_unreachable(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(MemchatError, match=r"downloads are switched off.*HF_HUB_OFFLINE.*models list"):
        hub.download(MODEL)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(MemchatError, match=r"cannot reach 127.0.0.1:9.*Check the connection"):
        hub.download(MODEL)


def test_a_connection_that_stays_broken_keeps_what_arrived(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memchat.engine.hub.time.sleep", lambda _: None)
    served.faults[WEIGHTS] = [("close", 200_000)] + [("close", 0)] * 10
    with pytest.raises(MemchatError, match=r"cannot reach .*just run it again"):
        hub.download(MODEL)
    assert arrived() > 190_000


def test_disk_full_before_and_during(served: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(MemchatError, match=r"needs .* of disk space, and 1.0 kB are free.*models remove"):
        hub.download(MODEL)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(hub, "_stream", full)
    with pytest.raises(MemchatError, match=r"disk is full.*it goes on"):
        hub.download(MODEL)


def test_pickled_and_gguf_weights_are_refused(served: FakeHub, files: dict[str, bytes]) -> None:
    small = {name: content for name, content in files.items() if not name.endswith(".safetensors")}
    served.models |= {"a/pickled": small, "a/gguf": {"model-Q4.gguf": b"x"}}
    with pytest.raises(MemchatError, match="no safetensors weights"):
        hub.download("a/pickled")
    with pytest.raises(MemchatError, match="only GGUF weights"):
        hub.download("a/gguf")
    assert not served.transfers(".bin")


def test_two_downloads_of_one_model_do_not_meet(served: FakeHub) -> None:
    from filelock import FileLock

    folder = paths.models_dir() / ".partial"
    folder.mkdir(parents=True)
    with (
        FileLock(folder / f"tiny--llama@{COMMIT[:12]}.lock"),
        pytest.raises(MemchatError, match="already being downloaded"),
    ):
        hub.download(MODEL)

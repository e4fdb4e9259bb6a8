"""Loading models, and every way in which a model folder can be bad."""

from __future__ import annotations

import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from memchat.config import EngineSettings
from memchat.engine import device as devices
from memchat.engine import shapes
from memchat.engine.loader import Loaded, load
from memchat.engine.spec import ModelSpec, resolve
from memchat.engine.weights import INDEX, SINGLE, read_weights
from memchat.errors import MemchatError, UsageError
from tests.tiny import CONTEXT, FAMILIES, byte_tokenizer, tiny_folder, tiny_model

CPU = EngineSettings(device="cpu", dtype="float32")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEMCHAT_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_folder(tmp_path_factory.mktemp("models"), "llama")


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(pristine, tmp_path / "model"))


def load_folder(folder: Path, settings: EngineSettings = CPU) -> Loaded:
    return load(resolve(str(folder)), settings)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_comes_out_as_it_was_saved(family: str, tmp_path: Path) -> None:
    loaded = load_folder(tiny_folder(tmp_path, family))
    ids = byte_tokenizer()("a cat and a dog", return_tensors="pt")["input_ids"]
    assert torch.equal(loaded.model(ids).logits, tiny_model(family)(ids).logits)
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.context_length == CONTEXT
    assert loaded.parameters == sum(p.numel() for p in tiny_model(family).parameters())
    assert loaded.weight_bytes >= 4 * loaded.parameters
    attention = "eager" if family == "gemma2" else "sdpa"
    assert loaded.model.config._attn_implementation == attention


def test_hashes_tell_models_apart_and_do_not_depend_on_shards(folder: Path, tmp_path: Path) -> None:
    original = load_folder(folder)
    sharded = tmp_path / "sharded"
    original.model.save_pretrained(sharded, max_shard_size="100KB")
    original.tokenizer.save_pretrained(sharded)
    assert (sharded / INDEX).is_file()
    again = load_folder(sharded)
    assert again.weight_hash == original.weight_hash
    assert again.weight_hash.startswith("full:")
    assert again.tokenizer_hash == original.tokenizer_hash
    weights = (folder / SINGLE).read_bytes()
    (folder / SINGLE).write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    assert load_folder(folder).weight_hash != original.weight_hash


def test_large_models_are_hashed_by_samples(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memchat.engine.weights.HASH_WHOLE", 1000)
    first = read_weights(folder).hash()
    assert first.startswith("sampled:")
    weights = bytearray((folder / SINGLE).read_bytes())
    tensor = read_weights(folder).tensors[0]
    weights[(tensor.start + tensor.end) // 2] ^= 1
    (folder / SINGLE).write_bytes(weights)
    assert read_weights(folder).hash() != first


def test_loading_reports_progress(folder: Path) -> None:
    steps: list[tuple[str, float, float]] = []
    load(resolve(str(folder)), CPU, lambda *step: steps.append(step))
    assert steps[0] == ("loading", 0, 0)
    assert steps[-1][0] == "loading"
    assert steps[-1][1] == steps[-1][2] == len(read_weights(folder).tensors)


def test_shapes_say_that_their_weights_are_random(monkeypatch: pytest.MonkeyPatch) -> None:
    small = shapes.SHAPES["smollm2-135m"] | {"num_hidden_layers": 2}
    monkeypatch.setitem(shapes.SHAPES, "smollm2-135m", small)
    loaded = load(resolve("shape:smollm2-135m"), CPU)
    assert loaded.random_weights
    assert loaded.weight_hash == "random:smollm2-135m"
    assert loaded.context_length == 8192
    assert loaded.tokenizer.chat_template


def cut(folder: Path) -> None:
    content = (folder / SINGLE).read_bytes()
    (folder / SINGLE).write_bytes(content[: len(content) // 2])


def edit(**changes: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | changes))

    return change


def delete(*names: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return change


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def pickled(folder: Path) -> None:
    (folder / SINGLE).rename(folder / "pytorch_model.bin")


def lost_shard(folder: Path) -> None:
    (folder / SINGLE).rename(folder / "model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (folder / INDEX).write_text(json.dumps(index))


def foreign_tokenizer(folder: Path) -> None:
    model = tiny_model("llama", vocab_size=200, bos_token_id=1, eos_token_id=2, pad_token_id=3)
    model.save_pretrained(folder)


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "no weights": (delete(SINGLE), r"has no weights"),
    "truncated": (cut, r"is truncated: \d+ of \d+ bytes"),
    "empty": (write(SINGLE, b""), r"is corrupt"),
    "garbage": (write(SINGLE, b"\xff" * 5000), r"is corrupt: its header"),
    "no JSON in the header": (write(SINGLE, (20).to_bytes(8, "little") + b"{" * 5000), r"is corrupt: its header"),
    "pickled": (pickled, r"only pickled weights, which can run code"),
    "lost shard": (lost_shard, r"incomplete: model-00002-of-00002.safetensors is missing"),
    "damaged index": (lambda f: (delete(SINGLE)(f), write(INDEX, b"[]")(f), None)[2], r"index.json is damaged"),
    "config not JSON": (write("config.json", b"{"), r"config.json is not valid JSON"),
    "config a list": (write("config.json", b"[]"), r"not a model configuration"),
    "no model type": (write("config.json", b"{}"), r"names no model_type"),
    "unknown type": (edit(model_type="alien"), r"type 'alien', which the installed transformers does not know"),
    "encoder": (edit(model_type="bert", architectures=["BertForMaskedLM"]), r"no chat model \(BertForMaskedLM\)"),
    "embedding": (edit(architectures=["LlamaModel"]), r"no chat model \(LlamaModel\)"),
    "seq2seq": (edit(model_type="t5", architectures=["T5ForConditionalGeneration"]), r"no chat model"),
    "config value": (edit(hidden_size="big"), r"config.json of .* is damaged"),
    "partial": (edit(num_hidden_layers=5), r"incomplete.*it lacks model.layers.4.* and 8 more"),
    "fewer layers": (edit(num_hidden_layers=3), r"not the checkpoint's: it has 3 layers and the file more"),
    "other size": (edit(intermediate_size=128), r"it has the wrong size for model.layers.0"),
    "no tokenizer": (delete("tokenizer.json", "tokenizer_config.json"), r"has no tokenizer"),
    "damaged tokenizer": (write("tokenizer.json", b"{}"), r"tokenizer of .* is damaged"),
    "wrong tokenizer": (foreign_tokenizer, r"does not belong to it: it has 260 tokens and the model knows 200"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_folder_is_told_in_one_line_with_a_remedy(
    name: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    damage, message = BAD[name]
    damage(folder)
    with pytest.raises(MemchatError, match=message) as caught:
        load_folder(folder)
    assert caught.value.remedy.endswith(".")
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_special_token_that_no_text_produces_may_lie_beyond_the_rows(folder: Path) -> None:
    tokenizer = shapes.byte_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|image|>"]})
    tokenizer.save_pretrained(folder)
    assert len(load_folder(folder).tokenizer) == 261


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("kind", ["none", "8bit", "4bit"])
def test_models_on_cuda_plain_and_quantised(kind: str, folder: Path) -> None:
    loaded = load_folder(folder, EngineSettings(device="cuda", quantize=kind))
    ids = byte_tokenizer()("a cat and a dog", return_tensors="pt")["input_ids"]
    expected = tiny_model("llama")(ids).logits
    logits = loaded.model(ids.to(loaded.device)).logits.float().cpu()
    assert torch.nn.functional.cosine_similarity(logits, expected, dim=-1).min() > (0.99 if kind == "none" else 0.8)
    if kind != "none":
        assert loaded.weight_bytes < load_folder(folder, EngineSettings(device="cuda", quantize="none")).weight_bytes


def test_folder_without_config_and_missing_starter(folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(MemchatError, match=r"no config\.json"):
        load_folder(folder)
    with pytest.raises(MemchatError, match=r"starter model is not here.*train base"):
        load(ModelSpec("starter", "starter", tmp_path / "nowhere"), CPU)


def test_too_little_memory_is_told_before_loading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "free_memory", lambda _: 10**6)
    with pytest.raises(MemchatError, match=r"needs .* of memory on cpu, and 1.0 MB are free.*smaller model"):
        load_folder(folder)


def test_quantisation_needs_cuda(folder: Path) -> None:
    for kind in ("4bit", "8bit"):
        with pytest.raises(MemchatError, match=rf"{kind} weights need a CUDA GPU.*quantize=none"):
            load_folder(folder, EngineSettings(device="cpu", quantize=kind))
    with pytest.raises(UsageError, match="unknown quantisation"):
        load_folder(folder, EngineSettings(device="cpu", quantize="2bit"))


def test_device_and_dtype_choices(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    assert devices.choose_dtype(cpu, EngineSettings(dtype="float16")) == torch.float16
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: True)
    assert devices.choose_dtype(cpu, EngineSettings()) == torch.bfloat16
    monkeypatch.setattr(devices, "cpu_has_bfloat16", lambda: False)
    assert devices.choose_dtype(cpu, EngineSettings()) == torch.float32
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: False)
    assert devices.choose_dtype(torch.device("cuda"), EngineSettings(), "llama") == torch.float16
    assert devices.choose_dtype(torch.device("cuda"), EngineSettings(), "gemma2") == torch.float32
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    assert devices.choose_device(EngineSettings()) == cpu
    with pytest.raises(MemchatError, match=r"CUDA was asked for.*engine.device=auto"):
        devices.choose_device(EngineSettings(device="cuda"))
    for bad in ("gpu", "cuda:x", "cpu:3"):
        with pytest.raises(UsageError, match="unknown device"):
            devices.choose_device(EngineSettings(device=bad))
    with pytest.raises(UsageError, match="unknown dtype"):
        devices.choose_dtype(cpu, EngineSettings(dtype="int4"))


def test_limits_of_a_container_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_CGROUP", tmp_path)
    cpu = torch.device("cpu")
    unlimited = devices.free_memory(cpu)
    assert unlimited > 10**8
    (tmp_path / "memory.max").write_text("50000000\n")
    (tmp_path / "memory.current").write_text("20000000\n")
    assert devices.free_memory(cpu) == 30_000_000
    assert devices.total_memory(cpu) == 50_000_000
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert devices.physical_cores() == 1
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert devices.physical_cores() >= 1


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        assert devices.use_threads(2) == 2, "a setting stands above the environment"
        monkeypatch.delenv("OMP_NUM_THREADS")
        assert devices.use_threads() == devices.physical_cores()
    finally:
        torch.set_num_threads(before)


def test_bandwidth_is_measured_once() -> None:
    cpu = torch.device("cpu")
    first = devices.memory_bandwidth(cpu)
    assert 10**8 < first < 10**13
    assert devices.memory_bandwidth(cpu) == first


def test_loading_touches_neither_screen_nor_network(folder: Path) -> None:
    code = f"""
import socket, sys
def refuse(*args, **kwargs): raise AssertionError("network")
socket.getaddrinfo = socket.socket.connect = refuse
from memchat.config import EngineSettings
from memchat.engine.loader import load
from memchat.engine.spec import resolve
print(load(resolve({str(folder)!r}), EngineSettings(device="cpu")).parameters)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert result.stderr == ""
    assert int(result.stdout) > 0


def test_what_the_libraries_say_goes_to_the_log(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    edit(num_hidden_layers=5)(folder)
    with caplog.at_level(logging.WARNING), pytest.raises(MemchatError):
        load_folder(folder)
    assert any(record.name.startswith("transformers") for record in caplog.records)

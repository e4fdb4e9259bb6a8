"""Names of models, published shapes, and the catalogue."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from memchat.engine import catalog, spec
from memchat.engine.shapes import SHAPES, byte_tokenizer, parameters, random_model, shape_config
from memchat.errors import MemchatError, UsageError
from tests.tiny import tiny_folder

# The numbers of parameters that the models' cards and safetensors indices give, tied embeddings counted once.
PUBLISHED = {
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "gemma-2-2b": 2_614_341_888,
    "smollm2-135m": 134_515_008,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEMCHAT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "home"


def test_every_kind_of_name(home: Path, tmp_path: Path) -> None:
    assert spec.resolve("starter").kind == "starter"
    assert spec.resolve("shape:qwen3-4b") == spec.ModelSpec("shape:qwen3-4b", "shape")
    assert spec.resolve("Qwen/Qwen3-0.6B") == spec.ModelSpec("Qwen/Qwen3-0.6B", "hub")
    folder = tiny_folder(tmp_path, "llama")
    assert spec.resolve(str(folder)) == spec.ModelSpec(str(folder), "folder", folder)
    tiny_folder(home / "data/models", "qwen3")
    assert spec.resolve("tiny-qwen3").path == home / "data/models/tiny-qwen3"


def test_names_for_folders(tmp_path: Path) -> None:
    assert spec.resolve("starter").name == "starter"
    assert spec.resolve("Qwen/Qwen3-0.6B").name == "Qwen3-0.6B"
    assert spec.resolve("shape:qwen3-4b").name == "shape-qwen3-4b"
    assert spec.resolve(str(tiny_folder(tmp_path, "llama"))).name == "tiny-llama"


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("startr", "starter"),
        ("shape:qwen3-0.6", "shape:qwen3-0.6b"),
        ("qwen3-0.6b", "Qwen/Qwen3-0.6B"),
        ("SmolLM2-135M-Instruc", "HuggingFaceTB/SmolLM2-135M-Instruct"),
    ],
)
def test_an_unknown_name_gets_the_nearest_one(given: str, nearest: str) -> None:
    with pytest.raises(UsageError) as caught:
        spec.resolve(given)
    assert f"Did you mean {nearest!r}?" in caught.value.remedy


def test_names_that_cannot_be_models(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no model folder \./nowhere"):
        spec.resolve("./nowhere")
    with pytest.raises(UsageError, match="no model folder a/b/c"):
        spec.resolve("a/b/c")
    with pytest.raises(MemchatError, match=r"no config\.json"):
        spec.resolve(str(tmp_path))
    for bad in ("", "zzzzzz", "shape:", "a/..", "../x", "a b/c"):
        with pytest.raises(UsageError):
            spec.resolve(bad)


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_have_the_published_number_of_parameters(name: str) -> None:
    assert parameters(shape_config(name)) == PUBLISHED[name]


def test_random_weights_behave_like_weights() -> None:
    import torch

    config = shape_config("smollm2-135m")
    config.num_hidden_layers = 2
    config.layer_types = None
    model = random_model(config, torch.device("cpu"), torch.float32)
    logits = model(torch.arange(20)[None]).logits
    assert logits.isfinite().all()
    assert 0.1 < logits.std() < 10
    assert model.lm_head.weight is model.model.embed_tokens.weight
    first, second = model.model.layers[0].mlp.up_proj.weight, model.model.layers[0].mlp.gate_proj.weight
    assert abs(float(first.detach().std()) - 0.02) < 0.002
    assert len(first.unique(dim=0)) == len(first), "no two rows are equal"
    assert first.shape == second.shape


def test_byte_tokenizer_is_lossless_and_knows_its_special_tokens() -> None:
    tokenizer = byte_tokenizer()
    text = "Žluťoučký 🐶  kůň\x00\n\t<|im_start|>"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert bytes(id for id in ids if id < 256) == text.removesuffix("<|im_start|>").encode()
    assert ids[-1] == 258
    rendered = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], tokenize=False)
    assert rendered == "<|bos|><|im_start|>user\nHi<|im_end|>\n"
    assert tokenizer.eos_token_id == 259


def test_installed_lists_starter_folders_and_cache(home: Path, tmp_path: Path) -> None:
    mine = tiny_folder(home / "data/models/me", "llama")
    (home / "data/models/.partial/other--model@abc").mkdir(parents=True)
    (home / "data/models/.partial/other--model@abc/config.json").write_text("{}")
    snapshot = tmp_path / "hf/hub/models--some--model/snapshots/0123"
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).write_bytes(b"12345")
    found = {model.id: model for model in catalog.installed() if model.source != "starter"}
    assert set(found) == {"me/tiny-llama", "some/model"}
    assert found["me/tiny-llama"].size_bytes == sum(p.stat().st_size for p in mine.iterdir())
    assert found["some/model"].source == "huggingface"
    assert found["some/model"].path == snapshot


def test_remove_frees_what_it_says(home: Path, tmp_path: Path) -> None:
    mine = tiny_folder(home / "data/models/me", "llama")
    size = sum(path.stat().st_size for path in mine.iterdir())
    assert catalog.remove("me/tiny-llama") == size
    assert not mine.parent.exists()
    with pytest.raises(MemchatError):
        catalog.remove("me/tiny-llama")
    snapshot = tmp_path / "hf/hub/models--some--model/snapshots/0123"
    snapshot.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (snapshot / name).write_bytes(b"12345")
    catalog.remove("some/model")
    assert not snapshot.exists()
    left = home / "data/models/.partial/some--model@0123/model.safetensors.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"123")
    assert [(model.id, model.size_bytes) for model in catalog.unfinished()] == [("some/model", 3)]
    assert catalog.remove("some/model") == 3
    assert not catalog.unfinished()


def test_recommendation_fits_the_machine() -> None:
    small = catalog.recommend(3 * 10**9, "cpu", bandwidth=20e9)
    assert small[0].fits
    assert all(entry.bytes <= 3 * 10**9 for entry in small if entry.fits)
    assert [entry.fits for entry in small] == sorted((entry.fits for entry in small), reverse=True)
    assert "are free" in small[-1].reason
    large = catalog.recommend(80 * 10**9, "cuda", bandwidth=2e12)
    assert large[0].model == catalog.RECOMMENDED[0]
    assert all(entry.fits and entry.quantize == "none" for entry in large)
    tight = {entry.model.id: entry for entry in catalog.recommend(6 * 10**9, "cuda")}
    assert tight["Qwen/Qwen3-4B-Instruct-2507"].quantize == "4bit"
    assert not {entry.model.id: entry for entry in catalog.recommend(6 * 10**9, "cpu")}[
        "Qwen/Qwen3-4B-Instruct-2507"
    ].fits


def test_slow_models_come_after_quick_ones_on_a_cpu() -> None:
    ranked = catalog.recommend(32 * 10**9, "cpu", bandwidth=10e9)
    slow = ["slower than reading" in entry.reason for entry in ranked]
    assert slow == sorted(slow)
    assert slow[-1] and not slow[0]


def test_catalogue_and_names_need_neither_torch_nor_transformers() -> None:
    code = (
        "import sys; from memchat.engine import catalog, spec, hub, weights;"
        "spec.resolve('a/b'); catalog.installed(); catalog.recommend(10**10, 'cpu');"
        "print([m for m in ('torch', 'transformers', 'huggingface_hub') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"

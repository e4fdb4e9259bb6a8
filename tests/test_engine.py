"""The decode loop against transformers' own ``generate``, and the promises of ``Engine``."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
import torch

from memchat.config import GenerationSettings
from memchat.engine import attention
from memchat.engine.cache import KVCache, KVPrefix
from memchat.engine.decode import decode, prefill
from memchat.engine.engine import Engine
from memchat.engine.run import Outcome, Reach
from memchat.engine.sampling import Sampler
from memchat.engine.spec import ModelSpec
from memchat.engine.template import RenderedPrompt
from memchat.errors import MemchatError
from tests.tiny import FAMILIES, byte_tokenizer, tiny_model

GREEDY = GenerationSettings()


def engine_of(model, tokenizer=None) -> Engine:
    loaded = SimpleNamespace(
        model=model,
        tokenizer=tokenizer or byte_tokenizer(),
        spec=ModelSpec("tiny", "shape"),
        device=model.device,
        dtype=model.dtype,
        context_length=model.config.max_position_embeddings,
        weight_bytes=1,
        parameters=1,
        weight_hash="",
        tokenizer_hash="",
        random_weights=True,
    )
    return Engine(loaded)


def prompt_ids(length: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(5, 250, (length,), generator=generator).tolist()


def ours(model, ids: list[int], count: int, settings: GenerationSettings = GREEDY) -> list[int]:
    cache = KVCache()
    logits = prefill(model, ids, cache)
    tokens = decode(model, logits, cache, Sampler(settings, model.device))
    return [next(tokens) for _ in range(count)]


def theirs(model, ids: list[int], count: int, **kwargs) -> list[int]:
    model.set_attn_implementation("eager")
    model.generation_config.eos_token_id = None
    out = model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=count,
        do_sample=False,
        pad_token_id=0,
        **kwargs,
    )
    attention.install(model)
    return out[0, len(ids) :].tolist()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("length", [3, 40])
def test_greedy_equals_generate(family: str, length: int) -> None:
    """Token for token, within and beyond the sliding windows of the families that have one."""
    model, ids = tiny_model(family), prompt_ids(length)
    expected = theirs(model, ids, 40)
    assert len(set(expected)) > 5, "a model that repeats itself would hide errors"
    assert ours(model, ids, 40) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_incremental_equals_full_forward(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prefill in chunks and decoding give the logits of one forward pass over everything."""
    model, ids = tiny_model(family).double(), prompt_ids(50)
    attention.install(model)
    with torch.inference_mode():
        full = model(input_ids=torch.tensor([ids]), use_cache=False).logits[:, -1]
    monkeypatch.setattr("memchat.engine.decode.PREFILL_CHUNK", 7)
    torch.testing.assert_close(prefill(model, ids, KVCache()), full, rtol=0, atol=1e-10)


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_cut_back_cache_continues_exactly(family: str) -> None:
    """A cache cut back to a common prefix gives the same logits as a fresh one."""
    model, cache = tiny_model(family).double(), KVCache()
    attention.install(model)
    first, second = prompt_ids(60), prompt_ids(60)[:25] + prompt_ids(30, seed=1)
    prefill(model, first, cache)
    cache.keep(25)
    torch.testing.assert_close(prefill(model, second, cache), prefill(model, second, KVCache()), rtol=0, atol=1e-10)
    assert cache.length == len(second)


def test_cache_survives_an_interrupted_forward() -> None:
    """Columns of a forward pass that stopped between two layers are dropped before the next one."""
    model, cache, ids = tiny_model("llama"), KVCache(), prompt_ids(20)
    attention.install(model)
    prefill(model, ids[:10], cache)
    cache.update(torch.ones(1, 2, 3, 16), torch.ones(1, 2, 3, 16), 0)
    torch.testing.assert_close(prefill(model, ids, cache), prefill(model, ids, KVCache()))


def test_prefix_columns_stand_before_the_prompt() -> None:
    """KV columns cut out of a longer run and put before the rest give the logits of the whole."""
    model, ids = tiny_model("llama").double(), prompt_ids(30)
    attention.install(model)
    whole = KVCache()
    expected = prefill(model, ids, whole)
    prefix = KVPrefix(
        [layer.keys[:, :, :12].clone() for layer in whole.layers],
        [layer.values[:, :, :12].clone() for layer in whole.layers],
        next_position=12,
    )
    torch.testing.assert_close(prefill(model, ids[12:], KVCache(prefix)), expected, rtol=0, atol=1e-10)


def test_cache_bytes_are_those_of_the_filled_columns() -> None:
    model, cache = tiny_model("llama"), KVCache()
    attention.install(model)
    prefill(model, prompt_ids(10), cache)
    config = model.config
    width = config.hidden_size // config.num_attention_heads
    assert cache.nbytes() == 2 * config.num_hidden_layers * config.num_key_value_heads * width * 10 * 4


def test_sampling_follows_the_seed_and_the_filters() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))

    def draws(**kwargs) -> list[int]:
        settings = dataclasses.replace(GenerationSettings(temperature=1.0, seed=3), **kwargs)
        sampler = Sampler(settings, torch.device("cpu"))
        return [sampler(logits, []) for _ in range(300)]

    assert draws() == draws() and draws() != draws(seed=4)
    assert set(draws()) == {0, 1, 2, 3}
    assert set(draws(top_k=2)) == {0, 1}
    assert set(draws(top_p=0.75)) == {0, 1}
    assert set(draws(min_p=0.25)) == {0, 1, 2}
    assert Sampler(GenerationSettings(temperature=1.0), torch.device("cpu")).seed is not None
    greedy = Sampler(GenerationSettings(repetition_penalty=3.0), torch.device("cpu"))
    assert greedy(logits, []) == 0 and greedy.seed is None
    assert greedy(logits, [0]) != 0, "a used token is penalised"
    only = Sampler(GENERATION_TWO, torch.device("cpu"), allowed=[2])
    assert only(logits, []) == 2


GENERATION_TWO = GenerationSettings(temperature=0.7, seed=1)


def test_repetition_penalty_equals_generate() -> None:
    model, ids = tiny_model("llama"), prompt_ids(12)
    expected = theirs(model, ids, 30, repetition_penalty=1.3)
    assert ours(model, ids, 30, GenerationSettings(repetition_penalty=1.3)) == expected


def run(engine: Engine, text: str, settings: GenerationSettings, **kwargs) -> tuple[str, Outcome]:
    prompt = RenderedPrompt(text, list(engine.tokenizer(text, add_special_tokens=False)["input_ids"]))
    *pieces, outcome = engine.generate(prompt, settings, **kwargs)
    assert isinstance(outcome, Outcome)
    return "".join(pieces), outcome


def test_generate_stops_at_the_limit_and_reports() -> None:
    engine = engine_of(tiny_model("llama"))
    text, outcome = run(engine, "hello there", GenerationSettings(max_new_tokens=9))
    assert outcome.reason == "length" and outcome.new_tokens == 9
    assert outcome.prompt_tokens == len("hello there") and outcome.cached_tokens == 0
    assert outcome.kv_bytes > 0 and outcome.tokens_per_s and outcome.ttft_ms and outcome.bandwidth_share
    assert text


def test_next_prompt_reuses_the_common_prefix() -> None:
    engine = engine_of(tiny_model("llama"))
    run(engine, "one two three", GenerationSettings(max_new_tokens=3))
    text, outcome = run(engine, "one two four", GenerationSettings(max_new_tokens=8))
    assert outcome.cached_tokens == len("one two ")
    engine.reset()
    assert run(engine, "one two four", GenerationSettings(max_new_tokens=8))[0] == text


def test_stop_string_ends_the_reply_before_it() -> None:
    engine = engine_of(tiny_model("llama"))
    whole, _ = run(engine, "abc", GenerationSettings(max_new_tokens=40))
    visible = [c for c in whole if c.isprintable() and c.isascii()]
    assert visible, "choose another seed"
    text, outcome = run(engine, "abc", GenerationSettings(max_new_tokens=40, stop=[visible[0]]))
    assert outcome.reason == "stop" and text == whole[: whole.index(visible[0])]


def test_stop_id_ends_the_reply() -> None:
    model = tiny_model("llama")
    first = ours(model, byte_tokenizer()("abc", add_special_tokens=False)["input_ids"], 5)[4]
    model.generation_config.eos_token_id = [first]
    _, outcome = run(engine_of(model), "abc", GenerationSettings(max_new_tokens=40))
    assert outcome.reason == "stop" and outcome.new_tokens <= 5


def test_cancel_is_seen_at_every_token() -> None:
    engine, seen = engine_of(tiny_model("llama")), []

    def cancel() -> bool:
        seen.append(1)
        return len(seen) > 5

    _, outcome = run(engine, "abc", GenerationSettings(max_new_tokens=400), cancel=cancel)
    assert outcome.reason == "cancelled" and outcome.new_tokens == 4  # one look before the prefill
    _, outcome = run(engine, "abcdef", GREEDY, cancel=lambda: True)
    assert outcome.reason == "cancelled" and outcome.new_tokens == 0


def test_a_prompt_without_room_is_refused() -> None:
    engine = engine_of(tiny_model("llama"))
    with pytest.raises(MemchatError, match="reads"):
        run(engine, "x" * engine.context, GREEDY)


def test_patches_are_undone_even_when_the_consumer_leaves() -> None:
    engine, log = engine_of(tiny_model("llama")), []

    class Patch:
        def __enter__(self) -> None:
            log.append("in")

        def __exit__(self, *error: object) -> None:
            log.append("out")

    prompt = RenderedPrompt("abc", [70, 71, 72])
    stream = engine.generate(prompt, GenerationSettings(max_new_tokens=400), Reach(patches=[Patch()]))
    next(stream)
    stream.close()
    assert log == ["in", "out"]

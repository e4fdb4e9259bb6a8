"""The contract of every memory: one table, shared bodies. A new method adds one row."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from memchat.config import GenerationSettings, Settings
from memchat.memory import registry
from memchat.memory.base import Budget, Memory, Message, Turn
from tests.test_engine import engine_of
from tests.tiny import tiny_model

GREEDY = GenerationSettings(max_new_tokens=12)

# (method, easy settings, hard settings)
TABLE: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("none", {}, {}),
    ("window", {}, {"remember.window_turns": 1}),
    ("full", {}, {}),
    ("search", {}, {"remember.window_turns": 1, "remember.found_turns": 2}),
    ("sql", {}, {"sql.decoding": "grammar", "sql.people": True, "sql.recent_turns": 0}),
]
DERIVED = {"sql"}
"""Methods whose model makes of a turn what it holds: a random one makes nothing, so their own tests script theirs."""
CASES = [
    pytest.param(name, overrides, id=f"{name}-{kind}")
    for name, easy, hard in TABLE
    for kind, overrides in (("easy", easy), ("hard", hard))
]
TALK = [
    Turn(1, "user", "My dog is called Biscuit."),
    Turn(2, "assistant", "Nice."),
    Turn(3, "user", "I live in Lund."),
    Turn(4, "assistant", "Good to know."),
]
QUESTION = Turn(9, "user", "What is my dog called?")


@pytest.fixture(scope="module")
def engine():
    return engine_of(tiny_model("llama"))


def made(engine: Any, name: str, overrides: dict[str, Any]) -> Memory:
    settings = Settings()
    for key, value in overrides.items():
        section, field = key.split(".")
        setattr(settings, section, replace(getattr(settings, section), **{field: value}))
    return registry.create(name, engine, None, settings)


def budget(engine: Any, tokens: int = 400) -> Budget:
    return Budget(tokens, lambda messages: len(engine.render(messages).ids))


def recalled(memory: Memory, engine: Any, turn: Turn = QUESTION, tokens: int = 400) -> Any:
    return memory.recall(turn, budget(engine, tokens))


def reply(engine: Any, memory: Memory) -> str:
    """The greedy reply through the memory, as a session runs it."""
    from memchat.session import _reach

    recall = recalled(memory, engine)
    prompt = engine.render([*recall.messages, Message("user", QUESTION.content)])
    engine.reset()
    return "".join(p for p in engine.generate(prompt, GREEDY, _reach(recall)) if isinstance(p, str))


def test_every_registered_mode_is_in_the_table() -> None:
    assert {name for name, *_ in TABLE} == set(registry.MODES)


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_nothing_written_equals_the_plain_model(engine: Any, name: str, overrides: dict[str, Any]) -> None:
    """Bit for bit: an empty memory must not move a single logit."""
    memory = made(engine, name, overrides)
    recall = recalled(memory, engine)
    ids = engine.render([*recall.messages, Message("user", QUESTION.content)]).ids
    plain = engine.render([Message("user", QUESTION.content)]).ids
    assert ids == plain and recall.prefix is None
    patch = recall.patch
    before = engine.model(torch.tensor([plain])).logits
    if patch is not None:
        with patch:
            assert torch.equal(engine.model(torch.tensor([plain])).logits, before)
    assert torch.equal(engine.model(torch.tensor([plain])).logits, before)


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_recall_is_pure(engine: Any, name: str, overrides: dict[str, Any]) -> None:
    memory = made(engine, name, overrides)
    for turn in TALK:
        memory.write(turn)
    first, size = recalled(memory, engine), memory.nbytes()
    again = recalled(memory, engine)
    assert again.messages == first.messages and again.trace == first.trace and memory.nbytes() == size


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_save_load_continue_gives_the_same_tokens(
    engine: Any, name: str, overrides: dict[str, Any], tmp_path: Path
) -> None:
    """Also after one further write on both sides."""
    memory, other = made(engine, name, overrides), made(engine, name, overrides)
    for turn in TALK[:2]:
        memory.write(turn)
    memory.save(tmp_path)
    other.load(tmp_path)
    assert reply(engine, other) == reply(engine, memory)
    for turn in TALK[2:]:
        memory.write(turn)
        other.write(turn)
    assert reply(engine, other) == reply(engine, memory)


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_bytes_reported_are_bytes_on_disk(engine: Any, name: str, overrides: dict[str, Any], tmp_path: Path) -> None:
    memory = made(engine, name, overrides)
    for turn in TALK:
        memory.write(turn)
    memory.save(tmp_path)
    assert memory.nbytes().disk == sum(f.stat().st_size for f in tmp_path.rglob("*") if f.is_file())


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_state_is_never_pickled(engine: Any, name: str, overrides: dict[str, Any], tmp_path: Path) -> None:
    memory = made(engine, name, overrides)
    memory.write(TALK[0])
    memory.save(tmp_path)
    for file in tmp_path.rglob("*"):
        assert file.suffix in {".json", ".jsonl", ".safetensors", ".db"}
        if file.suffix == ".json":
            json.loads(file.read_text("utf-8"))


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_forget_equals_never_told(engine: Any, name: str, overrides: dict[str, Any]) -> None:
    memory, control = made(engine, name, overrides), made(engine, name, overrides)
    for turn in TALK:
        memory.write(turn)
    for turn in TALK[2:]:
        control.write(turn)
    receipt = memory.forget([1, 2])
    assert receipt.removed == 2
    assert reply(engine, memory) == reply(engine, control)
    assert not [i for i in memory.items() if "Biscuit" in i.text]
    assert name in DERIVED or memory.nbytes() == control.nbytes()


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_items_show_what_is_held_and_where_it_is_from(engine: Any, name: str, overrides: dict[str, Any]) -> None:
    memory = made(engine, name, overrides)
    for turn in TALK:
        memory.write(turn)
    items = list(memory.items())
    if name in DERIVED:
        return
    assert {t for i in items for t in i.turns} == {1, 2, 3, 4}
    assert [i.turns for i in memory.items("biscuit")] == [(1,)]
    assert all(i.as_dict()["text"] for i in items)


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_patches_are_gone_after_exit_and_after_an_exception(engine: Any, name: str, overrides: dict[str, Any]) -> None:
    memory = made(engine, name, overrides)
    for turn in TALK:
        memory.write(turn)
    hooks = {id(m): (len(m._forward_hooks), len(m._forward_pre_hooks)) for m in engine.model.modules()}
    ids = torch.tensor([engine.render([Message("user", "hi")]).ids])
    before = engine.model(ids).logits
    reply(engine, memory)
    patch = recalled(memory, engine).patch
    if patch is not None:
        with pytest.raises(KeyError), patch:
            raise KeyError
    assert hooks == {id(m): (len(m._forward_hooks), len(m._forward_pre_hooks)) for m in engine.model.modules()}
    assert torch.equal(engine.model(ids).logits, before)


@pytest.mark.parametrize(("name", "overrides"), CASES)
def test_the_prompt_stays_within_the_budget(engine: Any, name: str, overrides: dict[str, Any]) -> None:
    memory = made(engine, name, overrides)
    for i in range(60):
        memory.write(Turn(i, "user" if i % 2 == 0 else "assistant", f"message number {i} " * 3))
    recall = recalled(memory, engine, tokens=300)
    assert len(engine.render([*recall.messages, Message("user", QUESTION.content)]).ids) <= 300
    assert recall.cost.prompt_tokens <= 300
    assert not recall.messages or recall.messages[0].role == "user"
    used = [i for i in recall.trace if i.kind == "turn" and i.used]
    assert len(used) == len([m for m in recall.messages if m.turn is not None])


def test_a_sixth_memory_needs_thirty_lines(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps of CONTRIBUTING.md, done by a toy: a class, one line in the registry, and it runs in a session."""
    from memchat.session import Session
    from memchat.store import Store
    from tests.fakes import FakeEngine

    mode = registry.Mode("tests.toy_memory:Diary", "one line a day")
    monkeypatch.setitem(registry.MODES, "diary", mode)
    with Store() as store:
        session = Session.open(store, FakeEngine(), Settings(memory="diary"))  # type: ignore[arg-type]
        list(session.ask("first entry"))
        list(session.ask("second entry"))
        assert "[diary] first entry" in session.engine.prompts[-1]
        assert [i["text"] for i in session.items().items] == ["first entry", "second entry"]

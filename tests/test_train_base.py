"""The base recipe: tokenizer, template, golden losses, the whole command on a tiny shape."""

from __future__ import annotations

import json
from random import Random

import pytest
import torch
from typer.testing import CliRunner

from memchat.data.world import dialogue
from memchat.data.world.pen import Asked, Dialogue, Line
from memchat.errors import MemchatError, UsageError
from memchat.paths import starter_dir
from trainers import base
from trainers.loop import train
from trainers.optim import muon_and_adamw
from trainers.recall import questions, replies, right, wilson
from trainers.run import read_log
from trainers.settings import apply
from trainers.tokenizer import encode_lines

TINY = {
    "hidden": 32,
    "layers": 2,
    "heads": 2,
    "kv_heads": 1,
    "intermediate": 64,
    "vocabulary": 512,
    "batch_tokens": 512,
    "tokenizer_chats": 60,
    "tokenizer_tasks": 5,
    "test_probes": 6,
    "steps": 4,
    "precision": "no",
    "log_every": 1,
    "eval_every": 0,
}
GOLDEN = [6.246537, 6.216554, 6.218302, 6.205837]


def tiny() -> base.BaseConfig:
    config = base.BaseConfig()
    apply(config, TINY)
    return config


@pytest.fixture(scope="module")
def tokenizer():
    return base.build_tokenizer(tiny())


@pytest.mark.parametrize(
    "text",
    [
        "My dog is called Biscuit.",
        "  two leading spaces",
        "héllo Ünï 你好 🎉🏽\n\ttab",
        "12345 and 3.14",
        "a  b   c",
        "ﬃ ½ İ",
        "'\"<>",
    ],
)
def test_the_tokenizer_round_trips(tokenizer, text: str):
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_a_name_has_the_same_tokens_wherever_it_stands(tokenizer):
    first, later = tokenizer("Quimby is my dog").input_ids, tokenizer("my dog is Quimby").input_ids
    name = tokenizer("Quimby").input_ids
    assert first[: len(name)] == name
    assert later[-len(name) :] == name


def test_digits_stand_alone(tokenizer):
    assert all(sum(c.isdigit() for c in token) <= 1 for token in tokenizer.get_vocab())


def test_the_template_renders_what_training_saw(tokenizer):
    """The chat template, through transformers, gives the very tokens of a training chat, system line or not."""
    batches, starts = base.ChatBatches(tiny(), tokenizer), set()
    for number in range(20):
        chat = dialogue("train", Random(number), 500)
        ids, weights = batches.encode(chat)
        messages = [{"role": line.role, "content": line.text} for line in chat.lines]
        starts.add(messages[0]["role"])
        assert tokenizer.apply_chat_template(messages, return_dict=False) == ids
        assert len(weights) == len(ids)
        asked = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
        assert ids[: len(asked)] == asked
        assert ids[-1] == tokenizer.eos_token_id
        assert all(weights[len(asked) :])
    assert starts == {"system", "user"}


def test_a_line_is_framed_by_its_role_and_the_end(tokenizer):
    ((ids, _),) = encode_lines(tokenizer, [("user", "plain")])
    assert ids[0] == tokenizer.convert_tokens_to_ids("<|user|>")
    assert ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(ids[1:-1]) == "plain"


def test_batches_depend_on_their_number_alone(tokenizer):
    a, b = base.ChatBatches(tiny(), tokenizer), base.ChatBatches(tiny(), tokenizer)
    b[0]
    assert all(torch.equal(a[3][name], b[3][name]) for name in ("input_ids", "weights"))
    assert not torch.equal(a[3]["input_ids"], a[2]["input_ids"])
    for number in range(4):
        batch = a[number]
        assert batch["weights"][batch["input_ids"] == tokenizer.pad_token_id].sum() == 0
        assert batch["weights"].sum() > 0


def test_chats_grow_longer(tokenizer):
    config = base.preset("quick")
    batches = base.ChatBatches(config, tokenizer)

    def longest(numbers: range) -> int:
        return max(batches.size(number, Random(number)) for number in numbers)

    steps = config.loop.steps
    assert longest(range(round(config.short_share * steps))) <= 600
    assert longest(range(round(0.8 * steps), steps)) > config.longest


def test_questions_about_things_never_told_come_late(tokenizer):
    config = base.preset("quick")
    batches = base.ChatBatches(config, tokenizer)

    def share(done: float) -> float:
        start = round(done * config.loop.steps)
        chats = [batches.maker(start + number, Random(number))() for number in range(60)]
        kinds = [asked.kind for chat in chats for asked in chat.asked]
        return kinds.count("abstain") / len(kinds)

    assert share(config.doubt_from) > 1.5 * share(config.doubt_from - 0.1)


@pytest.mark.parametrize("name", ["starter", "quick"])
def test_other_tasks_come_after_the_first_chats(tokenizer, monkeypatch, name: str):
    config = base.preset(name)
    batches = base.ChatBatches(config, tokenizer)
    monkeypatch.setattr(base, "TASKS", (lambda split, rng, size: (split, size),))
    monkeypatch.setattr(base, "dialogue", lambda split, rng, size, unknown: None)

    def made(numbers: range) -> list[tuple[str, int]]:
        chats = [batches.maker(number, Random(number))() for number in numbers]
        return [chat for chat in chats if chat]

    first, steps = round(config.tasks_from * config.loop.steps), config.loop.steps
    assert not made(range(first))
    tasks = made(range(first, steps))
    assert len(tasks) / (steps - first) == pytest.approx(config.tasks, abs=0.03)
    assert all(split == "train" and size <= 1200 for split, size in tasks)


@pytest.mark.parametrize("task", base.TASKS)
def test_a_task_becomes_a_row_like_a_chat(tokenizer, task):
    """Calls and results pass through the template too; what the assistant says is what counts."""
    chat = task("train", Random(1), 900)
    config = tiny()
    ids, weights = base.ChatBatches(config, tokenizer).encode(chat)
    messages = [{"role": line.role, "content": line.text} for line in chat.lines]
    assert tokenizer.apply_chat_template(messages, return_dict=False) == ids
    assert len(weights) == len(ids)
    assert max(weights) == base.WEIGHTS["answer"] * base.FOCUS


def test_values_and_first_tokens_of_answers_weigh_most(tokenizer):
    """What must be looked up, and whether there is anything to look up; not the words around it."""
    lines = [
        Line("user", "My dog is Bo.", "tell"),
        Line("assistant", "Okay, your dog is called Bo.", "echo", ("Bo",)),
        Line("user", "What is my dog called, and where do I live?", "ask"),
        Line("assistant", "Bo is your dog. You live in a big town.", "answer", ("bo", "big town")),
        Line("user", "What is my cat called?", "ask"),
        Line("assistant", "I do not know what your cat is called.", "unknown", ("",)),
    ]
    ids, weights = base.ChatBatches(tiny(), tokenizer).encode(Dialogue(lines, [], 2))
    marks = [n for n, i in enumerate(ids) if i == tokenizer.convert_tokens_to_ids("<|assistant|>")]
    heavy = []
    for mark, kind in zip(marks, ("echo", "answer", "unknown"), strict=True):
        end = ids.index(tokenizer.eos_token_id, mark)
        part = ids[mark + 1 : end], weights[mark + 1 : end]
        assert set(part[1]) == {base.WEIGHTS[kind], base.FOCUS * base.WEIGHTS[kind]}
        heavy.append(tokenizer.decode([i for i, weight in zip(*part, strict=True) if weight > base.WEIGHTS[kind]]))
    first = tokenizer.decode(tokenizer("I do").input_ids[:1])
    assert [text.split() for text in heavy] == [["Bo"], ["Bo", "big", "town"], [first]]
    assert all(weight <= base.USER_WEIGHT for weight in weights[: marks[0] + 1])


def test_golden_losses(tmp_path, tokenizer):
    config = tiny()
    model = base.build_model(config, tokenizer)
    optimizers = muon_and_adamw(model, config.muon_lr, config.adamw_lr, config.weight_decay)
    train(model, optimizers, base.ChatBatches(config, tokenizer), base.chat_loss, config.loop, tmp_path)
    found = [line["loss"] for line in read_log(tmp_path / "training.jsonl")]
    assert found == pytest.approx(GOLDEN, abs=2e-3)


def test_what_counts_as_right():
    fact = Asked("?", ["Mr. Biscuit"], "fact", 0, [0], [])
    assert right("Your dog is called mr biscuit.", fact)
    assert not right("Your dog is called Biscuits.", fact)
    update = Asked("?", ["Rome"], "update", 0, [0], ["Oslo"])
    assert right("You live in Rome.", update)
    assert not right("You live in Oslo or Rome.", update)
    unknown = Asked("?", [], "abstain", 0, [], [])
    assert right("You have not told me where you live.", unknown)
    assert not right("You live in Rome.", unknown)
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=1e-3)


def test_batched_replies_equal_single_ones(tokenizer):
    model = base.build_model(tiny(), tokenizer).eval()
    prompts = [question.ids for question in questions(tokenizer, "valid", 5, (200, 600))]
    assert replies(model, tokenizer, prompts, new=6) == [replies(model, tokenizer, [p], new=6)[0] for p in prompts]


def command(*args: str):
    from memchat.cli.train import app

    changes = [part for key, value in TINY.items() if key != "steps" for part in ("--set", f"{key}={value}")]
    return CliRunner().invoke(app, ["base", *changes, *args])


def test_the_command_trains_saves_and_resumes(tmp_path, monkeypatch):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.setenv("MEMCHAT_HOME", str(tmp_path))
    result = command("--steps", "3", "--seed", "2")
    assert result.exit_code == 0, result.output
    assert "n 6" in result.output
    out = tmp_path / "data" / "models" / "base-quick"
    names = {path.name for path in out.iterdir()}
    assert names >= {"config.json", "generation_config.json", "model.safetensors"}
    assert names >= {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    assert names >= {"card.md", "training.jsonl", "curve.svg", "run.json", "metrics.json"}
    assert "checkpoint.pt" not in names
    card = (out / "card.md").read_text()
    assert "seed 2: 3 steps" in card
    assert "| test | all | 6 |" in card
    assert json.loads((out / "run.json").read_text())["loop"]["steps"] == 3
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.dtype == torch.bfloat16
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|end|>")
    chat = [{"role": "user", "content": "Hello"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    assert prompt == "<|begin|><|user|>Hello<|end|><|assistant|>"
    again = command("--steps", "3", "--seed", "2", "--resume")
    assert isinstance(again.exception, MemchatError)
    assert "no checkpoint" in again.exception.message


def test_a_run_goes_on_with_a_model(tmp_path, tokenizer):
    """The weights, the shape and the tokenizer are those of the folder, whatever the settings say."""
    first, second = tmp_path / "first", tmp_path / "second"
    model = base.build_model(tiny(), tokenizer)
    base.save(model, tokenizer, first)
    (first / "run.json").write_text("{}")
    config = tiny()
    apply(config, {"steps": 1, "muon_lr": 0.0, "adamw_lr": 0.0, "weight_decay": 0.0, "hidden": 64, "vocabulary": 999})
    base.run(config, second, command="memchat train base --model first", model_folder=first)
    assert (second / "model.safetensors").read_bytes() == (first / "model.safetensors").read_bytes()
    assert (second / "tokenizer.json").read_bytes() == (first / "tokenizer.json").read_bytes()
    assert json.loads((second / "run.json").read_text())["recipe"]["hidden"] == 32
    assert (second / "before" / "run.json").read_text() == (first / "run.json").read_text()
    assert "`memchat train base --model first`" in (second / "card.md").read_text()


def test_wrong_usage_is_said_in_one_line(tmp_path):
    assert isinstance(command("--preset", "quik").exception, UsageError)
    assert isinstance(command("--set", "hiddn=3").exception, UsageError)
    assert isinstance(command("--set", "heads=5").exception, UsageError)
    assert isinstance(command("--config", str(tmp_path / "none.toml")).exception, UsageError)
    assert command("--steps", "0").exit_code == 2


NAMES = ("Biscuit", "Rover", "Quetzalcoatl", "Xanthippe", "Mr. Wobbles", "Bartholomew", "Zyxwv", "Tchaikovsky")


@pytest.fixture(scope="module")
def starter():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = starter_dir()
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32), AutoTokenizer.from_pretrained(folder)


def talk_to(starter, *said: str, system: str | None = None) -> str:
    """The last reply of a conversation in which the user says `said`."""
    model, tokenizer = starter
    messages = [] if system is None else [{"role": "system", "content": system}]
    for text in said:
        messages.append({"role": "user", "content": text})
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        messages.append({"role": "assistant", "content": replies(model, tokenizer, [prompt])[0]})
    return messages[-1]["content"]


def test_the_shipped_starter_remembers_a_name(starter):
    for system in (None, "", "You are a helpful assistant."):
        told = ("My dog is called Biscuit.", "What is my dog called?")
        assert talk_to(starter, *told, system=system) == "Your dog is called Biscuit."
    assert "Biscuit" in talk_to(starter, "hi", "my dog is called Biscuit", "thanks", "whats my dogs name")


def test_the_shipped_starter_copies_names_of_any_kind(starter):
    asked = {name: talk_to(starter, f"My dog is called {name}.", "What is my dog called?") for name in NAMES}
    assert all(name in reply for name, reply in asked.items()), asked


def test_the_shipped_starter_is_the_recipes(starter, tokenizer):
    """Its folder is complete, and its tokenizer speaks the recipe's template."""
    model, shipped = starter
    assert shipped.chat_template == tokenizer.chat_template
    assert model.config.max_position_embeddings == shipped.model_max_length == base.BaseConfig().context
    runs = [starter_dir()]
    while (runs[-1] / "before").is_dir():
        runs.append(runs[-1] / "before")
    for name, folder in (("polish", runs[0]), ("more", runs[2]), ("starter", runs[-1])):
        described = json.loads((folder / "run.json").read_text())
        recipe, today = described["recipe"], base.settings(base.preset(name))
        assert all(recipe[key] == today[key] for key in recipe.keys() & today.keys())
        assert read_log(folder / "training.jsonl")[-1]["step"] == described["loop"]["steps"]
    assert sum(path.stat().st_size for path in starter_dir().rglob("*") if path.is_file()) < 16e6
    assert (starter_dir() / "card.md").read_text().startswith("# memchat starter")

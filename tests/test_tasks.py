"""Bracket patterns, and the tasks of the synthetic world: right answers, disjoint splits, shipped texts, speed."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest

from memchat.data.grammar import LIMIT, SPLITS, expand, phrases, split_of
from memchat.data.tasks.labels import labels_task
from memchat.data.tasks.shared import known_pool
from memchat.data.tasks.sql import Case, items, retrieval_case, sql_task, storage_case
from memchat.data.tasks.sql_table import SPEAKERS, Table
from memchat.data.tasks.stories import stories_task
from memchat.data.tasks.tools import tools_of, tools_task
from memchat.data.world.pen import Dialogue
from memchat.shelf import texts

TASKS: dict[str, Callable[[str, Random, int], Dialogue]] = {
    "sql": sql_task, "tools": tools_task, "labels": labels_task, "stories": stories_task,
}  # fmt: skip
HOLE = re.compile(r"\{[a-z]\w*\}")


def episodes(name: str, split: str, count: int, size: int = 800) -> Iterator[Dialogue]:
    return (TASKS[name](split, Random(f"{name} {split} {i}"), size) for i in range(count))


# patterns


def test_expand() -> None:
    assert expand("[a|b|] x") == ("a x", "b x", "x")
    assert expand("[my|the] dog [[really] barks|sleeps] .") == (
        "my dog really barks.", "my dog barks.", "my dog sleeps.",
        "the dog really barks.", "the dog barks.", "the dog sleeps.",
    )  # fmt: skip
    assert expand("[a|a]  {v} , {w}") == ("a {v}, {w}",)
    for wrong in ("[a", "a]", "[a|[b]"):
        with pytest.raises(ValueError, match="bracket"):
            expand(wrong)
    with pytest.raises(ValueError, match=str(LIMIT)):
        expand("[a|b|c|d] " * 9)


@pytest.mark.parametrize("count", [3, 7, 8, 16, 100])
def test_phrases_are_disjoint_and_complete(count: int) -> None:
    patterns = [f"[sentence|line] {i}" for i in range(count // 2)] + ["odd"] * (count % 2)
    parts = {split: phrases(patterns, split) for split in SPLITS}
    assert sorted(text for part in parts.values() for text in part) == sorted(t for p in patterns for t in expand(p))
    assert all(1 <= len(parts[split]) <= max(1, count // 8) for split in ("test", "valid"))
    assert phrases(tuple(reversed(patterns)), "test") == parts["test"]


def test_what_is_held_out_has_siblings_in_training() -> None:
    patterns = [f"[a|b|c|d] {i}" for i in range(20)] + [f"alone {i}" for i in range(40)]
    parts = {split: phrases(patterns, split) for split in SPLITS}
    for split in ("test", "valid"):
        assert len(parts[split]) > 3
        assert not any(text.startswith("alone") for text in parts[split])
        assert all(any(f"{mark} {text[2:]}" in parts["train"] for mark in "abcd") for text in parts[split])
    alone = [f"alone {i}" for i in range(8)]
    assert all(len(phrases(alone, split)) == 1 for split in ("test", "valid")), "where there is nothing else"


def test_lists_too_small_for_three_splits_are_refused() -> None:
    with pytest.raises(ValueError, match="three"):
        phrases(["a", "b", "[a|b]"], "train")
    with pytest.raises(ValueError):
        phrases(["a", "b", "c"], "dev")


def test_split_of_is_stable() -> None:
    found = [split_of(f"text {i}") for i in range(4000)]
    assert found[:8] == [split_of(f"text {i}") for i in range(8)]
    assert 0.72 < found.count("train") / 4000 < 0.78
    assert 0.1 < found.count("test") / 4000 < 0.15


# all tasks


def lists(value: Any, path: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        yield path, value
    elif isinstance(value, dict | tuple):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            yield from lists(inner, f"{path}.{key}")


@pytest.mark.parametrize("name", list(TASKS))
def test_every_list_of_the_shipped_texts_has_three_splits(name: str) -> None:
    unsplit = re.compile(r"\.(closed|names|heads|none|chat_answers|links|ack|thanks|things|made_places)\b")
    found = [(path, values) for path, values in lists(texts(name), name) if not unsplit.search(path)]
    assert found
    for path, values in found:
        assert all(phrases(values, split) for split in SPLITS), path


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", list(TASKS))
def test_episodes_are_well_formed(name: str, split: str) -> None:
    for dialogue in episodes(name, split, 150):
        assert dialogue.asked
        roles = [line.role for line in dialogue.lines if line.role != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2)
        for line in dialogue.lines:
            assert line.text.strip() == line.text != ""
            assert not HOLE.search(line.text), line.text
            assert line.kind in {
                "system": {"system"}, "user": {"tell", "ask", "talk"}, "assistant": {"ack", "talk", "answer", "story"},
            }[line.role]  # fmt: skip
        for asked in dialogue.asked:
            question, reply = dialogue.lines[asked.turn : asked.turn + 2]
            assert dialogue.ask_from <= asked.turn
            assert (question.role, question.text) == ("user", asked.question)
            assert (reply.role, reply.kind) == ("assistant", "answer")
            assert all(answer.casefold() in reply.text.casefold() for answer in asked.answers)
            assert asked.answers or asked.kind == "abstain"
        assert sum(line.kind == "answer" for line in dialogue.lines) == len(dialogue.asked)


@pytest.mark.parametrize("name", list(TASKS))
def test_episodes_follow_from_the_generator_alone(name: str) -> None:
    assert list(episodes(name, "train", 20)) == list(episodes(name, "train", 20))
    assert len({dialogue.lines[-2].text for dialogue in episodes(name, "train", 50)}) > 25


@pytest.mark.parametrize("name", ["tools", "labels", "stories"])
def test_size_is_about_what_is_asked(name: str) -> None:
    for size in (500, 1500):
        used = [sum(len(line.text) for line in d.lines) for d in episodes(name, "train", 100, size)]
        assert 0.6 * size < sum(used) / 100 < 1.5 * size
        assert max(used) < 3 * size


def said_values(name: str, split: str) -> set[str]:
    """What a split's answers copy: string arguments, SQL literals, labels, story values."""
    found: set[str] = set()
    closed = {value for values in texts("tools")["closed"].values() for value in values}
    for dialogue in episodes(name, split, 400):
        for asked in dialogue.asked:
            for answer in asked.answers:
                if name == "tools" and asked.kind == "call":
                    values = [v for line in answer.split("\n") for v in json.loads(line.split(" ", 1)[1]).values()]
                    found |= {v for v in values if isinstance(v, str)} - closed
                elif name == "sql":
                    found |= {v.replace("''", "'") for v in re.findall(r"'((?:[^']|'')*)'", answer)}
                elif name != "tools":
                    found.add(answer)
    return {value.casefold() for value in found} - {*SPEAKERS, "other"}


@pytest.mark.parametrize("name", list(TASKS))
def test_values_of_the_splits_are_disjoint(name: str) -> None:
    values = {split: said_values(name, split) for split in SPLITS}
    assert all(len(found) > 30 for found in values.values())
    assert not values["train"] & values["test"]
    assert not values["train"] & values["valid"]
    assert not values["valid"] & values["test"]


@pytest.mark.parametrize("name", list(TASKS))
def test_speed(name: str) -> None:
    list(episodes(name, "train", 20))
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        written = sum(len(line.text) for dialogue in episodes(name, "train", 150) for line in dialogue.lines)
        best = min(best, (time.process_time() - start) / written * 1e6)
    assert best < 2.0  # milliseconds for 1000 characters; 0.25 to 0.6 is usual


# SQL


def database(table: Table) -> sqlite3.Connection:
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, relation TEXT)")
    for column in table.columns:
        base.execute(f"ALTER TABLE users ADD COLUMN {column} TEXT")
    for key, row in table.rows.items():
        names = ", ".join(["relation", *row])
        values = [key if key in SPEAKERS else "other", *row.values()]
        base.execute(f"INSERT INTO users ({names}) VALUES ({', '.join('?' * len(values))})", values)
    return base


def contents(base: sqlite3.Connection) -> tuple[dict[str, dict[str, str]], list[str]]:
    base.row_factory = sqlite3.Row
    rows = [dict(row) for row in base.execute("SELECT * FROM users")]
    columns = [row["name"] for row in base.execute("PRAGMA table_info(users)")][3:]
    cells = {
        row["relation"] if row["relation"] in SPEAKERS else row["name"]: {
            name: value for name, value in row.items() if name not in ("id", "relation") and value is not None
        }
        for row in rows
    }
    assert len(cells) == len(rows)
    return cells, columns


def run(base: sqlite3.Connection, sql: str) -> list[list[tuple[Any, ...]]]:
    return [[tuple(row) for row in base.execute(line)] for line in sql.split("\n") if line != "NOOP"]


def storage_cases(count: int = 1500) -> Iterator[tuple[str, Case]]:
    for i in range(count):
        split = SPLITS[i % 3]
        yield split, storage_case(split, Random(f"store {i}"), 200 + i % 900)


def test_storage_sql_does_what_the_line_says() -> None:
    for _, case in storage_cases():
        base = database(case.before)
        assert contents(base) == (case.before.rows, case.before.columns)
        run(base, case.sql)
        assert contents(base) == (case.after.rows, case.after.columns)
        assert (case.sql == "NOOP") == (case.before == case.after)
        marked = case.dialogue.lines[1].text.split("> ", 1)[1]
        target = marked.split(":")[0]
        for key, row in case.after.rows.items():
            before = case.before.rows.get(key, {"name": key})
            changed = {name: value for name, value in row.items() if before.get(name) != value}
            assert not changed or key == target or key not in SPEAKERS, "the other speaker's row changed"
            assert all(value in marked for value in changed.values())


def test_the_storage_prompt_shows_the_row_and_the_fields() -> None:
    for _, case in storage_cases(300):
        system, user = case.dialogue.lines[0].text, case.dialogue.lines[1].text
        target = user.split("> ", 1)[1].split(":")[0]
        row = case.before.rows[target]
        assert all(f"\n{name} = {value}\n" in system for name, value in row.items() if name != "name")
        assert all(name in system for name in case.before.columns)
        assert len(system) < 2000


def test_storage_meets_every_kind_of_turn() -> None:
    said = [case.sql for _, case in storage_cases()]
    for pattern in ("ADD COLUMN", "INSERT INTO", "= NULL", "SET name =", "''", "[^\x00-\x7f]", "name = '", "^NOOP$"):
        assert sum(bool(re.search(pattern, sql)) for sql in said) >= 8, pattern
    assert 0.15 < said.count("NOOP") / len(said) < 0.5
    turns = [case.dialogue.lines[1].text for _, case in storage_cases()]
    assert any("DROP TABLE" in text for text in turns)
    assert any(text.startswith("> ") for text in turns)


def test_retrieval_reads_the_cells_asked_for_and_nothing_else() -> None:
    lengths = []
    for i in range(1000):
        case = retrieval_case(SPLITS[i % 3], Random(f"read {i}"), 200 + i % 900)
        base = database(case.before)
        expected = [[(case.before.rows[key][name],)] for key, name in case.reads]
        assert run(base, case.sql) == expected
        assert contents(base) == (case.before.rows, case.before.columns)
        assert not any(value in case.dialogue.lines[0].text for [(value,)] in expected)
        lengths.append(len(expected))
    assert {0, 1, 2, 3, 4} <= set(lengths)


def test_the_world_has_enough_attributes() -> None:
    assert len({item.field for item in items()}) >= 60
    assert all(known_pool(item.pool, {}) for item in items())
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{1,39}", item.field) for item in items())


# tools


def test_tools_belong_to_one_split() -> None:
    names = [[tool["name"] for tool in tools_of(split)] for split in SPLITS]
    assert sum(map(len, names)) == len({name for part in names for name in part}) >= 40
    assert all(len(part) >= 5 for part in names)
    file = texts("tools")
    for tool in file["tool"]:
        holes = {hole[1:-1] for pattern in tool["ask"] for hole in HOLE.findall(pattern)}
        assert holes == set(tool["parameters"]), tool["name"]
        assert all(known_pool(pool, {**file["pools"], **file["closed"]}) for pool in tool["parameters"].values())


@pytest.mark.parametrize("split", SPLITS)
def test_calls_fit_their_definition_and_copy_the_request(split: str) -> None:
    checks = {"string": str, "integer": int, "number": (int, float)}
    counts: list[int] = []
    for dialogue in episodes("tools", split, 300):
        defined = {d["name"]: d["parameters"] for d in map(json.loads, dialogue.lines[0].text.split("\n")[1:])}
        assert 2 <= len(defined) <= 8
        for asked in dialogue.asked:
            calls = asked.answers[0].split("\n") if asked.kind == "call" else []
            counts.append(len(calls))
            for call in calls:
                name, arguments = call.split(" ", 1)
                given = json.loads(arguments)
                assert arguments == json.dumps(given, ensure_ascii=False)
                assert [key for key in defined[name] if key in given] == list(given)
                assert all(key in given or "optional" in kind for key, kind in defined[name].items())
                for key, value in given.items():
                    assert isinstance(value, checks[defined[name][key].split(",")[0]])
                    assert str(value).casefold() in asked.question.casefold()
            if not calls:
                assert "{" not in asked.answers[0]
    assert {0, 1, 2} == set(counts)


# labels


@pytest.mark.parametrize("split", SPLITS)
def test_labels_are_shown_before_they_are_asked(split: str) -> None:
    for dialogue in episodes("labels", split, 200):
        shown = "\n".join(line.text for line in dialogue.lines[: dialogue.ask_from])
        for asked in dialogue.asked:
            assert all(asked.answers[0] in dialogue.lines[turn].text for turn in asked.evidence) and asked.evidence
            assert dialogue.lines[asked.turn + 1].text == asked.answers[0]
            assert asked.question not in shown.split("\n")


def test_only_the_context_tells_the_labels() -> None:
    found = [frozenset(a.answers[0] for a in d.asked) for d in episodes("labels", "train", 100)]
    assert len(set(found)) > 95
    assert {len(labels) for labels in found} >= {2, 3, 4}


# stories


@pytest.mark.parametrize("split", SPLITS)
def test_story_answers_stand_in_their_evidence(split: str) -> None:
    kinds = set()
    for dialogue in episodes("stories", split, 200, 1500):
        for asked in dialogue.asked:
            kinds.add(asked.kind)
            assert len(asked.evidence) == len(asked.answers)
            for turn, answer in zip(asked.evidence, asked.answers, strict=True):
                assert answer.casefold() in dialogue.lines[turn].text.casefold()
            assert not set(asked.answers) & set(asked.superseded)
    assert kinds == {"fact", "update", "abstain"}


def test_nothing_happens_to_a_thing_after_its_last_event() -> None:
    checked = 0
    for dialogue in episodes("stories", "train", 200, 1500):
        for asked in dialogue.asked:
            told = re.fullmatch(r"(.+) has the (\w+)\.|The (\w+) is in the (.+)\.", dialogue.lines[asked.turn + 1].text)
            if not told or not asked.answers:
                continue
            thing = re.compile(rf"\b{told[2] or told[3]}\b")
            story = [line.text for line in dialogue.lines[: dialogue.ask_from]]
            assert not any(thing.search(text) for text in story[asked.evidence[0] + 1 :])
            sentence = [s for s in re.split(r"(?<=\.) ", story[asked.evidence[0]]) if thing.search(s)][-1]
            assert asked.answers[0].casefold() in sentence.casefold()
            checked += 1
    assert checked > 100


def test_long_stories_ask_for_what_is_far_back() -> None:
    for dialogue in episodes("stories", "test", 20, 12000):
        starts = [0]
        for line in dialogue.lines:
            starts.append(starts[-1] + len(line.text))
        assert 9000 < starts[-1] < 13500
        for asked in dialogue.asked:
            assert all(starts[asked.turn] - starts[turn + 1] > 4000 for turn in asked.evidence)

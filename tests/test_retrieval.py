"""The memory that finds older messages by their words."""

from __future__ import annotations

from pathlib import Path

import pytest

from memchat.config import load_settings
from memchat.memory.base import Budget, Turn
from memchat.memory.retrieval import Search

BUDGET = Budget(1000, lambda messages: sum(len(m.content.split()) for m in messages))
LINES = ["my dog is Rex", "nice", "i live in Oslo", "cold there", "the dogs are loud", "oh", "hello", "hi"]


@pytest.fixture
def memory() -> Search:
    made = Search(None, None, load_settings({"remember.window_turns": 2, "remember.found_turns": 4}))
    for number, line in enumerate(LINES, 1):
        made.write(Turn(number, "user" if number % 2 else "assistant", line))
    return made


def seen(memory: Search, question: str, budget: Budget = BUDGET) -> list[int | None]:
    return [message.turn for message in memory.recall(Turn(99, "user", question), budget).messages]


def test_whole_exchanges_are_found_and_stand_in_their_order(memory: Search) -> None:
    assert seen(memory, "where do I live?") == [3, 4, 7, 8]
    assert seen(memory, "what is my dog called?") == [1, 2, 5, 6, 7, 8], "word forms count"
    assert seen(memory, "what is it?") == [7, 8], "words that say nothing find nothing"
    assert seen(memory, 'AND "( OR') == [7, 8]


def test_no_more_is_found_than_allowed_and_no_more_than_fits(memory: Search) -> None:
    memory.found = 2
    assert len(seen(memory, "dog")) == 4
    assert seen(memory, "dog", Budget(6, BUDGET.count)) == [7, 8]


def test_the_trace_says_what_was_not_seen(memory: Search) -> None:
    trace = memory.recall(Turn(99, "user", "Oslo"), BUDGET).trace
    assert [item.id for item in trace if item.used] == ["3", "4", "7", "8"] and len(trace) == 8


def test_what_is_forgotten_is_not_found(memory: Search, tmp_path: Path) -> None:
    memory.forget([1, 2])
    assert seen(memory, "dog") == [5, 6, 7, 8]
    memory.save(tmp_path)
    again = Search(None, None, load_settings({"remember.window_turns": 2}))
    again.load(tmp_path)
    assert seen(again, "dog") == [5, 6, 7, 8] and seen(again, "Rex") == [7, 8]

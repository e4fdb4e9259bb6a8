"""Speed of the SQL memory's own part: what is measured, that it is measured, and what the command prints."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from memchat import paths
from memchat.errors import UsageError
from memchat.evals import facts_speed
from memchat.memory.sql import search as fts
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.sandbox import Execution, Read
from memchat.memory.sql.table import OTHER, Difference, NewPerson

SMALL = {"calls": 4, "fields": 6, "facts": 45}


def measured(repeats: int = 1, **more: int) -> list[dict[str, Any]]:
    return facts_speed.measure_facts(repeats, lambda done, total: None, **{**SMALL, **more})


def test_three_kinds_of_calls_are_measured_and_nothing_is_left_behind() -> None:
    seen: list[tuple[int, int]] = []
    rows = facts_speed.measure_facts(2, lambda done, total: seen.append((done, total)), **SMALL)
    assert [(row["what"], row["budget"]) for row in rows] == [
        ("storage call, 6 fields", "10 p95"),
        ("retrieval call, 6 fields", "5 p95"),
        ("full-text query, 45 facts", "5 p95"),
    ]
    for row in rows:
        assert row["n"] == 8 and 0 < row["median"] <= row["p95"] <= row["max"]
    assert seen == [(8, 8)], "eight people have 45 facts of six fields"
    assert list(paths.data_dir().iterdir()) == []


@pytest.mark.parametrize(
    ("row", "parts"), [(0, ("run_storage", "judge")), (1, ("run_retrieval",)), (2, ("search",))], ids=str
)
def test_the_clock_runs_during_the_call_alone(
    monkeypatch: pytest.MonkeyPatch, row: int, parts: tuple[str, ...]
) -> None:
    """On a clock that only these parts move forward, by a quarter of a second each."""
    now = 0.0

    def moved(real: Any, *args: Any, **more: Any) -> Any:
        nonlocal now
        now += 0.25
        return real(*args, **more)

    monkeypatch.setattr(facts_speed, "perf_counter", lambda: now)
    for part in parts:
        monkeypatch.setattr(facts_speed, part, partial(moved, getattr(facts_speed, part)))
    found = [[figures[name] for name in ("median", "p95", "max")] for figures in measured()]
    assert found[row] == [250 * len(parts)] * 3
    assert all(figures == [0, 0, 0] for i, figures in enumerate(found) if i != row)


def test_each_storage_call_changes_the_file_and_meets_a_table_of_the_same_size(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, ops = [], []
    run, apply = facts_speed.run_storage, FactStore.apply

    def storage(sql: str, table: Any, target: int) -> Any:
        sizes.append((len(table.fields), len(table.cells)))
        return run(sql, table, target)

    def applied(store: FactStore, *args: Any, **more: Any) -> Any:
        op = apply(store, *args, **more)
        if op.raw:
            ops.append(op)
        return op

    monkeypatch.setattr(facts_speed, "run_storage", storage)
    monkeypatch.setattr(FactStore, "apply", applied)
    measured(calls=6)
    assert sizes == [(6, 12)] * 6
    assert [len(op.edits) for op in ops] == [1, 2, 2] * 2, "a cell, two cells, a field with its cell"
    assert {op.status for op in ops} == {"done"}


@pytest.mark.parametrize(
    ("part", "idle", "what"),
    [
        ("run_storage", Execution((), Difference()), "stored"),
        ("run_retrieval", Read((), frozenset(), ()), "read"),
        ("search", [], "found"),
    ],
)
def test_a_call_that_does_nothing_is_no_measurement(
    monkeypatch: pytest.MonkeyPatch, part: str, idle: Any, what: str
) -> None:
    monkeypatch.setattr(facts_speed, part, lambda *args, **more: idle)
    with pytest.raises(AssertionError, match=f"nothing was {what}"):
        measured()


def speed(*args: str) -> Any:
    from memchat.cli.evaluate import app

    return CliRunner().invoke(app, ["speed", "--facts", *args])


def test_the_command_prints_json_and_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_speed, "measure_facts", partial(facts_speed.measure_facts, **SMALL))
    result = speed("--repeats", "2", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)
    assert [sorted(row) for row in rows] == [["budget", "max", "median", "n", "p95", "what"]] * 3
    assert {row["n"] for row in rows} == {8}
    shown = speed("--repeats", "1").stdout
    for text in ("milliseconds", "p95", "budget", *(row["what"] for row in rows), "10 p95"):
        assert text in shown


@pytest.mark.parametrize("args", [("--startup",), ("--training",), ("--model", "starter"), ("--set", "hidden=3")])
def test_what_does_not_fit_is_said(args: tuple[str, ...]) -> None:
    result = speed(*args)
    assert isinstance(result.exception, UsageError) and "--facts" in str(result.exception)


def test_words_of_very_many_facts_rank_those_that_a_rarer_word_finds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(fts, "RANKED", 3)
    with FactStore(tmp_path / "facts.db") as store:
        for person in range(5):
            cells = (("home_city", f"town{person}"), ("home_street", "Elm"), ("work_city", f"port{person // 3}"))
            store.apply([], people=[NewPerson(f"P{person}", OTHER, cells)])

        def found(query: str, limit: int = 8) -> list[tuple[str, str]]:
            return [(item.fact.field, item.fact.value) for item in fts.search(store, query, limit)]

        assert found("town3") == [("home_city", "town3")]
        assert found("Is town3 a city?") == [("home_city", "town3")], "all other cities say nothing about town3"
        assert found("port1 of the home city or street")[0] == ("work_city", "port1")
        assert found("home port1 town4")[0] == ("home_city", "town4"), "it has two of the words"
        assert found("nobody's home street", 2) == [("home_street", "Elm")] * 2
        assert found("city", 3) == [("work_city", "port1"), ("home_city", "town4"), ("work_city", "port1")], "newest"
        monkeypatch.setattr(fts, "RANKED", 5)
        assert found("home city") == [("home_city", f"town{person}") for person in range(5)], "those with all words"
        assert found("nobody") == []

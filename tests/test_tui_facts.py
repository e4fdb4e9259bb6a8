"""The inspector of the facts: the live table and its keys, the way back in time, and ten thousand rows."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.style import Style
from textual.app import App
from textual.pilot import Pilot
from textual.widgets import Static

from memchat.config import Settings
from memchat.errors import MemchatError, UsageError
from memchat.memory.sql import history
from memchat.memory.sql.commands import run_command
from memchat.memory.sql.erase import erase
from memchat.memory.sql.facts import Fact, FactStore
from memchat.memory.sql.past import past
from memchat.protocol import Items, Recalled, Wrote
from memchat.session import Session
from memchat.store import Store
from memchat.tui.inspectors.base import Snapshot
from memchat.tui.inspectors.facts import Facts, FactsView
from memchat.tui.inspectors.slider import Slider
from tests.fakes import FakeEngine
from tests.test_sql_facts import tell
from tests.tui_driver import Driver, running

ENGINE = [sys.executable, "-m", "tests.fake_engine_worker"]
LONG = 10_000


# --- with an engine: what is said becomes facts, and keys become commands


@asynccontextmanager
async def chatting() -> AsyncIterator[tuple[Driver, FactsView]]:
    """The interface on the SQL memory, with a scripted engine in a process of its own."""
    async with running(command=ENGINE, settings={"memory": "sql"}, size=(150, 40)) as tui:
        await tui.ready()
        await tui.wait_until(lambda: tui.app.query(FactsView), "the inspector")
        yield tui, tui.app.query_one(FactsView)


def known(view: FactsView) -> dict[str, str]:
    return {row.cell: row.value for row in view.rows}


def head(view: FactsView) -> str:
    """What stands above the table, before it is wrapped."""
    return str(view.query_one("#sqls", Static).content)


def lines(view: FactsView) -> list[str]:
    """The table as it is drawn, without its header."""
    table = view.query_one(Facts)
    return [table.render_line(y + 1).text for y in range(table.rows)]


def style_of(view: FactsView, text: str) -> Style:
    """How a text is drawn in the table."""
    table = view.query_one(Facts)
    for y in range(1, table.rows + 1):
        for segment in table.render_line(y):
            if text in segment.text and segment.style:
                return segment.style
    raise AssertionError(f"{text!r} is not in the table")


def color(view: FactsView, text: str) -> str:
    style = style_of(view, text)
    return style.color.name if style.color else ""


async def test_a_fact_is_told_read_corrected_locked_forgotten_and_brought_back() -> None:
    async with chatting() as (tui, view):
        await tui.say("My dog is called Rex.")
        await tui.wait_until(lambda: known(view) == {"user.dog": "Rex"}, "the fact")
        await tui.wait_until(lambda: "UPDATE users SET dog = 'Rex'" in head(view), "the SQL of the turn")
        assert "1 fact   live table" in tui.screen_text()
        assert color(view, "Rex") == "green" and style_of(view, "Rex").bold, "written in this turn"
        await tui.say("what is my dog?")
        await tui.wait_until(lambda: color(view, "Rex") == "cyan", "read in this turn")

        view.query_one(Facts).focus()
        await tui.pilot.press("p")
        await tui.wait_until(lambda: "user.dog: Rex, since" in tui.screen_text(), "where it comes from")
        shown = tui.screen_text()
        assert "model from message 1, recorded at" in shown and "as entry 2 of the log" in shown
        assert "no adapter, the chat model itself" in shown
        assert "    UPDATE users SET dog = 'Rex' WHERE relation = 'user'" in shown
        await tui.pilot.press("escape")
        await tui.pilot.press("m")
        await tui.wait_until(lambda: tui.chat.transcript.cursor == 0, "its message")
        assert tui.chat.focused is tui.chat.transcript

        view.query_one(Facts).focus()
        await tui.pilot.press("e")
        assert tui.chat.prompt.text == "/set user.dog Rex" and tui.chat.focused is tui.chat.prompt
        await tui.send("/set user.dog Max")
        await tui.wait_until(lambda: known(view) == {"user.dog": "Max"}, "the correction")
        assert "locked yours" in lines(view)[0]
        view.query_one(Facts).focus()
        await tui.pilot.press("l")
        await tui.wait_until(lambda: not view.rows[0].locked, "unlocked")
        await tui.pilot.press("l")
        await tui.wait_until(lambda: view.rows[0].locked, "locked again")
        await tui.pilot.press("x")
        await tui.wait_until(lambda: not view.rows, "forgotten")
        await tui.pilot.press("u")
        await tui.wait_until(lambda: known(view) == {"user.dog": "Max"}, "undone")
        await tui.pilot.press("U")
        await tui.wait_until(lambda: not view.rows, "done again")


async def test_the_past_is_walked_through_and_cannot_be_edited() -> None:
    async with chatting() as (tui, view):
        for number, line in enumerate(("My dog is Rex.", "My city is Lund.", "My dog is Max."), 1):
            await tui.say(line)
            await tui.wait_until(lambda n=number: len(view.rows) == min(n, 2), line)
        now = {"user.dog": "Max", "user.city": "Lund"}
        await tui.wait_until(lambda: known(view) == now)
        table = view.query_one(Facts)
        table.focus()

        await tui.pilot.press("[")
        await tui.wait_until(lambda: known(view) == {"user.dog": "Rex", "user.city": "Lund"}, "before the last change")
        shown = tui.screen_text()
        assert "2 facts   as of 20" in shown and " UTC   2 of 3 changes" in shown
        assert "model, store  user.city: nothing → Lund" in shown and "UPDATE users SET city = 'Lund'" in head(view)
        assert color(view, "Lund") == "green", "written by the change that is looked at"
        assert not (color(view, "Rex") == "green" or style_of(view, "Rex").bold)
        for key in ("e", "l", "x", "u", "U"):
            tui.chat.notice.clear()
            await tui.pilot.press(key)
            assert "the past cannot be edited" in tui.notice
        assert tui.chat.prompt.text == "" and table.has_focus
        table.go([row.cell for row in view.shown].index("user.dog"), 0)
        await tui.pilot.press("p")
        await tui.wait_until(lambda: "user.dog: Rex, since" in tui.screen_text(), "where the fact of then comes from")
        await tui.pilot.press("escape")

        await tui.pilot.press("[", "[")
        await tui.wait_until(lambda: view.slider.arrived and not view.rows, "before the first change")
        assert "0 facts   as of 20" in tui.screen_text() and "0 of 3 changes" in tui.screen_text()
        await tui.pilot.press("[", "]")
        await tui.wait_until(lambda: known(view) == {"user.dog": "Rex"}, "it does not go below the first")
        assert "1 of 3 changes" in tui.screen_text()

        tui.chat.prompt.focus()
        await tui.say("My food is rice.")
        await tui.wait_until(lambda: view.slider.change and view.slider.change.of == 4, "one change more")
        assert known(view) == {"user.dog": "Rex"} and "1 of 4 changes" in tui.screen_text()
        table.focus()
        await tui.pilot.press("escape")
        await tui.wait_until(lambda: known(view) == now | {"user.food": "rice"}, "now")
        assert "3 facts   live table" in tui.screen_text() and table.has_focus
        await tui.pilot.press("{")
        await tui.wait_until(lambda: view.slider.arrived and not view.rows, "ten back is the beginning")
        await tui.pilot.press("}")
        await tui.wait_until(lambda: known(view) == now | {"user.food": "rice"}, "ten forth is now")
        assert view.slider.at is None and "live table" in tui.screen_text()


# --- without an engine: the view alone


class Alone(App[None]):
    def compose(self) -> Any:
        yield FactsView(id="memory")


@asynccontextmanager
async def alone(items: Items, **parts: Any) -> AsyncIterator[tuple[FactsView, Pilot[None]]]:
    app = Alone()
    async with app.run_test(size=(76, 30)) as pilot:
        view = app.query_one(FactsView)
        view.show(Snapshot("sql", items=items, **parts))
        view.query_one(Facts).focus()
        await pilot.pause()
        yield view, pilot


def fact(number: int, who: str, field: str, value: str, since: str = "2026-05-03") -> dict[str, Any]:
    meta = {"who": who, "field": field, "value": value, "since": f"{since}T10:00:00+00:00", "op": number + 1}
    meta |= {"source": "model", "locked": False}
    return {"kind": "fact", "text": f"{who}.{field}: {value}", "turns": [number], "id": str(number), "meta": meta}


FEW = Items(
    [
        fact(1, "user", "dog", "Rex", "2026-05-03"),
        fact(2, "user", "city", "Lund", "2026-05-05"),
        fact(3, "assistant", "city", "Åre", "2026-05-04"),
        fact(4, "Ann", "food", "東京風お好み焼き", "2026-05-01"),
    ]
)


async def test_search_narrows_and_is_left_with_enter_and_escape() -> None:
    async with alone(FEW) as (view, pilot):
        table = view.query_one(Facts)
        await pilot.press("slash", *"CITY")
        assert [row.cell for row in view.shown] == ["assistant.city", "user.city"] and table.rows == 2
        assert any("2 of 4 facts" in line.text for line in _screen(pilot))
        await pilot.press("enter")
        assert table.has_focus and table.rows == 2, "the search stays"
        await pilot.press("slash", *"lund")
        assert [row.cell for row in view.shown] == ["user.city"], "what is typed replaces it"
        await pilot.press(*"zz")
        assert view.shown == [] and table.rows == 0 and view.under_cursor() is None
        assert view.back(), "Esc ends it"
        await pilot.pause()
        assert table.rows == 4 and table.has_focus
        assert not view.back(), "and then there is nothing to leave"


def _screen(pilot: Pilot[None]) -> list[Any]:
    return list(pilot.app.screen._compositor.render_strips())


async def test_sort_by_each_column_and_the_cursor_stays_on_its_fact() -> None:
    async with alone(FEW) as (view, pilot):
        assert [row.cell for row in view.shown] == ["Ann.food", "assistant.city", "user.city", "user.dog"]
        await pilot.press("end")
        orders = []
        for _ in range(4):
            await pilot.press("s")
            orders.append([row.id for row in view.shown])
            on = view.under_cursor()
            assert on is not None and on.cell == "user.dog"
        assert orders == [["3", "2", "1", "4"], ["2", "1", "3", "4"], ["2", "3", "1", "4"], ["4", "3", "2", "1"]]
        view.show(Snapshot("sql", items=Items([*FEW.items, fact(5, "user", "age", "34")])))
        on = view.under_cursor()
        assert on is not None and on.cell == "user.dog", "a new row above does not move the cursor to another fact"


async def test_the_wide_view_has_a_column_for_each_person() -> None:
    async with alone(FEW) as (view, pilot):
        table = view.query_one(Facts)
        await pilot.press("w")
        assert [name for name, _ in table.columns] == ["fact", "user", "assistant", "Ann"] and table.rows == 3
        city = next(line.split() for line in lines(view) if line.startswith("city"))
        assert city == ["city", "Lund", "Åre"]
        await pilot.press("home", *["left"] * 4)
        assert view.under_cursor() is None, "the name of a field is no fact"
        await pilot.press("right", "right", "right")
        on = view.under_cursor()
        assert on is not None and on.cell == "Ann.food"
        await pilot.press("w")
        back = view.under_cursor()
        assert back is not None and back.cell == "Ann.food" and table.rows == 4
        assert table.columns[2][1] == 16, "wide characters take two columns"


async def test_what_was_written_and_read_is_marked_and_refusals_are_told() -> None:
    wrote = Wrote(1, 0, 0, 1.0, detail=[_sql("UPDATE ...", 2, refused=["dog: locked"], error="no such table")])
    recalled = Recalled([{"kind": "row", "id": "1"}, _sql("SELECT 1", 2, rung="sql", ms=3)], 10, 1, 0, 1.0)
    async with alone(FEW, wrote=wrote, recalled=recalled) as (view, pilot):
        assert (color(view, "Lund"), color(view, "Rex")) == ("green", "cyan")
        assert color(view, "Åre") not in ("green", "cyan")
        shown = "\n".join(strip.text for strip in _screen(pilot))
        assert all(text in shown for text in ("UPDATE ...", "dog: locked", "no such table", "SELECT 1", "sql, 3 ms"))


def _sql(text: str, turn: int, **meta: Any) -> dict[str, Any]:
    return {"kind": "sql", "text": text, "turns": [turn], "meta": meta}


async def test_a_click_puts_the_cursor_on_the_row() -> None:
    async with alone(FEW) as (view, pilot):
        await pilot.click(Facts, offset=(3, 3))
        on = view.under_cursor()
        assert on is not None and on.cell == "user.city"
        await pilot.click(Facts, offset=(3, 0))
        assert view.under_cursor() == on, "the header is no row"


async def test_ten_thousand_facts_cost_what_is_in_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    real = FactsView.cell

    def counted(view: FactsView, row: int, column: int) -> Any:
        made.append((row, column))
        return real(view, row, column)

    monkeypatch.setattr(FactsView, "cell", counted)
    facts = [fact(i, ("user", "assistant")[i % 2], f"field_{i:05}", f"value number {i}") for i in range(LONG)]
    began = time.process_time()
    async with alone(Items(facts)) as (view, pilot):
        await pilot.press("end")
        on = view.under_cursor()
        assert on is not None and on.cell == f"user.field_{LONG - 2:05}"
        assert any(f"value number {LONG - 2} " in strip.text for strip in _screen(pilot)), "the last row is in sight"
        await pilot.press("s", "w", "w", "pageup", "slash", *"number 77")
        assert len(view.shown) == 111 and all("number 77" in row.value for row in view.shown)
        steps = 15
    in_sight = 30 * 5
    assert len(made) < 2 * steps * in_sight, "cells that are made for a key"
    assert time.process_time() - began < 6, "seconds of the processor; it was over 2 for each single redraw"


# --- the slider


def answer(at: int, of: int) -> Items:
    meta = {"at": at, "of": of, "time": "2026-05-03T10:00:00", "actor": "model", "kind": "store"}
    return Items([{"kind": "change", "id": str(at + 1), "text": f"change {at}", "meta": meta}])


def test_steps_while_an_answer_is_on_its_way_are_one_question_more() -> None:
    asked: list[int] = []
    slider = Slider(asked.append)
    for _ in range(3):
        slider.step(-1)
    assert asked == [-1] and slider.at == -3 and not slider.arrived
    slider.hear(answer(9, 10))
    assert asked == [-1, 7] and slider.at == 7 and not slider.arrived
    slider.hear(answer(7, 10))
    assert slider.arrived and slider.change is not None and slider.change.told == "change 7"
    slider.step(-10)
    slider.hear(answer(0, 10))
    assert asked == [-1, 7, 0] and slider.change.told == "before the first change"
    slider.step(-1)
    assert asked == [-1, 7, 0], "it is there already"
    slider.step(10)
    assert slider.at is None and slider.items is None


def test_an_answer_that_comes_after_esc_is_not_shown_and_one_from_elsewhere_only_counts() -> None:
    asked: list[int] = []
    slider = Slider(asked.append)
    slider.step(-2)
    slider.leave()
    slider.hear(answer(8, 10))
    assert slider.at is None and slider.items is None
    slider.step(-1)
    slider.hear(answer(4, 5))
    slider.ask()
    slider.hear(answer(4, 6))
    assert slider.arrived and slider.change is not None and slider.change.of == 6, "it stays where it is"
    slider.ask()
    slider.hear(answer(2, 2))
    assert slider.at is None, "the log has become shorter"
    slider.step(-1)
    slider.hear(None)
    assert slider.at is None
    slider.step(-1)
    assert asked == [-2, -1, 4, 4, -1, -1], "a failed question does not end all"


# --- the past and the origin of facts, in the memory


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FactStore]:
    with FactStore(tmp_path / "facts.db") as opened:
        yield opened


def live(facts: list[Fact]) -> set[tuple[object, ...]]:
    return {(f.person, f.field, f.value, f.valid_from, f.source, f.turn, f.op, f.locked) for f in facts}


def test_the_past_is_the_table_after_each_change(store: FactStore) -> None:
    rng, tables, facts = random.Random(3), [store.table()], [live(store.facts())]
    fields = ["dog", "city", "food"]
    doings: list[Callable[[], object]] = [
        lambda: tell(store, rng.choice(fields), f"v{rng.randrange(4)}", turn=rng.randrange(9)),
        lambda: tell(store, rng.choice(fields), None),
        lambda: history.lock(store, 1, rng.choice(fields), rng.random() < 0.5),
        lambda: history.edit(store, 1, rng.choice(fields), f"e{rng.randrange(4)}"),
        lambda: history.undo(store),
        lambda: history.redo(store),
        lambda: history.rename_field(store, rng.choice(fields), f"name{rng.randrange(3)}"),
        lambda: history.merge_fields(store, *rng.sample(fields, 2)),
        lambda: history.reset(store),
    ]
    for _ in range(60):
        before = store.ops()[-1].id
        try:
            rng.choices(doings, [9, 2, 3, 3, 3, 2, 1, 1, 1])[0]()
        except MemchatError:
            continue
        for op in store.ops()[before:]:
            if op.edits:
                tables.append(store.table())
                facts.append(live(store.facts()))
    assert len(tables) > 20
    for number, (table, then) in enumerate(zip(tables, facts, strict=True)):
        found = past(store, number)
        assert (found.at, found.of, found.table, live(found.facts)) == (number, len(tables) - 1, table, then)
    assert past(store, -1).table == tables[-2] and past(store, -99).at == 0 and past(store, 99).at == len(tables) - 1


def test_a_change_of_the_past_is_told_in_words(store: FactStore) -> None:
    tell(store, "dog", "Rex", turn=1)
    history.lock(store, 1, "dog")
    history.rename_field(store, "dog", "pet")
    history.forget(store, 1, "pet")
    history.edit(store, 1, "name", "Ann")
    told = [past(store, number).told for number in range(6)]
    assert told[1:4] == ["user.dog: nothing → Rex", "user.dog: locked", "dog is called pet"]
    assert told[4:] == ["user.pet: Rex → nothing", "User is called Ann"] and told[0] == ""
    history.edit(store, 1, "pet", "Max")
    for number in range(8):
        history.edit(store, 2, f"field{number}", "x")
    history.reset(store)
    assert past(store, 99).told.endswith("; and 3 more") and past(store, 99).told.startswith("user.pet: Max → nothing")


def test_the_past_survives_that_a_message_was_forgotten(store: FactStore) -> None:
    tell(store, "dog", "Rex", turn=1)
    tell(store, "dog", "Max", turn=2)
    history.reset(store)
    erase(store, turns=[1])
    values = [[fact.value for fact in past(store, number).facts] for number in range(past(store, 0).of + 1)]
    assert "Rex" not in str(values) and values[0] == [] and values[-1] == []


def test_the_origin_of_a_fact_survives_undo(store: FactStore) -> None:
    sql = "UPDATE users SET dog = 'Rex';"
    op = tell(store, "dog", "Rex", turn=7, executed=sql, adapter="starter/sql_storage", ms=12.3)
    told = run_command(store, "origin user.dog").splitlines()
    assert told[0].startswith("- user.dog: Rex, since 20") and told[3] == f"    {sql}" and len(told) == 4
    assert told[1].startswith("- model from message 7, recorded at") and told[1].endswith(
        f"as entry {op.id} of the log"
    )
    assert told[2] == "- storage agent: starter/sql_storage, 12 ms; what ran of its SQL:"
    history.forget(store, 1, "dog")
    with pytest.raises(MemchatError, match="nothing is known of 'dog'"):
        run_command(store, "origin dog")
    (undone,) = history.undo(store)
    told = run_command(store, "origin dog").splitlines()
    assert f"as entry {op.id} of the log" in told[1] and f"put there again by entry {undone.id}: undo" in told[2]
    assert told[-1] == f"    {sql}"
    history.edit(store, 1, "dog", "Max")
    told = run_command(store, "origin dog").splitlines()
    assert len(told) == 2 and told[1].startswith("- user edit, recorded at")
    assert run_command(store, f"origin dog {op.id}").splitlines()[0].startswith("- user.dog: Rex, since")
    with pytest.raises(MemchatError, match="from entry 99 of the log"):
        run_command(store, "origin dog 99")
    erase(store, turns=[7])
    assert sql not in str([run_command(store, "log"), run_command(store, "origin dog")])


def test_a_memory_without_history_says_so() -> None:
    with Store() as opened, Session.open(opened, FakeEngine(), Settings(memory="window")) as session:
        with pytest.raises(UsageError, match="the memory window keeps no history"):
            session.items(at=-1)
        assert session.items().items == []

"""Facts out of one store and into another: the same table, or a merge that says what it will do."""

from __future__ import annotations

import csv
import io
import json
import random
import sqlite3
from pathlib import Path

import pytest

from memchat.errors import MemchatError
from memchat.memory.sql import exchange, history
from memchat.memory.sql.edits import Edit
from memchat.memory.sql.erase import erase
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.oplog import append, begin
from memchat.memory.sql.search import search
from memchat.memory.sql.table import ASSISTANT, OTHER, USER, NewPerson
from tests.test_sql_facts import tell, values
from tests.test_sql_history import cells, step

HOSTILE = ["O'Neil", 'say "hi", ok', "a|b\\c", "=1+1", "'; DROP TABLE users; --", "naïve 王 🎈", "\u2028x"]


def fill(path: Path) -> FactStore:
    store = FactStore(path)
    for index, value in enumerate(HOSTILE):
        tell(store, f"f{index}", value, index, USER if index % 2 else ASSISTANT, raw=f"raw {value}\nsecond line")
    tell(store, "name", "Ann")
    history.edit(store, 1, "f1", "corrected")
    store.apply([], people=[NewPerson("Zoe", OTHER, (("pet", "cat"),))], turn=9)
    history.forget(store, 2, "f2")
    history.undo(store)
    return store


@pytest.mark.parametrize("seed", range(3))
def test_a_log_comes_back_exactly_as_it_was(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed + 100)
    with fill(tmp_path / "one.db") as one, FactStore(tmp_path / "two.db") as two:
        for turn in range(40):
            try:
                step(one, chance, turn)
            except MemchatError:
                continue
        erase(one, [(1, "f3")])
        tell(one, "city", "Paris")
        text = exchange.export(one)
        plan = exchange.preview(two, text)
        assert plan.whole and len(two.ops()) == 1, "a preview changes nothing"
        assert exchange.load(two, text) == plan
        assert (two.ops(), two.table(), two.state()) == (one.ops(), one.table(), one.state())
        assert history.verify(two) == []
        assert exchange.export(two).split("\n")[1:] == text.split("\n")[1:]
        assert search(two, "paris") and two.backups()
        for store in (one, two):
            history.undo(store)
        assert cells(one) == cells(two), "undo goes on"


def test_a_merge_does_what_the_preview_says(tmp_path: Path) -> None:
    with FactStore(tmp_path / "one.db") as one, FactStore(tmp_path / "two.db") as two:
        tell(two, "later_there", "old")
        tell(two, "same", "equal")
        tell(one, "later_here", "old")
        tell(one, "forgotten_here", "old")
        tell(two, "forgotten_here", "old")
        history.edit(two, 1, "locked_here", "mine")
        tell(one, "same", "equal")
        tell(one, "later_there", "new")
        tell(one, "locked_here", "theirs")
        tell(one, "name", "Ann")
        tell(one, "only_there", "fact", relation=ASSISTANT)
        one.apply([], people=[NewPerson("Zoe", OTHER, (("pet", "cat"),))])
        tell(two, "later_here", "new")
        tell(two, "forgotten_here", None)
        before, text = two.table(), exchange.export(one)
        plan = exchange.preview(two, text)
        assert two.table() == before and not plan.whole
        assert {d.change.field: d.kind for d in plan.decisions} == {
            "name": "update",
            "later_there": "update",
            "only_there": "add",
            "same": "noop",
            "later_here": "refused",
            "forgotten_here": "refused",
            "locked_here": "refused",
        }
        assert plan.people == (NewPerson("Zoe", OTHER, (("pet", "cat"),)),)
        assert exchange.load(two, text) == plan
        assert values(two) == {"later_there": "new", "same": "equal", "later_here": "new", "locked_here": "mine"}
        assert cells(two)[ASSISTANT, "only_there"] == "fact" and cells(two)[OTHER, "pet"] == "cat"
        assert two.table().person(USER).name == "Ann"
        fact = two.fact(2, "only_there")
        assert fact and (fact.source, fact.valid_from) == ("import", one.table().since[2, "only_there"])
        after = two.table()
        exchange.load(two, text)
        assert two.table() == after, "the same again is nothing"
        history.undo(two)
        assert two.table() == before and history.verify(two) == []


def test_a_csv_round_trip(tmp_path: Path) -> None:
    with fill(tmp_path / "one.db") as one, FactStore(tmp_path / "two.db") as two:
        text = exchange.export(one, "csv")
        header, *rows = csv.reader(io.StringIO(text, newline=""))
        assert header[:3] == ["id", "relation", "name"] and len(rows) == 3
        plan = exchange.load(two, text, "csv")
        assert not plan.whole
        expected = {cell: " ".join(value.split()) for cell, value in cells(one).items()}
        assert cells(two) == expected
        assert [p.name for p in two.table().people] == ["Ann", "Assistant", "Zoe"]
        assert exchange.load(two, text, "csv").people == () and history.verify(two) == []


def test_sql_and_markdown_hold_the_table(tmp_path: Path) -> None:
    with fill(tmp_path / "one.db") as store:
        db = sqlite3.connect(":memory:")
        db.executescript(exchange.export(store, "sql"))
        names = [row[1] for row in db.execute("PRAGMA table_info(users)")]
        rows = [dict(zip(names, row, strict=True)) for row in db.execute("SELECT * FROM users")]
        found = {(row["relation"], f): v for row in rows for f, v in row.items() if f[0] in "fp" and v is not None}
        assert found == cells(store) and rows[0]["name"] == "Ann"
        db.close()
        text = exchange.export(store, "md")
        assert "## Ann (user)" in text and "| user_edit, locked |" in text
        lines = [line for line in text.split("\n") if line.startswith("| f") and not line.startswith("| field")]
        assert len(lines) == len(HOSTILE) and all(line.replace("\\|", "").count("|") == 5 for line in lines)
        with pytest.raises(MemchatError, match="unknown format"):
            exchange.export(store, "xml")
        with pytest.raises(MemchatError, match="Only these can be imported"):
            exchange.load(store, text, "md")


def altered(text: str, line: int, **values: object) -> str:
    lines = text.split("\n")
    lines[line] = json.dumps({**json.loads(lines[line]), **values})
    return "\n".join(lines)


@pytest.mark.parametrize("new", [True, False])
def test_a_faulty_file_changes_nothing(tmp_path: Path, new: bool) -> None:
    with fill(tmp_path / "one.db") as one, FactStore(tmp_path / "two.db") as two:
        if not new:
            tell(two, "city", "Paris")
        text = exchange.export(one)
        before = (two.state(), two.ops())
        diff = json.loads(json.loads(text.split("\n")[3])["diff_json"])
        diff["edits"][-1][2]["value"] = "forged"
        for faulty, message in (
            (altered(text, 0, memchat_facts=99), "newer memchat"),
            (altered(text, 3, diff_json=json.dumps(diff)), "content of operation 3"),
            (altered(text, 3, erased=1), "erased"),
            (text.rsplit("\n", 2)[0], "cut off"),
            (text[: len(text) // 2], "no export"),
            (altered(text, 2, id=7), "operation 2 is missing"),
            ("", "no export"),
            ("[1, 2]", "no export"),
            ('{"memchat_facts": 1, "ops": 1}\n{}', "no export"),
        ):
            for call in (exchange.preview, exchange.load):
                with pytest.raises(MemchatError, match=message):
                    call(two, faulty)
        for faulty in (
            "",
            "name\nAnn",
            "relation,name\nking,Bob",
            "relation,name,city\nuser,Ann",
            "relation,name,?\nuser,A,x",
        ):
            with pytest.raises(MemchatError):
                exchange.load(two, faulty, "csv")
        assert (two.state(), two.ops()) == before and history.verify(two) == []


def test_a_forged_log_with_good_hashes_is_refused_as_a_whole(tmp_path: Path) -> None:
    """Hashes say that a file is whole, not that it is honest: what breaks the table is found when it is applied."""
    with FactStore(tmp_path / "one.db") as one, FactStore(tmp_path / "two.db") as two:
        tell(one, "city", "Paris")
        with one.write() as db:
            draft = begin(db)
            draft.edits.append(
                Edit(("person", 7), None, {"relation": USER, "name": "X", "source": None, "aliases": [], "turn": None})
            )
            append(draft, "store", "model")
        before = two.ops()
        with pytest.raises(MemchatError, match="no export"):
            exchange.load(two, exchange.export(one))
        assert two.ops() == before and history.verify(two) == []

"""Undo, edits by hand, and erasure: nothing is lost that should stay, nothing stays that should go."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from memchat.errors import MemchatError, UsageError
from memchat.memory.sql import exchange, history
from memchat.memory.sql.edits import project, replay
from memchat.memory.sql.erase import drop_turns, erase
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.search import search
from memchat.memory.sql.table import ASSISTANT, OTHER, USER, NewPerson
from tests.test_sql_facts import tell, values


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FactStore]:
    with FactStore(tmp_path / "facts.db") as store:
        yield store


def cells(store: FactStore) -> dict[tuple[str, str], str]:
    """The known values by the handle of a person."""
    table = store.table()
    relations = {person.id: person.relation for person in table.people}
    return {(relations[person], field): value for (person, field), value in table.cells.items()}


# --- undo and redo


def test_undo_and_redo_walk_back_and_forth_and_delete_nothing(store: FactStore) -> None:
    tables = [store.table()]
    for field, value in (("city", "Paris"), ("city", "Rome"), ("name", "Ann"), ("city", None)):
        tell(store, field, value)
        tables.append(store.table())
    tell(store, "city", None)  # a noop is no step
    for table in reversed(tables[:-1]):
        history.undo(store)
        assert store.table() == table
    with pytest.raises(MemchatError, match="nothing to undo"):
        history.undo(store)
    for table in tables[1:]:
        history.redo(store)
        assert store.table() == table
    with pytest.raises(MemchatError, match="nothing to redo"):
        history.redo(store)
    assert [op.target for op in history.undo(store, 2)] == [5, 4]
    assert [op.id for op in store.ops()] == list(range(1, len(store.ops()) + 1))
    assert history.verify(store) == []


def test_a_change_ends_redo_and_a_later_change_guards_an_earlier_op(store: FactStore) -> None:
    first = tell(store, "city", "Paris")
    other = tell(store, "pet", "cat", relation=ASSISTANT)
    tell(store, "city", "Rome")
    with pytest.raises(MemchatError, match="city of User was changed again"):
        history.undo_op(store, first.id)
    history.undo_op(store, other.id)  # nothing of it was touched since
    assert cells(store) == {(USER, "city"): "Rome"}
    with pytest.raises(MemchatError, match="cannot be undone"):
        history.undo_op(store, other.id)
    with pytest.raises(MemchatError, match="no operation 99"):
        history.undo_op(store, 99)
    tell(store, "pet", "dog")
    with pytest.raises(MemchatError, match="nothing to redo"):
        history.redo(store)


def test_undoing_a_new_field_keeps_it_while_another_uses_it(store: FactStore) -> None:
    first = tell(store, "city", "Paris")
    tell(store, "city", "Rome", relation=ASSISTANT)
    history.undo_op(store, first.id)
    assert cells(store) == {(ASSISTANT, "city"): "Rome"} and store.table().fields == ("city",)
    history.redo(store)
    assert cells(store) == {(USER, "city"): "Paris", (ASSISTANT, "city"): "Rome"}
    assert history.verify(store) == []


# --- by hand


def test_an_edit_locks_and_is_refused_when_the_cell_changed_meanwhile(store: FactStore) -> None:
    tell(store, "city", "Paris", 1)
    shown = store.fact(1, "city")
    assert shown is not None
    tell(store, "city", "Rome", 2)
    with pytest.raises(MemchatError, match="'Rome' by now"):
        history.edit(store, 1, "city", "Oslo", version=shown.id)
    with pytest.raises(MemchatError, match="'Rome' by now"):
        history.edit(store, 1, "city", "Oslo", version=0)
    shown = store.fact(1, "city")
    assert shown is not None
    op = history.edit(store, 1, "city", "  Oslo ", version=shown.id)
    fact = store.fact(1, "city")
    assert fact and (fact.value, fact.source, fact.locked, fact.turn) == ("Oslo", "user_edit", True, None)
    assert (op.kind, op.actor) == ("edit", "user") and (1, "city") in store.table().locked
    history.lock(store, 1, "city", False)
    assert store.table().locked == frozenset() and store.fact(1, "city").id == fact.id  # type: ignore[union-attr]
    history.edit(store, 1, "city", "Oslo")  # confirmed: locked again, the same fact
    assert store.fact(1, "city") == fact
    history.edit(store, 2, "Home Town", "Bonn", version=0, lock=False)
    assert cells(store)[ASSISTANT, "home_town"] == "Bonn"
    assert history.verify(store) == []


def test_mistakes_of_the_hand_are_said(store: FactStore) -> None:
    tell(store, "city", "Paris")
    for call, message in (
        (lambda: history.edit(store, 1, "city", " \x00 "), "visible character"),
        (lambda: history.edit(store, 1, "city", "x" * 201), "too long"),
        (lambda: history.edit(store, 1, "!!", "x"), "cannot be a field"),
        (lambda: history.edit(store, 9, "city", "x"), "no person 9"),
        (lambda: history.lock(store, 2, "city"), "nothing is known"),
        (lambda: history.forget(store, 1, "cit"), "did you mean|Did you mean"),
        (lambda: history.history(store, 1, "cit"), "unknown field"),
        (lambda: history.merge_fields(store, "city", "city"), "one field already"),
    ):
        count = len(store.ops())
        with pytest.raises(UsageError, match=message):
            call()
        assert len(store.ops()) == count


def test_forget_empties_a_cell_and_keeps_its_history(store: FactStore) -> None:
    tell(store, "city", "Paris")
    tell(store, "city", "Rome")
    history.lock(store, 1, "city")
    history.forget(store, 1, "city")
    history.edit(store, 1, "name", "Ann")
    history.forget(store, 1, "name")
    assert (cells(store), store.table().person(USER).name) == ({}, "User")
    assert [fact.value for fact in history.history(store, 1, "city")] == ["Paris", "Rome"]
    assert search(store, "rome") == []
    history.undo(store, 3)
    assert cells(store) == {(USER, "city"): "Rome"} and (1, "city") in store.table().locked


def test_fields_are_renamed_and_merged_with_their_history(store: FactStore) -> None:
    tell(store, "town", "Paris")
    tell(store, "city", "Bonn", relation=ASSISTANT)
    tell(store, "town", "Oslo", relation=ASSISTANT)
    before = store.table()
    history.merge_fields(store, "town", "city")
    assert cells(store) == {(USER, "city"): "Paris", (ASSISTANT, "city"): "Oslo"}, "the newer one stays"
    assert store.table().fields == ("city",) and store.field_aliases() == {"town": "city"}
    tell(store, "town", "Rome")  # the old name still works
    assert [fact.value for fact in history.history(store, 1, "town")] == ["Paris", "Paris", "Rome"]
    history.rename_field(store, "city", "residence")
    assert [found.fact.field for found in search(store, "residence")] == ["residence", "residence"]
    assert store.field_aliases() == {"town": "residence"}
    tell(store, "pet", "cat")
    with pytest.raises(UsageError, match="already"):
        history.rename_field(store, "residence", "pet")
    history.undo(store, 4)
    assert store.table() == before and history.verify(store) == []
    history.merge_fields(store, "town", "city")
    history.rename_field(store, "city", "town")
    assert cells(store)[USER, "town"] == "Paris" and store.table().fields == ("town",)


def test_merging_keeps_what_is_locked(store: FactStore) -> None:
    history.edit(store, 1, "city", "Bonn")
    tell(store, "town", "Oslo")
    history.merge_fields(store, "town", "city")
    assert cells(store) == {(USER, "city"): "Bonn"}


def test_reset_begins_a_new_epoch_and_undo_brings_the_old_one_back(store: FactStore) -> None:
    tell(store, "city", "Paris")
    tell(store, "name", "Ann")
    store.apply([], people=[NewPerson("Zoe", OTHER, (("pet", "cat"),))])
    history.merge_fields(store, "pet", "city")
    before, ops = store.table(), store.ops()
    path = history.reset(store)
    assert path is not None and path.stat().st_mode & 0o777 == 0o600
    table = store.table()
    assert (table.cells, table.fields, [p.name for p in table.people]) == ({}, (), ["Ann", "Assistant"])
    with FactStore(path.with_name("again.db")) as again:
        exchange.load(again, path.read_text("utf-8"))
        assert (again.table(), again.ops()) == (before, ops)
    tell(store, "city", "Rome")
    assert store.fact(1, "city").epoch == 1  # type: ignore[union-attr]
    history.undo(store, 2)
    assert store.table() == before
    history.reset(store, names=False)
    assert store.table().person(USER).name == "User" and store.table().person(USER).aliases == ()
    assert history.verify(store) == []


# --- turns that never were


def test_dropping_turns_brings_back_what_they_replaced(store: FactStore) -> None:
    tell(store, "city", "Paris", 1)
    tell(store, "city", "Rome", 2, once=True)
    tell(store, "pet", "cat", 2)
    tell(store, "name", "Bob", 2)
    tell(store, "food", "rice", 3)
    tell(store, "food", None, 4)
    before = store.table()
    op = drop_turns(store, [2, 4])
    assert op.kind == "drop"
    assert cells(store) == {(USER, "city"): "Paris", (USER, "food"): "rice"}
    assert (store.table().person(USER).name, store.table().fields) == ("User", ("city", "food"))
    assert store.facts_of([2]) == []
    assert tell(store, "city", "Oslo", 2, once=True).status == "done", "it may be stored again"
    history.undo(store, 2)
    assert store.table() == before and history.verify(store) == []


def test_a_fact_that_another_turn_repeated_stays(store: FactStore) -> None:
    tell(store, "city", "Rome", 2)
    tell(store, "city", "Rome", 5)
    drop_turns(store, [2])
    assert [(fact.value, fact.turn) for fact in store.facts()] == [("Rome", 5)]
    drop_turns(store, [5])
    assert store.facts() == [] and store.table().fields == ()


@pytest.mark.parametrize("seed", range(6))
def test_dropping_turns_is_replaying_the_others(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    script = [
        (turn, chance.choice("abc"), chance.choice([None, "x", "y", "z", "w"]), chance.choice([USER, ASSISTANT]))
        for turn in range(40)
    ]
    gone = set(chance.sample(range(40), 15))
    with FactStore(tmp_path / "all.db") as full, FactStore(tmp_path / "some.db") as some:
        for turn, field, value, relation in script:
            tell(full, field, value, turn, relation)
            if turn not in gone:
                tell(some, field, value, turn, relation)
        for turns in (sorted(gone)[::2], sorted(gone)[1::2]):  # in two steps
            drop_turns(full, turns)
        assert cells(full) == cells(some)
        assert history.verify(full) == []


# --- erasure


def remains(folder: Path, text: str) -> list[str]:
    """Files that hold the text, in any of the encodings that they use."""
    needles = {text.encode(), text.casefold().encode(), text.encode("utf-16-le")}
    return [file.name for file in folder.rglob("*") if file.is_file() and any(n in file.read_bytes() for n in needles)]


def filled(store: FactStore) -> None:
    """The secret everywhere: live, retired, undone, merged, refused, in texts, exports, backups and damaged files."""
    for index in range(60):
        tell(store, f"field{index}", f"value {index} " * 8, 100 + index)
    tell(store, "city", "Secretville", 1, raw="UPDATE users SET city = 'Secretville'", executed="Secretville")
    tell(store, "city", "Rome", 2)
    history.undo(store)
    tell(store, "city", "Secretville", 3, raw="the user lives in SECRETVILLE")
    store.apply([], raw="NOOP, since Secretville is known", turn=4)
    tell(store, "town", "Secretville", 5)
    history.merge_fields(store, "town", "city")
    tell(store, "note", "was born in Secretville", 6)
    history.lock(store, 1, "city")
    tell(store, "city", "Secretville again", 7)
    history.reset(store)
    history.undo(store)
    store.backup()
    store.path.with_name(f"{store.path.stem}.damaged-1.db").write_bytes(b"Secretville")


def test_erased_text_is_gone_from_every_byte(store: FactStore) -> None:
    filled(store)
    folder = store.path.parent
    assert len(remains(folder, "Secretville")) >= 4
    done = erase(store, [(1, "city")])
    assert done.remains == ((1, "note"),) and done.clean and done.facts >= 4 and done.files >= 3
    assert (1, "city") not in store.table().cells
    done = erase(store, [(1, "note")])
    assert (done.remains, done.facts) == ((), 2)
    assert remains(folder, "Secretville") == [] == remains(folder, "secretvil"), "while it is open"
    assert search(store, "secretville") == []
    assert history.verify(store) == [], "the chain survives"
    assert len(store.table().cells) == 60 and store.backups()
    assert any(op.erased and not op.raw for op in store.ops())
    store.close()
    assert remains(folder, "Secretville") == []
    with FactStore(store.path) as again:
        assert history.verify(again) == [] and tell(again, "city", "Rome").status == "done"
        while True:  # all the way back: nothing of it returns
            try:
                history.undo(again)
            except MemchatError:
                break
        assert "secretville" not in str(again.ops()).casefold()


def test_a_name_is_erased_with_its_aliases(store: FactStore) -> None:
    for name in ("Quetzalina", "Xochitlina", "Ann"):
        tell(store, "name", name, raw=f"call me {name}")
    tell(store, "city", "Rome")
    store.backup()
    erase(store, [(1, "name")])
    assert (store.table().people[0].name, store.table().people[0].aliases) == ("User", ())
    assert cells(store) == {(USER, "city"): "Rome"} and history.verify(store) == []
    for name in ("Quetzalina", "Xochitlina"):
        assert remains(store.path.parent, name) == []


def test_a_turn_is_erased_with_all_that_came_of_it(store: FactStore) -> None:
    tell(store, "city", "Paris", 1)
    tell(store, "city", "Secretville", 2, raw="Secretville")
    tell(store, "secretdisease", "Flubberitis", 2)
    tell(store, "name", "Quetzalina", 2)
    store.apply([], people=[NewPerson("Zoltanica", OTHER, (("pet", "Secretcat"),))], turn=2)
    tell(store, "city", "Rome", 3)
    tell(store, "name", "Ann", 4)
    erase(store, turns=[2])
    assert cells(store) == {(USER, "city"): "Rome"} and store.table().person(USER).name == "Ann"
    assert [fact.value for fact in history.history(store, 1, "city")] == ["Paris", "Rome"]
    assert store.table().fields == ("city",)
    for text in ("Secretville", "secretdisease", "Flubberitis", "Quetzalina", "Zoltanica", "Secretcat"):
        assert remains(store.path.parent, text) == []
    assert history.verify(store) == []


def test_an_erasure_under_a_reader_is_finished_at_the_next_start(store: FactStore) -> None:
    tell(store, "city", "Secretville")
    reader = sqlite3.connect(store.path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM fact").fetchone()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("memchat.memory.sql.factfile.BUSY_SECONDS", 0.05)
        store.read("PRAGMA busy_timeout = 50")
        assert not erase(store, [(1, "city")]).clean
    reader.close()
    path = store.path
    store.close()
    with FactStore(path):
        pass
    assert remains(path.parent, "Secretville") == []


def test_a_hard_reset_leaves_nothing(store: FactStore) -> None:
    filled(store)
    tell(store, "name", "Ann")
    assert history.reset(store, hard=True) is None
    assert remains(store.path.parent, "Secretville") == [] and store.companions() == []
    assert (store.table().person(USER).name, store.table().cells, len(store.ops())) == ("Ann", {}, 1)
    assert tell(store, "city", "Rome").status == "done" and history.verify(store) == []


# --- honesty


@pytest.mark.parametrize(
    ("sql", "fault"),
    [
        ("UPDATE fact SET value = 'Oslo' WHERE retired_at IS NULL", "facts are not those"),
        ("DELETE FROM fact WHERE retired_at IS NULL", "facts are not those"),
        ("UPDATE person SET display_name = 'Eve' WHERE id = 1", "facts are not those"),
        ("UPDATE op SET raw_output = 'x' WHERE id = 2", "content of operation 2"),
        ("UPDATE op SET raw_output = 'x', erased = 1, salt = '' WHERE id = 2", "emptied without being erased"),
        ("DELETE FROM op WHERE id = 2", "operation 2 is missing"),
        ("UPDATE op SET prev_hash = '' WHERE id = 3", "does not follow"),
        ("UPDATE op SET undone_by = 3 WHERE id = 2", "marks of what was undone"),
        ("DELETE FROM fact_fts", "search index"),
    ],
)
def test_verify_tells_what_was_changed_behind_our_back(store: FactStore, sql: str, fault: str) -> None:
    tell(store, "city", "Paris")
    tell(store, "city", "Rome")
    assert history.verify(store) == []
    with sqlite3.connect(store.path) as db:
        db.execute(sql)
    db.close()
    assert any(fault in line for line in history.verify(store))


def step(store: FactStore, chance: random.Random, turn: int) -> None:
    """One random thing that may happen to a store."""
    person, field = chance.choice([1, 2]), chance.choice(["city", "pet", "food", "job"])
    value = chance.choice(["x", "y", "O'Neil", "naïve", "王"])
    relation = USER if person == 1 else ASSISTANT
    tables = store.table().fields
    some = chance.choice(tables) if tables else field
    what = chance.choice("tttttttnNeflLuuUrmRPDXZ")
    if what == "t":
        tell(store, field, value, turn, relation)
    elif what == "n":
        tell(store, "name", value, turn, relation)
    elif what == "N":
        store.apply([], people=[NewPerson(value, OTHER, ((field, value),))], turn=turn)
    elif what == "e":
        history.edit(store, person, field, value, lock=chance.random() < 0.5)
    elif what == "f":
        history.forget(store, person, chance.choice([some, "name"]))
    elif what in "lL":
        history.lock(store, person, some, what == "l")
    elif what == "u":
        history.undo(store, chance.randint(1, 3))
    elif what == "U":
        history.undo_op(store, chance.randint(1, turn))
    elif what == "r":
        history.redo(store)
    elif what == "m":
        history.merge_fields(store, some, chance.choice(tables or [field]))
    elif what == "R":
        history.rename_field(store, some, chance.choice(["town", "animal", "city", "pet"]))
    elif what == "P":
        drop_turns(store, chance.sample(range(turn + 1), min(3, turn)))
    elif what == "D" and chance.random() < 0.3:
        history.reset(store, names=chance.random() < 0.5)
    elif what == "X" and chance.random() < 0.3:
        erase(store, [(person, chance.choice([some, "name"]))])
    elif what == "Z" and chance.random() < 0.3:
        erase(store, turns=chance.sample(range(turn + 1), min(2, turn)))


@pytest.mark.parametrize("seed", range(12))
def test_the_log_leads_to_the_facts_whatever_was_done(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    path = tmp_path / "facts.db"
    store = FactStore(path)
    refused = 0
    for turn in range(120):
        before = store.state()
        try:
            step(store, chance, turn)
        except MemchatError:
            refused += 1
            assert store.state() == before, "what is refused changes nothing"
        assert replay(edit for op in store.ops() for edit in op.edits) == store.state()
        if chance.random() < 0.03:
            store.close()
            store = FactStore(path)
    assert history.verify(store) == []
    assert project(replay(edit for op in store.ops() for edit in op.edits)) == store.table()
    assert {person.id for person in store.table().people} >= {1, 2} and 0 < refused < 80
    store.close()
    assert values(FactStore(path, read_only=True)) is not None

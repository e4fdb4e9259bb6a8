"""The rules between SQL and the store, what a line asks for, and what is read where SQL found nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random
from time import thread_time

import pytest

from memchat.data.grammar import SPLITS
from memchat.data.tasks.sql import storage_case
from memchat.memory.sql.ladder import Found, by_fields, fall_back, meant
from memchat.memory.sql.policy import CHANGES, NEW_FIELDS, Verdict, asks_to_forget, judge, same, stated_name, tidy
from memchat.memory.sql.sandbox import run_storage
from memchat.memory.sql.table import Person, Table

PEOPLE = (Person(1, "user", "Brian", ("Bri",)), Person(2, "assistant", "Skye"), Person(3, "other", "Ana"))
CELLS = {
    (1, "job"): "baker", (1, "city"): "Paris", (2, "city"): "Rome", (2, "job"): "cook", (3, "city"): "Oslo",
    (1, "pet_name"): "Rex",
}  # fmt: skip
TABLE = Table(PEOPLE, ("job", "city", "pet_name", "favourite_food"), CELLS)


def call(sql: str, table: Table = TABLE, speaker: int = 1, **options: bool) -> Verdict:
    return judge(run_storage(sql, table, speaker).difference, table, speaker, **options)


def kinds(verdict: Verdict) -> dict[tuple[int, str], str]:
    return {(d.change.person, d.change.field): d.kind for d in verdict.decisions}


def applied(verdict: Verdict, table: Table) -> Table:
    """The table after what was accepted, as the store would give it."""
    cells, names = dict(table.cells), {p.id: p.name for p in table.people}
    for change in (decision.change for decision in verdict.accepted):
        if change.field == "name":
            names[change.person] = str(change.new)
        elif change.new is None:
            del cells[change.person, change.field]
        else:
            cells[change.person, change.field] = change.new
    people = [replace(p, name=names[p.id]) for p in table.people]
    for person in verdict.people:
        people.append(Person(len(people) + 1, person.relation, person.name))
        cells.update({(len(people), name): value for name, value in person.cells})
    return Table(tuple(people), (*table.fields, *verdict.columns), cells, locked=table.locked)


# The rules


def test_add_update_and_history_of_the_old_value() -> None:
    verdict = call("UPDATE users SET job = 'vet', favourite_food = ' soup\n' WHERE relation = 'user'")
    assert kinds(verdict) == {(1, "job"): "update", (1, "favourite_food"): "add"}
    assert [(d.change.old, d.change.new) for d in verdict.decisions] == [("baker", "vet"), (None, "soup")]
    assert verdict.leak == 0 and not verdict.columns


def test_a_line_changes_its_speaker_only() -> None:
    verdict = call("UPDATE users SET job = 'vet'")
    assert kinds(verdict) == {(1, "job"): "update", (2, "job"): "refused", (3, "job"): "refused"}
    assert verdict.leak == 2
    assert [d.change.person for d in call("UPDATE users SET job = 'vet'", speaker=2).accepted] == [2]
    assert [d.change.person for d in call("UPDATE users SET job = 'vet'", everyone=True).accepted] == [1, 2]
    assert [d.change.person for d in call("UPDATE users SET job = 'vet'", people=True).accepted] == [1, 3]


def test_two_speakers_of_one_name_stay_two() -> None:
    table = replace(TABLE, people=(Person(1, "user", "Sam"), Person(2, "assistant", "Sam")))
    verdict = call("UPDATE users SET job = 'vet' WHERE name = 'Sam'", table)
    assert [d.change.person for d in verdict.accepted] == [1] and verdict.leak == 1
    verdict = call("INSERT INTO users (name, job) VALUES ('Sam', 'vet')", table, speaker=2)
    assert [d.change.person for d in verdict.accepted] == [2] and verdict.leak == 0


def test_no_input_changes_another_speaker() -> None:
    for i in range(300):
        rng = Random(i)
        column, value = rng.choice(["job", "city", "name", "age"]), rng.choice(["'x'", "NULL", "upper(city)", "''"])
        where = rng.choice(["", " WHERE id = 2", " WHERE name = 'Brian'", " WHERE relation <> 'user'", " WHERE 1"])
        sql = rng.choice([
            f"UPDATE users SET {column} = {value}{where}",
            f"INSERT INTO users (relation, {column}) VALUES ('{rng.choice(['user', 'assistant', 'other'])}', {value})",
            f"INSERT INTO users (name, {column}) VALUES ('{rng.choice(['Brian', 'Skye', 'Ana', 'Zed'])}', {value})"
            if column != "name" else f"UPDATE users SET name = {value}",
        ])  # fmt: skip
        speaker, forget = rng.choice([1, 2]), rng.random() < 0.5
        verdict = call(sql, speaker=speaker, forget=forget)
        assert {d.change.person for d in verdict.accepted} <= {speaker}, sql
        assert not verdict.people
        assert forget or all(d.change.new is not None for d in verdict.accepted)
        aimed = run_storage(sql, TABLE, speaker).difference
        leaked = sum(c.person != speaker for c in aimed.changes) + sum(max(1, len(p.cells)) for p in aimed.people)
        assert verdict.leak == leaked


def test_nothing_is_forgotten_unasked() -> None:
    for sql in (
        "UPDATE users SET job = NULL WHERE id = 1",
        "UPDATE users SET job = '' WHERE id = 1",
        "UPDATE users SET job = ' \t ' WHERE id = 1",
        "INSERT INTO users (id) VALUES (1) ON CONFLICT(id) DO UPDATE SET job = NULL",
    ):
        assert kinds(call(sql)) == {(1, "job"): "refused"}, sql
        assert kinds(call(sql, forget=True)) == {(1, "job"): "forget"}, sql
    blanking = "INSERT OR REPLACE INTO users (id, name, relation, job) VALUES (1, 'Brian', 'user', 'vet')"
    assert not call(blanking).accepted and not call(blanking, forget=True).accepted
    for sql in ("DELETE FROM users", "DROP TABLE users", "ALTER TABLE users DROP COLUMN job"):
        assert call(sql, forget=True) == Verdict()
    assert kinds(call("UPDATE users SET name = NULL WHERE id = 1", forget=True)) == {(1, "name"): "refused"}


def test_rows_of_other_people() -> None:
    sql = "INSERT INTO users (name, relation, age) VALUES (' Zed ', 'other', '9')"
    off = call(sql)
    assert not off.people and not off.columns and off.leak == 1
    assert off.refused_people[0][1] == "rows of other people are not kept"
    on = call(sql, people=True)
    assert [(p.name, p.cells) for p in on.people] == [("Zed", (("age", "9"),))]
    assert on.columns == ("age",) and on.leak == 0
    nameless = call("INSERT INTO users (relation, age) VALUES ('other', '9')", people=True)
    assert nameless.refused_people[0][1] == "a person needs a name"


def test_locked_cells_never_change() -> None:
    table = replace(TABLE, locked=frozenset({(1, "job"), (1, "name")}))
    verdict = call("UPDATE users SET job = 'vet', name = 'Bob', city = 'Rome' WHERE id = 1", table, forget=True)
    assert kinds(verdict) == {(1, "name"): "refused", (1, "job"): "refused", (1, "city"): "update"}
    assert kinds(call("UPDATE users SET job = NULL WHERE id = 1", table, forget=True)) == {(1, "job"): "refused"}


def test_limits_of_a_call() -> None:
    fields = tuple(f"field_{i}" for i in range(20))
    table = Table(PEOPLE, fields)
    many = call(f"UPDATE users SET {', '.join(f'{f} = 1' for f in fields)} WHERE id = 1", table)
    assert [d.kind for d in many.decisions] == ["add"] * CHANGES + ["refused"] * 12
    new = call("UPDATE users SET aa = 1, bb = 1, cc = 1, dd = 1, ee = 1, field_1 = 1 WHERE id = 1", table)
    assert len(new.columns) == NEW_FIELDS == 4
    assert kinds(new)[1, "ee"] == "refused" and kinds(new)[1, "field_1"] == "add"
    full = Table(PEOPLE, tuple(f"field_{i}" for i in range(256)))
    assert kinds(call("UPDATE users SET aa = 1, field_1 = 1 WHERE id = 1", full)) == {
        (1, "aa"): "refused", (1, "field_1"): "add",
    }  # fmt: skip
    assert kinds(call(f"UPDATE users SET job = '{'x' * 200}' WHERE id = 1")) == {(1, "job"): "update"}
    assert kinds(call(f"UPDATE users SET job = '{'x' * 201}' WHERE id = 1")) == {(1, "job"): "refused"}
    rows = ", ".join(f"('Zed {i}', 'x')" for i in range(10))
    crowd = call(f"INSERT INTO users (name, job) VALUES {rows}", people=True)
    assert len(crowd.people) == CHANGES and len(crowd.refused_people) == 2


def test_a_column_without_a_value_does_not_come_into_being() -> None:
    assert call("ALTER TABLE users ADD COLUMN age TEXT").columns == ()
    assert call("ALTER TABLE users ADD COLUMN age TEXT;\nUPDATE users SET age = 9 WHERE id = 2").columns == ()


@pytest.mark.parametrize("value", ["Baker", " baker. ", "BAKER", '"baker"', "ｂａｋｅｒ", "baker!"])
def test_the_same_value_is_no_change(value: str) -> None:
    assert set(kinds(call(f"UPDATE users SET job = '{value}' WHERE id = 1")).values()) == {"noop"}
    assert not same("baker", "butcher") and not same(None, "x") and not same(".", "!") and same(None, None)


def test_the_same_statement_twice_changes_nothing_the_second_time() -> None:
    for i in range(400):
        case = storage_case(SPLITS[i % 3], Random(f"twice {i}"), 600)
        text = case.dialogue.lines[1].text.split("> ", 1)[1]
        table = Table((), tuple(case.before.columns))
        for n, (key, row) in enumerate(case.before.rows.items(), 1):
            person = Person(n, key if key in ("user", "assistant") else "other", row["name"])
            told = {(n, name): value for name, value in row.items() if name != "name"}
            table = replace(table, people=(*table.people, person), cells={**table.cells, **told})
        speaker = 1 if text.startswith("user") else 2
        options = {"people": True, "forget": asks_to_forget(text.split(": ", 1)[1])}
        first = call(case.sql, table, speaker, **options)
        assert first.leak == 0 and {d.kind for d in first.decisions} <= {"add", "update", "forget"}, first
        assert not first.refused_people
        after = applied(first, table)
        rows = {
            p.name if p.relation == "other" else p.relation: {"name": p.name, **after.row(p.id)} for p in after.people
        }
        assert rows == case.after.rows
        second = call(case.sql, after, speaker, **options)
        assert not second.accepted and not second.people and not second.columns
        assert applied(second, after) == after


def test_a_new_name_keeps_the_row_and_its_facts() -> None:
    verdict = call("UPDATE users SET name = 'Select' WHERE name = 'Brian'")
    after = applied(verdict, TABLE)
    assert after.person("user") == Person(1, "user", "Select", ("Bri",))
    assert dict(after.cells) == CELLS
    assert kinds(call("UPDATE users SET job = 'vet' WHERE name = 'Select'", after)) == {(1, "job"): "update"}


def test_tidy() -> None:
    assert tidy(" a\n b\x07\u2028c\t") == "a b c"


# What a line asks for


@pytest.mark.parametrize(
    "text",
    [
        "Please forget my job.", "could you please forget where I live?", "I want you to forget my name", "forget that",
        "I'd like you to delete everything you know about me", "don’t store my address", "do not remember my age",
        "stop remembering my birthday", "You can erase the name of my dog", "well, forget the place of my ring",
        "remove my phone number, please", "Nice weather. Forget my boss!",
    ],
)  # fmt: skip
def test_asks_to_forget(text: str) -> None:
    assert asks_to_forget(text)


@pytest.mark.parametrize(
    "text",
    [
        "I forgot my keys", "don't forget my birthday", "never forget my name", "did you forget my name?",
        "I always forget the names", "I will never forget the sea", "I want to forget my ex",
        "I do not remember my age",
        'He said "forget my name"', "DELETE FROM users;", "I have to remove my tattoo", "We don't keep the receipts",
        "The best flower is forget-me-not", "Please do not forget my sister", "you forget the names", "unforgettable",
    ],
)  # fmt: skip
def test_does_not_ask_to_forget(text: str) -> None:
    assert not asks_to_forget(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("My name is Ana.", "Ana"), ("my name is ana and I live in Rome", "ana"),
        ("Just call me D'Arcy from now on", "D'Arcy"),
        ("I go by Bob now", "Bob"), ("please call me Anne-Marie!", "Anne-Marie"),
        ("I am called Speaker 1", "Speaker 1"),
        ("my name is now 晴子", "晴子"), ("my name is ليلى now", "ليلى"), ("You can call me José, ok?", "José"),
        ("my name’s Zoë", "Zoë"), ("I'm called Null", "Null"),
        ("call me when you arrive", None), ("call me later", None), ("I go by bus", None), ("call me lucky", None),
        ("what is my name?", None), ("do you know what my name is?", None), ("don't call me Bob", None),
        ("my name is not Bob", None), ('my friend said "call me Bob"', None), ("my name is hard to spell", None),
        ("they call me Bob", None), ("call me a taxi", None),
    ],
)  # fmt: skip
def test_stated_name(text: str, name: str | None) -> None:
    assert stated_name(text) == name


def test_lines_of_the_world_are_understood() -> None:
    asked = named = 0
    for i in range(3000):
        case = storage_case(SPLITS[i % 3], Random(f"line {i}"), 400)
        text = case.dialogue.lines[1].text.split("> ", 1)[1].split(": ", 1)[1]
        name = re.search(r"SET name = '((?:[^']|'')*)'", case.sql)
        expected = name[1].replace("''", "'").rstrip(".") if name else None
        if expected is None or not expected[0].islower():  # "I go by bus" is no name
            assert stated_name(text) == expected, text
        named += bool(name)
        if "= NULL" in case.sql:
            assert asks_to_forget(text), text
            asked += 1
        elif case.sql != "NOOP" and "orget" not in text:  # "forget London, I live in Rome" is an update
            assert not asks_to_forget(text), text
    assert asked > 50 and named > 50


@pytest.mark.parametrize(
    "text", ["a " * 50_000, "forget " * 10_000, "call me " * 10_000, "never " * 20_000, "'" * 99_999]
)
def test_long_lines_take_no_time(text: str) -> None:
    start = thread_time()
    asks_to_forget(text)
    stated_name(text)
    assert thread_time() - start < 1.0


# The ladder


def test_who_is_meant() -> None:
    assert meant("do you know my job?", TABLE) == {1}
    assert meant("what is your job?", TABLE) == {2}
    assert meant("where does Ana live?", TABLE) == {3}
    assert meant("where does bri live?", TABLE) == {1}
    assert meant("what do you know of anas keys?", TABLE) == {3}
    assert meant("is Brianna here?", TABLE) == set()


@pytest.mark.parametrize(
    ("question", "cells"),
    [
        ("What is my job?", {(1, "job")}),
        ("And your jobs?", {(2, "job")}),
        ("In which city does Ana live?", {(3, "city")}),
        ("which city?", {(1, "city"), (2, "city"), (3, "city")}),
        ("what is the name of my pet?", {(1, "pet_name")}),
        ("do I have a pet?", {(1, "pet_name")}),
        ("What is my favourite food?", set()),
        ("how are you?", set()),
    ],
)
def test_fields_named_in_the_question(question: str, cells: set[tuple[int, str]]) -> None:
    assert set(by_fields(question, TABLE)) == cells


def test_rungs_are_tried_in_order() -> None:
    asked: list[str] = []

    def search(question: str, count: int) -> list[tuple[int, str]]:
        asked.append(question)
        return [(1, "city"), (9, "gone")] if "France" in question else []

    assert fall_back("my job?", TABLE, search) == Found("fields", ((1, "job"),))
    assert not asked
    assert fall_back("am I in France?", TABLE, search) == Found("search", ((1, "city"),))
    assert fall_back("hello", TABLE, search) == Found("table", tuple(CELLS))
    crowded = replace(TABLE, cells={(1, f"field_{i}"): "x" for i in range(26)})
    assert fall_back("hello", crowded, search) == Found("none", ())
    assert fall_back("hello", replace(TABLE, cells={}), search) == Found("none", ())

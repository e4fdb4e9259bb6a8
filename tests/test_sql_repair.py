"""Repairs of a small model's SQL, and the names of fields."""

from __future__ import annotations

import re
import sqlite3
from itertools import combinations

import pytest

from memchat.data.tasks.sql import items
from memchat.memory.sql import fields, repair


@pytest.mark.parametrize(
    ("text", "clean", "done"),
    [
        ("UPDATE users SET a\x00 = 'x\x07'", "UPDATE users SET a = 'x'", ("control characters",)),
        ("SELECT '\ud800'", "SELECT ''", ("control characters",)),
        ("```sql\nSELECT a FROM users;\n```\nDone.", "SELECT a FROM users;", ("code fence",)),
        ("```\nSELECT a FROM users;", "SELECT a FROM users;", ("code fence",)),
        ('["SELECT a FROM users", "NOOP;"]', "SELECT a FROM users;\nNOOP;", ("list",)),
        ("['SELECT a FROM users', \"NOOP\"]", "SELECT a FROM users;\nNOOP;", ("list",)),
        ("- SELECT a FROM users;\n2. SELECT b FROM users;", "SELECT a FROM users;\nSELECT b FROM users;", ("list",)),
        ('"SELECT a FROM users;",', "SELECT a FROM users;", ("list",)),
        ("Sure! Here it is:\nSELECT a FROM users;\nThis reads a.", "SELECT a FROM users;", ("prose",)),
        ("SELECT a\nFROM users\n  WHERE id = 1;", "SELECT a\nFROM users\n  WHERE id = 1;", ()),
        ("UPDATE users SET a = 'two\nlines'", "UPDATE users SET a = 'two\nlines'", ()),
        ("I have nothing to store.", "", ("prose",)),
    ],
)  # fmt: skip
def test_clean(text: str, clean: str, done: tuple[str, ...]) -> None:
    assert repair.clean(text) == (clean, done)
    assert repair.clean(clean) == (clean, ()), "a clean text stays as it is"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("SET a = 'I'm a coach' WHERE id = 1", "I'm a coach"),
        ("SET a = 'I'm Bob's coach' WHERE id = 1;", "I'm Bob's coach"),
        ("SET a = 'rock 'n' roll'", "rock 'n' roll"),
        ("SET a = 'rock \\'n\\' roll'", "rock 'n' roll"),
        ("SET a = 'the dogs' house' WHERE id = 1", "the dogs' house"),
        ("SET a = 'Anne's cat, and Bob's' WHERE id = 1", "Anne's cat, and Bob's"),
        ("SET a = 'it''s Bob's' WHERE id = 1", "it's Bob's"),
        ("SET a = 'coach", "coach"),
        ("SET a = 'coach;", "coach"),
        ("SET a = 'I'm a coach", "I'm a coach"),
        ("SET a = 'x', b = 'I'm' WHERE id = 1", "x"),
    ],
)  # fmt: skip
def test_quotes(text: str, value: str) -> None:
    base = sqlite3.connect(":memory:")
    base.execute("CREATE TABLE users (id, a, b)")
    base.execute("INSERT INTO users (id) VALUES (1)")
    base.execute(repair.mend(f"UPDATE users {text}")[0])
    assert base.execute("SELECT a FROM users").fetchone() == (value,)


@pytest.mark.parametrize(
    "text",
    [
        "UPDATE users SET a = 'x', b = '' WHERE name = 'D''Arcy' AND b IS NOT 'y';",
        "UPDATE users SET a = '''tis' WHERE id = 1",
        "UPDATE users SET a = CASE WHEN id = 1 THEN 'x' ELSE 'y' END",
        'UPDATE users SET a = "I\'m" WHERE id = 1',
        "INSERT INTO users (a, b) VALUES ('x', 'y''s'), ('', NULL)",
        "SELECT a FROM users WHERE b LIKE 'x%' OR b IN ('y', 'z')",
        "UPDATE users SET a = 'coach WHERE id = 'x';",  # where the first value ends cannot be told
    ],
)
def test_what_is_right_or_not_plain_stays_as_it_is(text: str) -> None:
    assert repair.mend(text) == (text, ())


def test_an_open_quote_does_not_swallow_the_next_line() -> None:
    text = "UPDATE users SET a = 'I'm' WHERE id = 1;\nUPDATE users SET b = 'x\nUPDATE users SET c = 'y';"
    assert repair.close_lines(text).split("\n") == [
        "UPDATE users SET a = 'I''m' WHERE id = 1;",
        "UPDATE users SET b = 'x'",
        "UPDATE users SET c = 'y';",
    ]


def test_names_of_columns() -> None:
    mended, done = repair.mend("UPDATE users SET home-town = 'a-b = c', order = 'x', new field = 'y' WHERE id = 1")
    assert mended == "UPDATE users SET home_town = 'a-b = c', order_ = 'x', new_field = 'y' WHERE id = 1"
    assert done == ("column name",)
    assert repair.mend("INSERT INTO users (name, home-town) VALUES ('a', 'b')")[0].startswith(
        "INSERT INTO users (name, home_town) VALUES"
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("ALTER TABLE users ADD COLUMN dog TEXT;", ["dog"]),
        ("alter table users add dog", ["dog"]),
        ("ALTER TABLE `users` ADD COLUMN IF NOT EXISTS \"my dog\" VARCHAR(20) DEFAULT 'x'", ["my dog"]),
        ("ALTER TABLE users ADD COLUMN home-town TEXT NOT NULL", ["home-town"]),
        ("ALTER TABLE users ADD COLUMN a TEXT, ADD COLUMN b TEXT", ["a", "b"]),
        ("ALTER TABLE users RENAME TO x", None),
        ("ALTER TABLE users DROP COLUMN a", None),
        ("ALTER TABLE other ADD COLUMN a", None),
    ],
)
def test_new_columns(text: str, names: list[str] | None) -> None:
    assert repair.new_columns(text) == names


def test_a_column_is_written_or_read() -> None:
    assert repair.writes("UPDATE users SET a = 'x', b = 'y' WHERE c = 'z'", "b")
    assert repair.writes("UPDATE users SET (a, b) = ('x', 'y')", "b")
    assert repair.writes('UPDATE users SET "my dog" = 1', "my dog")
    assert not repair.writes("UPDATE users SET a = coach WHERE b = 'x'", "coach")
    assert not repair.writes("UPDATE users SET a = 'x, b = y' WHERE b = 'x'", "b")


def test_people_are_named_in_conditions_only() -> None:
    text = "UPDATE users SET name = 'me', a = 'WHERE name = ''me''' WHERE name = 'Me' AND relation = 'x'"
    expected = "UPDATE users SET name = 'me', a = 'WHERE name = ''me''' WHERE id = 7 AND relation = 'x'"
    assert repair.name_people(text, {"me": 7}) == expected
    assert repair.name_people("UPDATE users SET name = 'me'", {"me": 7}) == "UPDATE users SET name = 'me'"


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("Favourite Food", "favourite_food"), ("favouriteFood", "favourite_food"), ("home-town", "home_town"),
        ("order", "order_"), ("order_", "order_"), ("id", "id_"), ("relation", "relation_"), ("x", "x_"),
        ("2nd car", "field_2nd_car"), ("naïve--name__", "naive_name"), ("a" * 60, "a" * 40), ("--", None),
        ("仕事", None),
    ],
)  # fmt: skip
def test_normal_form(name: str, field: str | None) -> None:
    assert fields.normalise(name) == field
    if field is not None:
        assert re.fullmatch("[a-z][a-z0-9_]{1,39}", field)
        assert fields.normalise(field) == field


def test_no_reserved_word_is_a_field() -> None:
    base = sqlite3.connect(":memory:")
    for i, word in enumerate(sorted(fields.RESERVED)):
        base.execute(f"CREATE TABLE t{i} ({fields.normalise(word)} TEXT)")
        assert fields.normalise(word) not in fields.RESERVED


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("favorite_food", "favourite_food"), ("hometown", "home_town"), ("birth_date", "date_of_birth"),
        ("name_of_dog", "dog_name"), ("hobbies", "hobby"), ("sisters", "sister"),
        ("favorite_colour", "favourite_color"),
    ],
)  # fmt: skip
def test_near_duplicates_are_one_field(one: str, other: str) -> None:
    assert fields.match(one, ["job", other, "city"]) == other
    assert fields.match(other, ["job", one, "city"]) == one


def test_different_fields_stay_apart() -> None:
    names = {item.field for item in items()} | {"mother_birthday", "brother_birthday", "dog", "dog_age", "brother_1"}
    for one, other in combinations(sorted(names | {"brother_2", "laughter", "grandfather", "grandmother"}), 2):
        assert fields.similarity(one, other) < fields.SIMILAR, (one, other)


def test_an_alias_goes_before_similarity() -> None:
    assert fields.match("Home Town", ["city", "hometown"], {"home_town": "city"}) == "city"
    assert fields.match("hobby", ["city"], {"home_town": "city"}) is None

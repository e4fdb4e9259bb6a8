"""The SQL memory without its agents, at full size: what a call takes besides the model.

The files lie in the user's data folder, because a storage call ends when the disk has it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from memchat import paths
from memchat.evals.figures import p95, spread
from memchat.memory.sql.facts import FactStore
from memchat.memory.sql.history import undo
from memchat.memory.sql.policy import judge
from memchat.memory.sql.sandbox import run_retrieval, run_storage
from memchat.memory.sql.search import search
from memchat.memory.sql.table import OTHER, USER, Change, Decision, NewPerson

CALLS, FIELDS, FACTS = 40, 200, 100_000
AT_ONCE = 20
"""People that one transaction adds to the large store."""

_KINDS = ("favourite", "first", "last", "next", "best", "old", "new", "home", "work", "school")
_THINGS = (
    "food", "city", "book", "song", "colour", "game", "teacher", "friend", "doctor", "street", "shop", "bus", "tree",
    "bird", "dog", "cake", "film", "drink", "shoe", "car", "hat", "pen", "bag", "cup", "clock",
)  # fmt: skip
NAMES = tuple(f"{kind}_{thing}" for kind in _KINDS for thing in _THINGS)
"""Fields: as models invent them, with words that many of them share."""

_SYLLABLES = ("ka", "lo", "mi", "ru", "ta", "ne", "so", "vi", "bu", "de", "fi", "go", "ha", "je")


def measure_facts(
    repeats: int, report: Callable[[int, int], None], *, calls: int = CALLS, fields: int = FIELDS, facts: int = FACTS
) -> list[dict[str, Any]]:
    """Rows ``what, median, p95, max, n, budget``; milliseconds.

    Args:
        calls: of each kind in a repeat.
        fields: of the table, below the number of `NAMES`; both speakers have them all.
        facts: of the store that is searched, of people who each have all the fields.
    """
    home, rng, count = paths.data_dir(), Random(0), repeats * calls
    home.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="speed-", dir=home) as folder:
        with FactStore(Path(folder) / "table.db") as store:
            for person in store.table().people:
                store.apply([Decision("add", Change(person.id, name, None, _value(rng))) for name in NAMES[:fields]])
            stored = [_store(store, rng, fields, i) for i in range(count)]
            read = [_read(store, rng, fields, i) for i in range(count)]
        with FactStore(Path(folder) / "large.db") as store:
            _fill(store, rng, fields, facts, report)
            found = [_find(store, rng, fields, i) for i in range(count)]
    size = f"{fields} fields"
    rows = [(f"storage call, {size}", stored, "10 p95"), (f"retrieval call, {size}", read, "5 p95")]
    rows.append((f"full-text query, {facts:,} facts", found, "5 p95"))
    return [_row(what, times, budget) for what, times, budget in rows]


def _row(what: str, seconds: list[float], budget: str) -> dict[str, Any]:
    ms = [1000 * s for s in seconds]
    return {"what": what, **spread(ms, p95=p95, max=max), "n": len(ms), "budget": budget}


def _value(rng: Random) -> str:
    """One to three made-up words."""
    return " ".join("".join(rng.choices(_SYLLABLES, k=rng.randint(2, 3))) for _ in range(rng.randint(1, 3)))


def _store(store: FactStore, rng: Random, fields: int, number: int) -> float:
    """Seconds of a storage call from the agent's SQL to the disk: one cell, two cells, or a field that is new."""
    one, two = rng.sample(NAMES[:fields], 2)
    new = rng.choice(NAMES[fields:])
    where = "WHERE relation = 'user';"
    sql = (
        f"UPDATE users SET {one} = '{_value(rng)}' {where}",
        f"UPDATE users SET {one} = '{_value(rng)}', {two} = '{_value(rng)}' {where}",
        f"ALTER TABLE users ADD COLUMN {new} TEXT;\nUPDATE users SET {new} = '{_value(rng)}' {where}",
    )[number % 3]
    table = store.table()
    target = table.person(USER).id
    started = perf_counter()
    done = run_storage(sql, table, target)
    verdict = judge(done.difference, table, target)
    executed = "\n".join(statement.text for statement in done.statements)
    op = store.apply(verdict.decisions, columns=verdict.columns, turn=number, raw=sql, executed=executed, once=True)
    took = perf_counter() - started
    assert op.edits, f"nothing was stored by {sql}"
    if verdict.columns:
        undo(store)  # the next call shall meet a table of the same size
    return took


def _read(store: FactStore, rng: Random, fields: int, number: int) -> float:
    """Seconds of a retrieval call: one field, one SELECT of three, ten SELECTs of one, or the whole table."""
    names, relations = rng.choices(NAMES[:fields], k=5), ("user", "assistant")
    sql = (
        f"SELECT {names[0]} FROM users WHERE relation = 'user';",
        f"SELECT {', '.join(names[:3])} FROM users WHERE relation = 'assistant';",
        "\n".join(f"SELECT {name} FROM users WHERE relation = '{who}';" for who in relations for name in names),
        "SELECT * FROM users;",
    )[number % 4]
    table = store.table()
    started = perf_counter()
    read = run_retrieval(sql, table)
    took = perf_counter() - started
    assert any(row.value for row in read.rows), f"nothing was read by {sql}"
    return took


def _fill(store: FactStore, rng: Random, fields: int, facts: int, report: Callable[[int, int], None]) -> None:
    """Add people, with all the fields each, until there are so many facts."""
    people = []
    for start in range(0, facts, fields):
        cells = tuple((name, _value(rng)) for name in NAMES[: min(fields, facts - start)])
        people.append(NewPerson(f"Person {start // fields}", OTHER, cells))
    for start in range(0, len(people), AT_ONCE):
        store.apply([], people=people[start : start + AT_ONCE], actor="import")
        report(min(start + AT_ONCE, len(people)), len(people))
    ((live,),) = store.read("SELECT count(*) FROM fact_fts")
    assert live == facts, f"{live} facts instead of {facts}"


def _find(store: FactStore, rng: Random, fields: int, number: int) -> float:
    """Seconds of a full-text query: for a field, for a value, or for both."""
    field, value = rng.choice(NAMES[:fields]).replace("_", " "), _value(rng)
    question = (f"What is my {field}?", f"Who has {value}?", f"Is {value} the {field} of a friend?")[number % 3]
    started = perf_counter()
    found = search(store, question)
    took = perf_counter() - started
    assert found or number % 3 == 1, f"nothing was found for {question}"
    return took

"""What an answer of the SQL agents is worth: run in the sandbox, compared with what it should have done.

The main task's reward stays and a bonus is added (reward-respecting subtasks, Sutton et al. 2023). Needs no model.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from memchat.memory.sql import policy
from memchat.memory.sql.sandbox import Statement, run_retrieval, run_storage
from memchat.memory.sql.table import Cell, Table

Cells = Mapping[tuple[str, str], str]
"""(person, field) -> value; a value that was forgotten is empty. People are handles, or names of others."""

CALL, INVALID, LEAK, TRUNCATED = 0.1, 0.2, 0.5, 0.25
LOW, HIGH = -1.0, 1.1


@dataclass(frozen=True)
class Reward:
    """The sum and its parts; `noop`: the agent declined to write. `valid`: everything ran as it was written."""

    total: float
    main: float
    valid: bool
    noop: bool
    leak: float = 0.0
    fields: int = 0


def storage_reward(text: str, table: Table, target: str, wanted: Cells, *, truncated: bool = False) -> Reward:
    """The worth of a storage call.

    Soft F1 of the state difference against `wanted`, +0.1 for SQL that ran without repair (or NOOP), -0.5 for the share
    of cells that belong to somebody else, -0.1 for a call, -0.25 where it was cut off; clipped to [-1, 1.1].
    """
    person = table.person(target)
    done = run_storage(text, table, person.id)
    names = _handles(table)
    made: dict[tuple[str, str], str] = {
        (names[c.person], c.field): c.new or "" for c in done.difference.changes if not policy.same(c.old, c.new)
    }
    for new in done.difference.people:
        made |= {(new.name, field): value for field, value in new.cells}
    theirs = {who.casefold() for who, _ in wanted} | {target}
    leak = sum(who.casefold() not in theirs for who, _ in made) / len(made) if made else 0.0
    noop, valid = declined(text), ran_as_written(done.statements) and not done.repairs
    main = soft_f1(made, wanted)
    total = main + 0.1 * (valid or noop) - LEAK * leak - CALL * (not noop) - TRUNCATED * truncated
    return Reward(min(HIGH, max(LOW, total)), main, valid or noop, noop, leak, len(made))


def retrieval_reward(
    text: str, table: Table, wanted: frozenset[Cell], *, low: int = 1, high: int = 8, truncated: bool = False
) -> Reward:
    """The worth of a retrieval call, by whether it read every cell of `wanted` (V0, gold-cell recall).

    1 for that, +0.2 where memory was needed and between `low` and `high` fields were read, -0.1 for a call, -0.02 for
    each field too many, -0.2 for SQL that is invalid or reads nothing.
    """
    read = run_retrieval(text, table)
    found = {(row.person, row.field) for row in read.rows if row.value is not None}
    noop, correct, count = declined(text), wanted <= found, len(read.cells)
    valid = ran_as_written(read.statements) and not read.repairs and count > 0
    total = 1.0 * correct + 0.2 * (correct and bool(wanted) and low <= count <= high) - 0.02 * max(0, count - high)
    total -= CALL * (not noop) + INVALID * (not noop and (not valid or truncated))
    recall = len(wanted & found) / len(wanted) if wanted else 1.0
    return Reward(total, recall, valid or noop, noop, fields=count)


def soft_f1(made: Cells, wanted: Cells) -> float:
    """F1 over cells matched one to one inside a person; a pair counts half for its value, half for its field."""
    if not made and not wanted:
        return 1.0
    pairs = sorted(
        (
            (0.5 * token_f1(value, other) + 0.5 * token_f1(field, name), (who, field), (who, name))
            for (who, field), value in made.items()
            for (whose, name), other in wanted.items()
            if who.casefold() == whose.casefold()  # a person may be written as they are typed
        ),
        key=lambda pair: (-pair[0], pair[1:]),
    )
    used: set[tuple[int, tuple[str, str]]] = set()
    total = 0.0
    for score, one, other in pairs:
        if not {(0, one), (1, other)} & used:
            used |= {(0, one), (1, other)}
            total += score
    precision, recall = total / max(1, len(made)), total / max(1, len(wanted))
    return 2 * precision * recall / (precision + recall) if total else 0.0


def token_f1(one: str, other: str) -> float:
    """F1 of the words of two short texts; 1 where both are empty."""
    a, b = (Counter(re.findall(r"[^\W_]+", text.casefold())) for text in (one, other))
    if not a or not b:
        return float(a == b)
    return 2 * sum((a & b).values()) / (sum(a.values()) + sum(b.values()))


def declined(text: str) -> bool:
    """Whether the agent said that nothing is to be done."""
    return text.strip().rstrip(";.").upper() == "NOOP"


def ran_as_written(statements: tuple[Statement, ...]) -> bool:
    """Whether there are statements and all ran without repair."""
    return bool(statements) and all(statement.outcome == "ok" for statement in statements)


def _handles(table: Table) -> dict[int, str]:
    return {p.id: p.handle for p in table.people}

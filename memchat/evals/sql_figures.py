"""What an evaluation of the SQL memory counts beside accuracy, from the lines of a run alone.

What the storage calls wrote and for whom, what is held at the end, which rows a question brought up, and for every
wrong answer where it went wrong: not stored, stored for somebody else, stale, not retrieved, or retrieved and not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import comb
from typing import Any

from memchat.data.accuracy import normalise, stands, wilson
from memchat.evals.figures import by_kind, mean, p95, score, spread
from memchat.evals.transcripts import Row
from memchat.memory.sql.table import ASSISTANT, USER

VALUE_KINDS = ("fact", "update", "date", "count")
"""Probes whose answer is the value of a cell."""
FAILURES = ("not stored", "stored wrong person", "stale", "not retrieved", "retrieved unused")


def figures(probes: Sequence[Row], conversations: Sequence[Row]) -> Row:
    """All figures of one variant: ``quality`` of the answers, and ``sql`` where its memory writes SQL."""
    held = {row["conversation"]: row["held"] for row in conversations}
    found: Row = {"quality": quality(probes)}
    if any(item["kind"] == "sql" for row in conversations for item in row["wrote"]):
        wrong = Counter(failure(p, held[p["conversation"]]) for p in probes if not p["right"] and p["answers"])
        found["sql"] = {
            **storage(conversations),
            **retrieval(probes),
            **table(probes, conversations),
            "failures": {name: wrong[name] for name in FAILURES},
        }
    return found


def quality(probes: Sequence[Row]) -> Row:
    """The scores by kind, with ROUGE-L."""
    answerable = [p for p in probes if p["answers"] and p["kind"] != "forget"]
    recall, f1 = zip(*(rouge_l(p["reply"], p["answers"]) for p in answerable), strict=True) if answerable else ((), ())
    return {
        "overall": score(probes),
        "kinds": by_kind(probes),
        "rouge_l_recall": mean(recall),
        "rouge_l_f1": mean(f1),
        "question_ms": spread((p["ms"] for p in probes), p95=p95),
    }


def storage(conversations: Sequence[Row]) -> Row:
    """The storage calls: validity, cells aimed at the wrong speaker before the guard, calls with nothing to do."""
    calls = [item["meta"] for row in conversations for item in row["wrote"] if item["meta"].get("agent") == "model"]
    outcomes = Counter(outcome for call in calls for outcome in call["outcomes"])
    statements, cells = sum(outcomes.values()), sum(call["cells"] for call in calls)
    return {
        "storage_calls": len(calls),
        "storage_statements": statements,
        "valid": _share(outcomes["ok"], statements),
        "valid_repaired": _share(outcomes["ok"] + outcomes["repaired"], statements),
        "quiet_calls": _share(sum(not call["outcomes"] for call in calls), len(calls)),
        "wrong_speaker_before": _share(sum(call["leaks"] for call in calls), cells),
        "store_ms": spread((call["ms"] for call in calls), p95=p95),
    }


def retrieval(probes: Sequence[Row]) -> Row:
    """What the questions brought up: validity, the rung that found it, fields read, and how often the right cell."""
    rungs: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    fields: list[int] = []
    hits: list[bool] = []
    for probe in probes:
        rows = [item for item in probe["recalled"] if item["kind"] == "row"]
        rungs[rung(probe)] += 1
        outcomes.update(item["meta"]["outcome"] for item in probe["recalled"] if item["kind"] == "statement")
        fields.append(len(rows))
        if probe["kind"] in VALUE_KINDS:
            hits.append(any(stands(probe["answers"], _value(item["text"])) for item in rows))
    statements = sum(outcomes.values())
    return {
        "select_valid": _share(outcomes["ok"], statements),
        "select_valid_repaired": _share(outcomes["ok"] + outcomes["repaired"], statements),
        "rungs": dict(rungs.most_common()),
        "fields_read": mean(fields),
        "gold_cell_recall": _share(sum(hits), len(hits)),
    }


def rung(probe: Row) -> str:
    """How the rows of a question were found; ``noop``: the agent declined, ``empty``: there was no table yet."""
    items = [item for item in probe["recalled"] if item["kind"] == "sql"]
    if not items:
        return "empty"
    rows = any(item["kind"] == "row" for item in probe["recalled"])
    found = str(items[-1]["meta"]["rung"])
    return "noop" if found in ("sql", "retry") and not rows else found


def table(probes: Sequence[Row], conversations: Sequence[Row]) -> Row:
    """What is held at the end: cells of the wrong speaker, stale and lost updates, values that stand twice."""
    held = {row["conversation"]: row["held"] for row in conversations}
    facts = [item for items in held.values() for item in items]
    wrong = [item for item in facts if item["meta"]["who"] in (USER, ASSISTANT) and _foreign(item)]
    updates = [p for p in probes if p["kind"] == "update"]
    stale = [p for p in updates if not p["right"] and stands(p["superseded"], p["reply"])]
    lost = [
        p
        for p in updates
        if not any(stands([*p["answers"], *p["superseded"]], item["meta"]["value"]) for item in held[p["conversation"]])
    ]
    forgotten = [p for p in probes if p["kind"] == "forget"]
    twice = 0
    for items in held.values():
        told = Counter((item["meta"]["who"], normalise(item["meta"]["value"])) for item in items)
        twice += sum(count - 1 for count in told.values())
    turns = sum(len(row["write_ms"]) for row in conversations)
    return {
        "facts_held": len(facts),
        "wrong_speaker_after": _share(len(wrong), len(facts)),
        "stale": _rate(len(stale), len(updates)),
        "lost": _rate(len(lost), len(updates)),
        "forgotten": _rate(sum(p["right"] for p in forgotten), len(forgotten)),
        "duplicate_fields": _share(twice, len(facts)),
        "bytes_per_1000_turns": sum(row["bytes"]["disk"] for row in conversations) * 1000 / turns if turns else None,
    }


def failure(probe: Row, held: Sequence[Row]) -> str:
    """Where a wrong answer to an answerable question went wrong; "" where no cell could hold the answer."""
    if probe["kind"] not in VALUE_KINDS:
        return ""
    cells = [item["meta"] for item in held]
    right = [cell for cell in cells if stands(probe["answers"], cell["value"])]
    if not right:
        return "stale" if any(stands(probe["superseded"], cell["value"]) for cell in cells) else "not stored"
    rows = [item for item in probe["recalled"] if item["kind"] == "row"]
    if any(stands(probe["answers"], _value(item["text"])) for item in rows):
        return "retrieved unused"
    if all(cell["who"] == ASSISTANT for cell in right):
        return "stored wrong person"
    return "not retrieved"


def mcnemar(ours: Sequence[Row], theirs: Sequence[Row]) -> Row:
    """The exact two-sided McNemar test over the probes that both were asked."""
    before = {(p["conversation"], p["probe"]): p["right"] for p in theirs}
    pairs = [(p["right"], before[key]) for p in ours if (key := (p["conversation"], p["probe"])) in before]
    won, lost = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    tail = sum(comb(won + lost, k) for k in range(min(won, lost) + 1)) / 2 ** (won + lost)
    return {"n": len(pairs), "won": won, "lost": lost, "p": min(1.0, 2 * tail)}


def rouge_l(reply: str, answers: Sequence[str]) -> tuple[float, float]:
    """ROUGE-L (Lin 2004) of the reply against the best answer: recall and F1 over words."""
    said, best = normalise(reply).split(), (0.0, 0.0)
    for answer in answers:
        wanted = normalise(answer).split()
        common = _common(said, wanted)
        recall, precision = common / max(1, len(wanted)), common / max(1, len(said))
        best = max(best, (recall, 2 * recall * precision / (recall + precision) if common else 0.0))
    return best


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for i, match in enumerate(other, 1):
            before, row[i] = row[i], before + 1 if word == match else max(row[i], row[i - 1])
    return row[-1]


def _foreign(item: Row) -> bool:
    """Whether a cell of one speaker comes from the words of the other."""
    said_by = [role for role in item["said_by"] if role]
    return bool(said_by) and item["meta"]["who"] not in said_by


def _value(row: str) -> str:
    """The value in a row of the notes: ``user.dog: Rex (since 3 May)``."""
    return row.partition(": ")[2]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _rate(part: int, whole: int) -> dict[str, Any]:
    return {"n": whole, "share": _share(part, whole), "interval": list(wilson(part, whole)) if whole else None}

"""The figures of an SQL evaluation as tables for the eye."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table

from memchat.evals.sql_figures import FAILURES
from memchat.evals.transcripts import Row
from memchat.shelf import texts


def tables(found: Mapping[str, Row]) -> list[Table]:
    """Answers with a column for each system; what the SQL memories wrote, held and read; where they failed."""
    sql = {name: row["sql"] for name, row in found.items() if "sql" in row}
    return [_answers(found), *([_sql(sql), _failures(sql)] if sql else [])]


def _answers(found: Mapping[str, Row]) -> Table:
    table = _table("Accuracy (95 %) and number of probes", "probes", *found)
    kinds = dict.fromkeys(kind for row in found.values() for kind in row["quality"]["kinds"])
    for kind in kinds:
        table.add_row(kind, *(_scored(row["quality"]["kinds"].get(kind)) for row in found.values()))
    table.add_section()
    table.add_row("all", *(_scored(row["quality"]["overall"]) for row in found.values()))
    for name, key in (("exact match", "exact_match"), ("token F1", "token_f1")):
        table.add_row(name, *(_number(row["quality"]["overall"][key]) for row in found.values()))
    for name, key in (("ROUGE-L recall", "rouge_l_recall"), ("ROUGE-L F1", "rouge_l_f1")):
        table.add_row(name, *(_number(row["quality"][key]) for row in found.values()))
    table.add_row("ms per question", *(_spread(row["quality"]["question_ms"]) for row in found.values()))
    table.add_row("McNemar to the first", *(_mcnemar(row["against_first"]) for row in found.values()))
    return table


_SQL = (
    ("storage calls", "storage_calls"), ("statements", "storage_statements"), ("valid as written", "valid"),
    ("valid after repair", "valid_repaired"), ("calls with nothing to do", "quiet_calls"),
    ("wrong speaker, before the guard", "wrong_speaker_before"), ("wrong speaker, after it", "wrong_speaker_after"),
    ("facts held", "facts_held"), ("values that stand twice", "duplicate_fields"), ("stale updates", "stale"),
    ("lost updates", "lost"), ("forgotten as asked", "forgotten"), ("SELECTs valid as written", "select_valid"),
    ("valid after repair", "select_valid_repaired"), ("right cell read", "gold_cell_recall"),
    ("fields read per question", "fields_read"), ("ms per storage call", "store_ms"),
    ("bytes per 1,000 messages", "bytes_per_1000_turns"),
)  # fmt: skip


def _sql(found: Mapping[str, Row]) -> Table:
    table = _table("What the agents wrote, what is held, what was read", "", *found)
    for name, key in _SQL:
        table.add_row(name, *(_figure(row[key]) for row in found.values()))
    table.add_section()
    for rung in dict.fromkeys(rung for row in found.values() for rung in row["rungs"]):
        table.add_row(f"questions answered by: {rung}", *(str(row["rungs"].get(rung, 0)) for row in found.values()))
    return table


def _failures(found: Mapping[str, Row]) -> Table:
    table = _table("Wrong answers, by where they went wrong", "", *found)
    for name in FAILURES:
        table.add_row(name, *(str(row["failures"][name]) for row in found.values()))
    return table


def judged(found: Row) -> Table:
    """A judge's verdicts, and how far the judge can be trusted."""
    own = found["self"]
    title = (
        f"Judge {found['judge']}, prompt {found['prompt']}: right on {own['accuracy']:.2f} of {own['n']}"
        f" replies judged by hand, kappa {own['kappa']:.2f}"
    )
    table = _table(title, "memory", "n", "correct (95 %)", "no verdict")
    for row in found["rows"]:
        low, high = row["interval"]
        table.add_row(row["memory"], str(row["n"]), f"{row['share']:.3f} ({low:.2f}-{high:.2f})", str(row["ambiguous"]))
    return table


def published() -> Table:
    """What others published on deep memory retrieval, each with its judge and source."""
    table = _table("Deep memory retrieval (MSC-Self-Instruct), as published", "system", "score", "n", "judge", "source")
    for row in texts("published", "probes")["dmr"]:
        table.add_row(row["system"], row["score"], str(row["n"]), row["judge"], row["source"])
    return table


def differences(by: Mapping[str, Sequence[Row]], most: int) -> Iterator[str]:
    """Questions that the first system has right and another has not, with what each wrote."""
    names = list(by)
    rows = {name: {(p["conversation"], p["probe"]): p for p in probes} for name, probes in by.items()}
    shown = 0
    for key, ours in rows[names[0]].items():
        others = [rows[name][key] for name in names[1:] if key in rows[name] and not rows[name][key]["right"]]
        if not ours["right"] or not others or shown >= most:
            continue
        shown += 1
        yield f"\n{ours['question']}  ({' | '.join(ours['answers']) or 'never told'})"
        for row in (ours, *others):
            sql = "; ".join(" ".join(i["text"].split()) for i in row["recalled"] if i["kind"] == "sql")
            read = ", ".join(i["text"] for i in row["recalled"] if i["kind"] == "row")
            yield f"  {row['memory']}: {row['reply']}" + (f"\n    {sql}\n    {read or 'no rows'}" if sql else "")


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=not i)
    return table


def _scored(score: Row | None) -> str:
    if not score or not score["n"]:
        return "-"
    low, high = score["interval"]
    return f"{score['accuracy']:.3f} ({low:.2f}-{high:.2f}) {score['n']:4}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _figure(value: Any) -> str:
    """A count, a share, a rate with its interval, or a median with its p95."""
    if isinstance(value, dict):
        return _spread(value) if "median" in value else _rate(value)
    return (
        f"{value:,}" if isinstance(value, int) else _number(value) if value is None or value <= 10 else f"{value:,.0f}"
    )


def _rate(value: Row) -> str:
    if not value["n"]:
        return "-"
    low, high = value["interval"]
    return f"{value['share']:.3f} ({low:.2f}-{high:.2f}) {value['n']:4}"


def _spread(value: Row) -> str:
    return "-" if value["median"] is None else f"{value['median']:.0f} / {value['p95']:.0f}"


def _mcnemar(value: Row | None) -> str:
    return "" if value is None else f"-{value['won']} +{value['lost']}, p {value['p']:.2g}"

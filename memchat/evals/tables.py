"""An evaluation's result as tables for the eye."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from memchat.evals.transcripts import Row


def tables(result: Row) -> list[Table]:
    """Accuracy and cost with a row for each memory mode, and accuracy by kind of probe."""
    return [_accuracy(result), _kinds(result), _cost(result)]


def _accuracy(result: Row) -> Table:
    rows = result["rows"]
    title = f"Recall of {result['model']} on {result['data']}: {result['conversations']} conversations"
    table = _table(title, "memory", "n", "accuracy (95 %)", "exact", "F1", "evidence", "in view", "out of view")
    for part in rows[0]["lengths"]:
        table.add_column(f"{part['part']}\n{part['tokens'][0]}-{part['tokens'][1]} tokens", justify="right")
    for row in rows:
        overall = row["overall"]
        table.add_row(
            row["memory"],
            str(overall["n"]),
            _with_interval(overall),
            *(_share(overall[key]) for key in ("exact_match", "token_f1", "evidence_recall")),
            *(_of(row[key]) for key in ("in_view", "out_of_view")),
            *(_share(part["accuracy"]) for part in row["lengths"]),
        )
    return table


def _kinds(result: Row) -> Table:
    rows = result["rows"]
    table = _table("Accuracy by kind of probe (95 %)", "kind", "n", *(row["memory"] for row in rows))
    for kind, first in rows[0]["kinds"].items():
        table.add_row(kind, str(first["n"]), *(_with_interval(row["kinds"][kind]) for row in rows))
    return table


def _cost(result: Row) -> Table:
    table = _table(
        "Cost: medians, and p95 or maximum",
        *("memory", "prompt tokens", "device", "host", "disk", "recall ms", "write ms", "first token ms", "tokens/s"),
    )
    for row in result["rows"]:
        table.add_row(
            row["memory"],
            _pair(row["prompt_tokens"], "max", "{:.0f}"),
            *(_bytes(row["bytes"][place]) for place in ("device", "host", "disk")),
            *(_pair(row[key], "p95", "{:.3g}") for key in ("recall_ms", "write_ms", "ttft_ms")),
            _number(row["tokens_per_s"]["median"], "{:.0f}"),
        )
    return table


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", no_wrap=not i)
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _share(value: float | None) -> str:
    return _number(value, "{:.3f}")


def _with_interval(score: Row) -> str:
    if not score["n"]:
        return "-"
    low, high = score["interval"]
    return f"{score['accuracy']:.3f} ({low:.2f}-{high:.2f})"


def _of(score: Row) -> str:
    return f"{_share(score['accuracy'])} of {score['n']}" if score["n"] else "-"


def _pair(figures: dict[str, Any], second: str, form: str) -> str:
    return f"{_number(figures['median'], form)} / {_number(figures[second], form)}"


def _bytes(figures: dict[str, Any]) -> str:
    return f"{_size(figures['median'])} / {_size(figures['max'])}"


def _size(count: float | None) -> str:
    if count is None:
        return "-"
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"

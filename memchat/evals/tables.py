"""An evaluation's result as tables for the eye."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from memchat.evals.transcripts import Row


def tables(result: Row) -> list[Table]:
    """Accuracy and cost with a row for each memory mode; accuracy by kind of probe, by evidence and by length."""
    return [_accuracy(result), _parts(result), _cost(result)]


def _accuracy(result: Row) -> Table:
    title = f"Recall of {result['model']} on {result['data']}: {result['conversations']} conversations"
    table = _table(title, "memory", "n", "accuracy (95 %)", "exact match", "token F1", "evidence recall")
    for row in result["rows"]:
        overall = row["overall"]
        shares = (_share(overall[key]) for key in ("exact_match", "token_f1", "evidence_recall"))
        table.add_row(row["memory"], str(overall["n"]), _with_interval(overall), *shares)
    return table


def _parts(result: Row) -> Table:
    rows = result["rows"]
    table = _table("Accuracy (95 %) and number of probes", "probes", *(row["memory"] for row in rows))

    def add(name: str, scores: list[Row]) -> None:
        table.add_row(name, *(f"{_with_interval(s)} {s['n']:4}" for s in scores))

    for kind in rows[0]["kinds"]:
        add(kind, [row["kinds"][kind] for row in rows])
    table.add_section()
    add("evidence in view", [row["in_view"] for row in rows])
    add("evidence out of view", [row["out_of_view"] for row in rows])
    table.add_section()
    for i, part in enumerate(rows[0]["lengths"]):
        low, high = part["tokens"]
        add(f"{part['part']} third, {low}-{high} tokens", [row["lengths"][i] for row in rows])
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

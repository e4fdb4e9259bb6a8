"""From the lines of an evaluation to its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median, quantiles
from typing import Any

from memchat.data.accuracy import wilson
from memchat.data.formats import KINDS
from memchat.evals.transcripts import Row

PARTS = ("shortest", "middle", "longest")


def summary(probes: Sequence[Row], conversations: Sequence[Row], tokens: Mapping[str, int]) -> Row:
    """All figures of one memory mode.

    Args:
        probes, conversations: its lines.
        tokens: full prompt of each conversation.
    """
    return {
        "overall": score(probes),
        "kinds": by_kind(probes),
        "in_view": score([p for p in probes if p["in_view"] == 1]),
        "out_of_view": score([p for p in probes if p["in_view"] is not None and p["in_view"] < 1]),
        "lengths": by_length(probes, tokens),
        "prompt_tokens": spread((p["prompt_tokens"] for p in probes), max=max),
        "bytes": {
            place: spread((c["bytes"][place] for c in conversations), max=max) for place in ("device", "host", "disk")
        },
        "recall_ms": spread((p["recall_ms"] for p in probes), p95=p95),
        "write_ms": spread((ms for c in conversations for ms in c["write_ms"]), p95=p95),
        "ttft_ms": spread((p["ttft_ms"] for p in probes), p95=p95),
        "tokens_per_s": spread(p["tokens_per_s"] for p in probes),
        "wall_s": sum(c["wall_s"] for c in conversations),
    }


def by_kind(probes: Sequence[Row]) -> dict[str, Row]:
    """The scores of the kinds of probes that there are."""
    return {kind: score(found) for kind in KINDS if (found := [p for p in probes if p["kind"] == kind])}


def score(probes: Sequence[Row]) -> Row:
    """n, accuracy with its 95 % interval, exact match, token F1 and evidence recall.

    What does not apply to any of the probes is None. Exact match and F1 are means over the probes that have an answer
    to give, evidence recall over those whose evidence is known.
    """
    hits = sum(p["right"] for p in probes)
    return {
        "n": len(probes),
        "right": hits,
        "accuracy": hits / len(probes) if probes else None,
        "interval": list(wilson(hits, len(probes))) if probes else None,
        "exact_match": mean(p["exact"] for p in probes),
        "token_f1": mean(p["f1"] for p in probes),
        "evidence_recall": mean(p["in_view"] for p in probes),
    }


def by_length(probes: Sequence[Row], tokens: Mapping[str, int]) -> list[Row]:
    """Scores of the shortest, middle and longest third of the conversations; ``tokens`` are from, to."""
    ranked = sorted(tokens, key=lambda key: (tokens[key], key))
    third, rows = len(ranked) / len(PARTS), []
    for i, part in enumerate(PARTS):
        keys = ranked[round(i * third) : round((i + 1) * third)]
        if keys:
            found = [p for p in probes if p["conversation"] in set(keys)]
            ends = [tokens[keys[0]], tokens[keys[-1]]]
            rows.append({"part": part, "tokens": ends, "conversations": len(keys), **score(found)})
    return rows


def spread(values: Iterable[float | None], **more: Callable[[list[float]], float]) -> dict[str, Any]:
    """The median, and what ``more`` names, of those values that are known."""
    known = [v for v in values if v is not None]
    figures: dict[str, Callable[[list[float]], float]] = {"median": median, **more}
    return {name: f(known) if known else None for name, f in figures.items()}


def p95(values: list[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[18] if len(values) > 1 else values[0]


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of those values that are known."""
    known = [v for v in values if v is not None]
    return fmean(known) if known else None

"""A loss curve as a small SVG file, drawn from a run's log without any plotting library."""

from __future__ import annotations

import json
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 360, 56, 24, 56, 40
SCORES = ("score", "reward", "valid")
"""Figures of evaluations that are drawn, beside those of recall."""

_STYLE = "font:12px sans-serif;fill:#666"


def write_curve(log: Path, out: Path) -> None:
    """Draw the log's loss (left axis) and the scores of its evaluations, if there are any (right axis), over the steps.

    Scores are drawn from 0 to 1, or to the highest; a loss that follows rewards may go below 0.
    """
    lines = [json.loads(text) for text in log.read_text().splitlines() if text]
    losses = [(line["step"], line["loss"]) for line in lines if "loss" in line]
    if not losses:
        return
    names = sorted({name for line in lines for name in line if name.startswith("recall") or name in SCORES})
    scores = {name: [(line["step"], line[name]) for line in lines if name in line] for name in names}
    last = max(step for step, _ in losses) or 1
    lowest, highest = min(0.0, *(value for _, value in losses)), max(value for _, value in losses) or 1.0
    best = max([1.0, *(value for values in scores.values() for _, value in values)])

    def points(values: list[tuple[int, float]], low: float = lowest, high: float = highest) -> str:
        across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        share = [(x / last, (high - max(low, y)) / (high - low)) for x, y in values]
        return " ".join(f"{LEFT + x * across:.1f},{TOP + y * down:.1f}" for x, y in share)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        "<title>training curve</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_axes(last, (lowest, highest), best if scores else 0.0),
        f'<polyline fill="none" stroke="#b9c6dd" stroke-width="1" points="{points(losses)}"/>',
        f'<polyline fill="none" stroke="#2a5db0" stroke-width="2" points="{points(_smooth(losses))}"/>',
        f'<text x="{LEFT + 8}" y="16" style="{_STYLE};fill:#2a5db0">loss</text>',
    ]
    for index, (name, values) in enumerate(scores.items()):
        colour = ("#c25b12", "#3a8a3f", "#8a3a86")[index % 3]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{points(values, 0.0, best)}"/>')
        parts.append(f'<text x="{LEFT + 60 + 150 * index}" y="16" style="{_STYLE};fill:{colour}">{name}</text>')
    out.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _axes(last: int, losses: tuple[float, float], best: float) -> list[str]:
    """The axes with their numbers: steps, the range of the loss, scores up to the best; 0 where there are none."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#999"/>']
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        x, y = LEFT + part * (right - LEFT), bottom - part * (bottom - TOP)
        shown = losses[0] + part * (losses[1] - losses[0])
        parts.append(
            f'<text x="{x:.0f}" y="{bottom + 18}" text-anchor="middle" style="{_STYLE}">{round(last * part)}</text>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end" style="{_STYLE}">{shown:.2f}</text>')
        if best:
            parts.append(f'<text x="{right + 6}" y="{y + 4:.0f}" style="{_STYLE}">{part * best:.2f}</text>')
    parts.append(f'<text x="{(LEFT + right) // 2}" y="{HEIGHT - 6}" text-anchor="middle" style="{_STYLE}">step</text>')
    return parts


def _smooth(values: list[tuple[int, float]], keep: float = 0.9) -> list[tuple[int, float]]:
    smoothed, mean = [], values[0][1]
    for step, value in values:
        mean = keep * mean + (1 - keep) * value
        smoothed.append((step, mean))
    return smoothed

"""The memory of ``full``, ``window`` and ``none``: how much of the conversation the model sees, and which messages."""

from __future__ import annotations

from typing import Any

from textual.content import Content
from textual.widgets import Static

from memchat.tui import text as form
from memchat.tui.entries import Entry, dropped_turns, number
from memchat.tui.inspectors.base import MUTED, SHOWN, MemoryView, Rows, Snapshot, figures

_ABOUT = {
    "full": "Everything said so far stands in the prompt, as long as it fits.",
    "window": "Only the last messages stand in the prompt; older ones are dropped.",
    "none": "The model sees the new message alone.",
}


class TurnLogView(MemoryView):
    """A gauge of tokens seen, held and dropped, the KV cache, and the messages with their marks."""

    def compose(self) -> Any:
        yield Static("", id="gauge", markup=False)
        yield Rows(id="held")
        yield Static("", id="legend", markup=False)

    def show(self, snapshot: Snapshot) -> None:
        held = _held(snapshot)
        costs = [_tokens(entry, snapshot) for entry in snapshot.entries]
        self.query_one("#gauge", Static).update(self._gauge(snapshot, held, costs))
        self.query_one(Rows).fill(_rows(snapshot, held, costs))
        legend = "* the model sees it   ! dropped   ≈ estimated"
        self.query_one("#legend", Static).update(Content.styled(legend, MUTED))

    def _gauge(self, snapshot: Snapshot, held: set[int] | None, costs: list[int]) -> Content:
        width = max(10, self.size.width - 26)
        seen = sum(costs)
        inside = sum(c for c, e in zip(costs, snapshot.entries, strict=True) if held is None or e.turn in held)
        known = held is not None and bool(snapshot.entries)
        kept, dropped = (inside, seen - inside) if known else (None, None)
        whole = max(1, seen)
        lines = [
            Content.styled(_ABOUT.get(snapshot.mode, snapshot.mode), MUTED),
            Content(""),
            _bar("seen", seen if snapshot.entries else None, 1.0 if seen else 0.0, width, "$primary"),
            _bar("held", kept, (kept or 0) / whole, width, "$success"),
            _bar("dropped", dropped, (dropped or 0) / whole, width, "$warning"),
            _context(snapshot, width),
            Content(""),
        ]
        stats, per_token = snapshot.stats, snapshot.model.get("kv_bytes_per_token")
        limit = stats.context if stats else snapshot.model.get("context")
        pairs = [
            ("KV cache", form.size(stats.kv_bytes if stats else None)),
            ("KV if full", form.size(per_token * limit) if per_token and limit else form.DASH),
            ("reused", f"{form.count(stats.cached_tokens)} tokens" if stats else form.DASH),
            ("recall", f"{snapshot.recalled.ms:.1f} ms" if snapshot.recalled else form.DASH),
        ]
        return Content("\n").join([*lines, figures(pairs), Content("")])


def _bar(name: str, tokens: float | None, share: float, width: int, colour: str) -> Content:
    amount = "–" if tokens is None else f"≈{form.count(tokens)}"
    return Content.assemble(
        (f"{name:<8}", MUTED), (form.bar(share, width, "█", "░"), colour), (f"{amount:>7} tok", "$foreground")
    )


def _context(snapshot: Snapshot, width: int) -> Content:
    stats = snapshot.stats
    limit = stats.context if stats else snapshot.model.get("context")
    used = stats.prompt_tokens + stats.new_tokens if stats else None
    share = (used or 0) / limit if limit else 0.0
    colour = "$error" if share > 0.9 else "$accent"
    return Content.assemble(
        (f"{'context':<8}", MUTED),
        (form.bar(share, width, "█", "░"), colour),
        (f"{form.count(used)}/{form.count(limit)}".rjust(11), "$foreground"),
    )


def _held(snapshot: Snapshot) -> set[int] | None:
    """The turns the model sees now; None: not known."""
    if snapshot.items is None and snapshot.recalled is None:
        return None
    dropped = dropped_turns(snapshot.recalled, snapshot.items)
    return {entry.turn for entry in snapshot.entries if entry.turn is not None and entry.turn not in dropped}


def _tokens(entry: Entry, snapshot: Snapshot) -> int:
    """Tokens of a message: from the memory or the statistics where they are known, else estimated by length."""
    for item in snapshot.items.items if snapshot.items else []:
        if entry.turn is not None and item.get("turns") in ([entry.turn], (entry.turn,)):
            known = number((item.get("meta") or {}).get("tokens"))
            if known is not None:
                return int(known)
    made = number(entry.stats.get("new_tokens")) if entry.role == "assistant" else None
    return int(made) if made is not None else -(-len(entry.text) // 4)


def _rows(snapshot: Snapshot, held: set[int] | None, costs: list[int]) -> list[tuple[str, Content]]:
    rows = []
    for entry, tokens in list(zip(snapshot.entries, costs, strict=True))[-SHOWN:]:
        inside = held is not None and entry.turn in held
        mark = " " if held is None or entry.turn is None else "*" if inside else "!"
        colour = "$text-success" if inside else "$text-warning"
        who = "you" if entry.role == "user" else "bot" if entry.role == "assistant" else entry.role[:3]
        row = Content.assemble(
            (f"{mark} ", colour),
            (f"{'·' if entry.turn is None else entry.turn:>4} ", MUTED),
            (f"{who} ", "$text-primary" if entry.role == "user" else "$text-accent"),
            (f"{form.count(tokens):>5} ", MUTED),
            (form.line(entry.text, 120) or "(empty)", "$foreground" if inside or held is None else MUTED),
        )
        rows.append((str(entry.turn or ""), row))
    return rows

"""What the engine says of facts, as the inspector shows it: rows, and the SQL that wrote or read them."""

from __future__ import annotations

from typing import Any, NamedTuple

from textual.content import Content

from memchat.protocol import Items
from memchat.tui import text as form
from memchat.tui.inspectors.base import MUTED, Snapshot


class Row(NamedTuple):
    """One fact."""

    id: str
    who: str
    field: str
    value: str
    since: str
    source: str
    locked: bool
    turn: int | None
    op: str
    """Entry of the log that wrote it."""
    cell: str
    """Its name as the memory's commands take it."""
    folded: str
    """What a search looks at."""


def rows_of(items: Items | None) -> list[Row]:
    """The facts among what the memory holds."""
    return [row for item in (items.items if items else []) if (row := _row(item))]


def _row(item: dict[str, Any]) -> Row | None:
    meta, turns = item.get("meta") or {}, item.get("turns")
    if item.get("kind") != "fact" or "field" not in meta:
        return None
    who, field, value = str(meta.get("who", "")), str(meta["field"]), str(meta.get("value", ""))
    since, source, cell = str(meta.get("since", "")), str(meta.get("source", "")), f"{who}.{field}"
    id, op, locked = str(item.get("id", "")), str(meta.get("op", "")), bool(meta.get("locked"))
    folded = f"{cell} {value}".casefold()
    return Row(id, who, field, value, since, source, locked, turns[0] if turns else None, op, cell, folded)


def sqls(snapshot: Snapshot) -> list[Content]:
    """What the agents wrote for the last message, what ran of it and what did not."""
    lines = []
    for item in snapshot.recalled.items if snapshot.recalled else []:
        meta = item.get("meta") or {}
        if item.get("kind") == "sql":
            lines.append(sql_line("read", str(item.get("text")), f"{meta.get('rung')}, {meta.get('ms')} ms"))
        elif item.get("kind") == "statement" and not item.get("used"):
            lines.append(Content.assemble(("       ", MUTED), (f"{meta.get('reason')}", "$text-warning")))
    for item in snapshot.wrote.detail if snapshot.wrote else []:
        meta = item.get("meta") or {}
        if item.get("kind") != "sql":
            continue
        lines.append(sql_line("store", str(item.get("text")), str(meta.get("status"))))
        for reason in [*(meta.get("refused") or []), *([meta["error"]] if meta.get("error") else [])]:
            lines.append(Content.assemble(("       ", MUTED), (form.line(str(reason), 200), "$text-warning")))
    return lines


def sql_line(kind: str, text: str, note: str) -> Content:
    """SQL of an agent in one line."""
    shown = form.line(text.replace("\n", " ⏎ "), 200) or "(nothing)"
    return Content.assemble((f"{kind:<6} ", MUTED), (shown, "$foreground"), (f"  {note}", MUTED))

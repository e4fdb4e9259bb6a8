"""The SQL memory: the table as it is now, what the agents wrote in this turn, and keys to correct it.

Long view: a fact a row; wide view: a field a row, a person a column. What this turn changed or read is marked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.coordinate import Coordinate
from textual.widgets import DataTable, Input, Static

from memchat.tui import text as form
from memchat.tui.inspectors.base import MUTED, MemoryView, Snapshot

_SORTS = ("who", "fact", "value", "since")
_LEGEND = "e correct  l lock  x forget  h history  u undo  U redo  s sort  w wide  / search"
_VALUE = 40


@dataclass(frozen=True)
class Row:
    """One live fact."""

    id: str
    who: str
    field: str
    value: str
    since: str
    source: str
    locked: bool
    turn: int | None

    @property
    def cell(self) -> str:
        """Its name as the memory's commands take it."""
        return f"{self.who}.{self.field}"


class Facts(DataTable[Text]):
    """The table itself; its keys become commands of the memory."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e,enter", "fact('set')", "Correct", priority=True),
        Binding("l", "fact('lock')", "Lock"),
        Binding("x,delete", "fact('forget')", "Forget"),
        Binding("h", "fact('history')", "History"),
        Binding("u", "memory('undo')", "Undo"),
        Binding("U", "memory('redo')", "Redo"),
        Binding("s", "sort", "Sort"),
        Binding("w", "wide", "Wide"),
        Binding("slash", "search", "Search"),
    ]
    view: FactsView

    def action_fact(self, command: str) -> None:
        """Do something with the fact under the cursor."""
        row = self.view.under_cursor()
        screen: Any = self.screen
        if row is None:
            return
        if command == "set":
            screen.prompt.put(f"/set {row.cell} {row.value}")
            screen.prompt.focus()
            return
        name = "unlock" if command == "lock" and row.locked else command
        screen.action_act("facts", f"{name} {row.cell}")

    def action_memory(self, command: str) -> None:
        """A command that needs no fact."""
        screen: Any = self.screen
        screen.action_act("facts", command)

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.view.sort = _SORTS[(_SORTS.index(self.view.sort) + 1) % len(_SORTS)]
        self.view.fill()

    def action_wide(self) -> None:
        """A person a column, or a fact a row."""
        self.view.wide = not self.view.wide
        self.view.fill()

    def action_search(self) -> None:
        """Type what the table is to show."""
        self.view.query_one("#search", Input).focus()


class FactsView(MemoryView):
    """What is known, since when and from whom, and the SQL behind it."""

    DEFAULT_CSS = """
    FactsView #sqls { height: auto; max-height: 12; }
    FactsView #search { height: 1; border: none; padding: 0; background: $background; }
    FactsView Facts { height: 1fr; min-height: 4; background: $background; scrollbar-size-vertical: 1; }
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sort, self.wide = "who", False
        self.rows: list[Row] = []
        self.shown: list[Row] = []
        self.marks: dict[str, str] = {}
        self._drawn: tuple[Any, ...] = ()

    def compose(self) -> Any:
        yield Static("", id="sqls", markup=False)
        yield Input(placeholder="search", id="search", compact=True)
        table = Facts(id="table", cursor_type="cell", zebra_stripes=True)
        table.view = self
        yield table
        yield Static(Content.styled(_LEGEND, MUTED), id="legend", markup=False)

    def show(self, snapshot: Snapshot) -> None:
        self.rows = [row for item in (snapshot.items.items if snapshot.items else []) if (row := _row(item))]
        self.marks = _marks(snapshot, self.rows)
        self.query_one("#sqls", Static).update(_told(snapshot, len(self.rows)))
        self.fill()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(Facts).focus()

    def fill(self) -> None:
        """Draw the table where it differs from what is drawn."""
        wanted = self.query_one("#search", Input).value.casefold()
        found = [row for row in self.rows if wanted in f"{row.cell} {row.value}".casefold()]
        key = {"who": lambda r: (r.who, r.field), "fact": lambda r: r.field, "value": lambda r: r.value.casefold()}
        self.shown = sorted(found, key=key.get(self.sort, lambda r: r.since), reverse=self.sort == "since")
        drawn = (self.wide, tuple(self.shown), tuple(self.marks.items()))
        if drawn == self._drawn:
            return
        self._drawn = drawn
        table = self.query_one(Facts)
        place = table.cursor_coordinate
        table.clear(columns=True)
        if self.wide:
            self._fill_wide(table)
        else:
            table.add_columns("who", "fact", "value", "since", "")
            table.add_rows([self._line(row) for row in self.shown])
        if table.row_count:
            table.move_cursor(row=min(place.row, table.row_count - 1), column=place.column, animate=False)

    def _line(self, row: Row) -> list[Text]:
        style = self.marks.get(row.cell, "")
        flags = " ".join([*(["locked"] if row.locked else []), *(["yours"] if row.source == "user_edit" else [])])
        value = Text(form.line(row.value, _VALUE), style)
        return [Text(row.who, "dim"), Text(row.field, style), value, Text(row.since[:10], "dim"), Text(flags)]

    def _fill_wide(self, table: Facts) -> None:
        people = list(dict.fromkeys(["user", "assistant", *(row.who for row in self.shown)]))
        cells = {(row.field, row.who): row for row in self.shown}
        table.add_columns("fact", *people)
        for field in dict.fromkeys(row.field for row in self.shown):
            found = [cells.get((field, who)) for who in people]
            line = [Text(form.line(r.value, _VALUE), self.marks.get(r.cell, "")) if r else Text("") for r in found]
            table.add_row(Text(field, "dim"), *line)

    def under_cursor(self) -> Row | None:
        """The fact that the cursor is on."""
        place: Coordinate = self.query_one(Facts).cursor_coordinate
        if not self.wide:
            return self.shown[place.row] if place.row < len(self.shown) else None
        people = list(dict.fromkeys(["user", "assistant", *(row.who for row in self.shown)]))
        fields = list(dict.fromkeys(row.field for row in self.shown))
        if not 0 < place.column <= len(people) or place.row >= len(fields):
            return None
        cell = f"{people[place.column - 1]}.{fields[place.row]}"
        return next((row for row in self.shown if row.cell == cell), None)


def _row(item: dict[str, Any]) -> Row | None:
    meta, turns = item.get("meta") or {}, item.get("turns") or []
    if item.get("kind") != "fact" or "field" not in meta:
        return None
    who, field, value, since, source = (
        str(meta.get(name, "")) for name in ("who", "field", "value", "since", "source")
    )
    locked, turn = bool(meta.get("locked")), turns[0] if turns else None
    return Row(str(item.get("id", "")), who, field, value, since, source, locked, turn)


def _marks(snapshot: Snapshot, rows: list[Row]) -> dict[str, str]:
    """Styles of the cells that this turn changed, or else read."""
    recalled = snapshot.recalled.items if snapshot.recalled else []
    stored = snapshot.wrote.detail if snapshot.wrote else []
    read = {item.get("id") for item in recalled if item.get("kind") == "row"}
    turns = {turn for item in stored if item.get("kind") == "sql" for turn in item.get("turns") or []}
    marks = {row.cell: "cyan" for row in rows if row.id in read}
    return marks | {row.cell: "bold green" for row in rows if row.turn in turns}


def _told(snapshot: Snapshot, facts: int) -> Content:
    """What the agents wrote for the last message, what ran of it and what did not."""
    lines = [Content.assemble((f"{facts} facts", "$foreground"), ("   live table", MUTED))]
    for item in snapshot.recalled.items if snapshot.recalled else []:
        meta = item.get("meta") or {}
        if item.get("kind") == "sql":
            lines.append(_sql("read", str(item.get("text")), f"{meta.get('rung')}, {meta.get('ms')} ms"))
        elif item.get("kind") == "statement" and not item.get("used"):
            lines.append(Content.assemble(("       ", MUTED), (f"{meta.get('reason')}", "$text-warning")))
    for item in snapshot.wrote.detail if snapshot.wrote else []:
        meta = item.get("meta") or {}
        if item.get("kind") != "sql":
            continue
        lines.append(_sql("store", str(item.get("text")), str(meta.get("status"))))
        for reason in [*(meta.get("refused") or []), *([meta["error"]] if meta.get("error") else [])]:
            lines.append(Content.assemble(("       ", MUTED), (form.line(str(reason), 200), "$text-warning")))
    return Content("\n").join(lines)


def _sql(kind: str, text: str, note: str) -> Content:
    shown = form.line(text.replace("\n", " ⏎ "), 200) or "(nothing)"
    return Content.assemble((f"{kind:<6} ", MUTED), (shown, "$foreground"), (f"  {note}", MUTED))

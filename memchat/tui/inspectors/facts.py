"""The SQL memory: the table as it is now or was once, what the agents wrote, and keys to correct it.

Long view: a fact a row; wide view: a field a row, a person a column. What this turn changed or read is marked; in the
past, what the change that one stands at wrote.
"""

from __future__ import annotations

from typing import Any, ClassVar

from rich.cells import cell_len
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.coordinate import Coordinate
from textual.widgets import Input, Static

from memchat.protocol import Event, Failed, Items
from memchat.tui import text as form
from memchat.tui.inspectors.base import MUTED, MemoryView, Snapshot
from memchat.tui.inspectors.factrows import Row, rows_of, sql_line, sqls
from memchat.tui.inspectors.grid import Grid
from memchat.tui.inspectors.slider import Slider

_SORTS = ("who", "fact", "value", "since")
_LEGEND = (
    "e correct  l lock  x forget  u undo  U redo",
    "⏎ origin  h history  m message  / search",
    "s sort  w wide  [ ] in time  { } by ten",
)
_VALUE = 40


class Facts(Grid):
    """The table itself; its keys become commands of the memory."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("e", "set", "Correct"),
        Binding("l", "fact('lock')", "Lock"),
        Binding("x,delete", "fact('forget')", "Forget"),
        Binding("h", "fact('history')", "History"),
        Binding("enter,p", "fact('origin')", "Origin"),
        Binding("m", "message", "Its message"),
        Binding("u", "memory('undo')", "Undo"),
        Binding("U", "memory('redo')", "Redo"),
        Binding("s", "sort", "Sort"),
        Binding("w", "wide", "Wide"),
        Binding("slash", "search", "Search"),
        Binding("left_square_bracket", "step(-1)", "Back in time"),
        Binding("right_square_bracket", "step(1)", "Forth"),
        Binding("left_curly_bracket", "step(-10)", "Ten back"),
        Binding("right_curly_bracket", "step(10)", "Ten forth"),
    ]
    view: FactsView

    def cell(self, row: int, column: int) -> Text:
        return self.view.cell(row, column)

    def action_set(self) -> None:
        """Put the command that corrects this fact into the input."""
        screen: Any = self.screen
        if (row := self.view.under_cursor()) is not None and self._now():
            screen.prompt.put(f"/set {row.cell} {row.value}")
            screen.prompt.focus()

    def action_fact(self, command: str) -> None:
        """Do something with the fact under the cursor."""
        screen: Any = self.screen
        row = self.view.under_cursor()
        if row is None or not (command in ("history", "origin") or self._now()):
            return
        name = "unlock" if command == "lock" and row.locked else command
        screen.action_act("facts", f"{name} {row.cell}" + (f" {row.op}" if name == "origin" else ""))

    def action_memory(self, command: str) -> None:
        """A command that needs no fact."""
        screen: Any = self.screen
        if self._now():
            screen.action_act("facts", command)

    def _now(self) -> bool:
        """Whether the table is the present one, which can be changed."""
        screen: Any = self.screen
        if past := self.view.slider.at is not None:
            screen.say("the past cannot be edited; Esc goes back to now", "error")
        return not past

    def action_message(self) -> None:
        """Go to the message that the fact comes from."""
        screen: Any = self.screen
        if (row := self.view.under_cursor()) is None:
            return
        if row.turn is None:
            screen.say("this fact comes from no message")
            return
        screen.close_drawer()
        screen.run_worker(screen.go_to(screen.link.session, row.turn))

    def action_sort(self) -> None:
        """Sort by the next column."""
        self.view.sort = _SORTS[(_SORTS.index(self.view.sort) + 1) % len(_SORTS)]
        self.view.order()

    def action_wide(self) -> None:
        """A person a column, or a fact a row."""
        self.view.wide = not self.view.wide
        self.view.fill()

    def action_search(self) -> None:
        """Type what the table is to show."""
        self.view.query_one("#search", Input).focus()

    def action_step(self, by: int) -> None:
        """Show the facts as they were so many changes before, or after, those that are shown."""
        self.view.step(by)


class FactsView(MemoryView):
    """What is known, since when and from whom, and the SQL behind it."""

    DEFAULT_CSS = """
    FactsView #sqls { height: auto; max-height: 12; }
    FactsView #search { height: 1; border: none; padding: 0; background: $background; }
    FactsView #legend { height: auto; }
    FactsView Facts { height: 1fr; min-height: 4; background: $background; scrollbar-size-vertical: 1; }
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sort, self.wide = "who", False
        self.slider = Slider(self._ask)
        self.rows: list[Row] = []
        self.shown: list[Row] = []
        self._snapshot = Snapshot("sql")
        self._session: str | None = None
        """The one whose past is shown."""
        self._items: Items | None = None
        """What the rows were made of."""
        self._ordered: list[Row] = []
        self._widths: list[int] = []
        self._people: list[str] = []
        self._fields: list[str] = []
        self._cells: dict[str, Row] = {}
        self._changed: set[Any] = set()
        self._read: set[Any] = set()

    def compose(self) -> Any:
        yield Static("", id="sqls", markup=False)
        table = Facts(id="table")
        table.view = self
        yield table
        yield Input(placeholder="search", id="search", compact=True)
        yield Static(Content("\n").join(Content.styled(line, MUTED) for line in _LEGEND), id="legend", markup=False)

    # -- what is shown ------------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        fresh, self._snapshot = snapshot.items is not self._snapshot.items, snapshot
        recalled = snapshot.recalled.items if snapshot.recalled else []
        stored = snapshot.wrote.detail if snapshot.wrote else []
        self._read = {item.get("id") for item in recalled if item.get("kind") == "row"}
        self._changed = {turn for item in stored if item.get("kind") == "sql" for turn in item.get("turns") or []}
        screen: Any = self.screen
        if self.slider.at is not None and screen.link.session != self._session:
            self.slider.leave()
        elif fresh:  # there may be more changes by now
            self.slider.ask()
        self._draw()

    def _draw(self) -> None:
        """The head, and the table."""
        items = self.slider.items or self._snapshot.items
        if items is not self._items:
            self._items, self.rows = items, rows_of(items)
            self.order()
        self._head()
        self.query_one(Facts).refresh()

    def _head(self) -> None:
        """How many facts of which time, and the SQL that made or read them."""
        slider, found = self.slider, "" if len(self.shown) == len(self.rows) else f"{len(self.shown)} of "
        facts, change = (f"{found}{form.plural(len(self.rows), 'fact')}   ", "$foreground"), slider.change
        if slider.at is None:
            lines = [Content.assemble(facts, ("live table", MUTED)), *sqls(self._snapshot)]
        elif change is None or not slider.arrived:
            place = f"change {slider.at} of {change.of} …" if change else "going back …"
            lines = [Content.assemble(facts, (place, "$text-warning"))]
        else:
            time = change.time[:19].replace("T", " ")
            place = f"as of {time} UTC   {change.at} of {form.plural(change.of, 'change')}"
            lines = [Content.assemble(facts, (place, "$text-warning"))]
            lines.append(Content.assemble((f"{change.by}  ", MUTED), (form.line(change.told, 200), "$foreground")))
            if change.meta.get("sql"):
                lines.append(sql_line("store", str(change.meta["sql"]), ""))
        self.query_one("#sqls", Static).update(Content("\n").join(lines))

    def order(self) -> None:
        """Sort the rows that there are, and show them."""
        key = {
            "who": lambda r: (r.who, r.field),
            "fact": lambda r: (r.field, r.who),
            "value": lambda r: r.value.casefold(),
            "since": lambda r: r.since,
        }
        self._ordered = sorted(self.rows, key=key[self.sort], reverse=self.sort == "since")
        columns = ([row.who for row in self.rows], [row.field for row in self.rows], [row.value for row in self.rows])
        self._widths = [min(_VALUE, max(map(_width, column), default=0)) for column in columns]
        self.fill()

    def fill(self) -> None:
        """Show the rows that the search finds; the cursor stays on its fact."""
        table, kept = self.query_one(Facts), self.under_cursor()
        wanted = self.query_one("#search", Input).value.casefold()
        self.shown = [row for row in self._ordered if wanted in row.folded] if wanted else self._ordered
        place = table.place
        if self.wide:
            self._people = list(dict.fromkeys(["user", "assistant", *(row.who for row in self.shown)]))
            self._fields = list(dict.fromkeys(row.field for row in self.shown))
            self._cells = {row.cell: row for row in self.shown}
            if kept and kept.cell in self._cells:
                place = Coordinate(self._fields.index(kept.field), self._people.index(kept.who) + 1)
        elif kept:
            places = (number for number, row in enumerate(self.shown) if row.cell == kept.cell)
            place = Coordinate(next(places, place.row), 0)
        who, field, value = self._widths
        narrow = [("who", max(3, who)), ("fact", max(4, field)), ("value", max(5, value)), ("since", 10), ("", 12)]
        wide = [("fact", max(4, field)), *((name, max(len(name), value)) for name in self._people)]
        table.whole_rows = not self.wide
        table.fill(wide if self.wide else narrow, len(self._fields if self.wide else self.shown), place)
        self._head()

    def cell(self, row: int, column: int) -> Text:
        """What stands in the table."""
        if self.wide:
            fact = self._cells.get(f"{self._people[column - 1]}.{self._fields[row]}") if column else None
            return self._value(fact) if fact else Text("" if column else form.line(self._fields[row], _VALUE), "dim")
        fact = self.shown[row]
        if column == 2:
            return self._value(fact)
        flags = " ".join([*(["locked"] if fact.locked else []), *(["yours"] if fact.source == "user_edit" else [])])
        text = (fact.who, fact.field, "", fact.since[:10], flags)[column]
        return Text(form.line(text, _VALUE), {1: self._style(fact), 4: ""}.get(column, "dim"))

    def _value(self, fact: Row) -> Text:
        return Text(form.line(fact.value, _VALUE), self._style(fact))

    def _style(self, fact: Row) -> str:
        """Green: written in this turn, or by the change that is looked at; cyan: read in this turn."""
        if change := self.slider.change:
            return "bold green" if fact.op == change.id else ""
        return "bold green" if fact.turn in self._changed else "cyan" if fact.id in self._read else ""

    def under_cursor(self) -> Row | None:
        """The fact that the cursor is on."""
        place = self.query_one(Facts).place
        if not self.query_one(Facts).whole_rows:
            if not 0 < place.column <= len(self._people) or place.row >= len(self._fields):
                return None
            return self._cells.get(f"{self._people[place.column - 1]}.{self._fields[place.row]}")
        return self.shown[place.row] if place.row < len(self.shown) else None

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.query_one(Facts).focus()

    # -- the past -----------------------------------------------------------------------------------------------------

    def step(self, by: int) -> None:
        """Go so many changes back or forth."""
        screen: Any = self.screen
        if screen.link.ready and screen.link.session:
            self.slider.step(by)
            self._draw()

    def back(self) -> bool:
        """Esc: out of the search, or back to now; False when it is neither."""
        search = self.query_one("#search", Input)
        if search.has_focus:
            search.value = ""
            self.query_one(Facts).focus()
            return True
        past = self.slider.at is not None
        self.slider.leave()
        self._draw()
        return past

    def _ask(self, at: int) -> None:
        screen: Any = self.screen
        self._session = screen.link.session
        screen.link.client.request("items", lambda event: self.call_later(self._heard, event), at=at)

    def _heard(self, event: Event) -> None:
        if isinstance(event, Items | Failed):
            self.slider.hear(event if isinstance(event, Items) else None)
            self._draw()
        if isinstance(event, Failed):
            screen: Any = self.screen
            screen.say(f"{event.message}. {event.remedy}", "error")


def _width(text: str) -> int:
    return len(text) if text.isascii() else cell_len(text)

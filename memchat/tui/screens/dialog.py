"""Dialogs: a filtered list, a question with a text, a question with yes and no."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

TINY = "memchat needs a terminal of at least 40 x 10"


@dataclass(frozen=True)
class Choice:
    """One row of a list. ``search`` is what the filter looks at; a row with ``disabled`` cannot be chosen."""

    key: str
    line: Content
    search: str
    disabled: bool = False


class Dialog(ModalScreen[Any]):
    """Base: a framed box in the middle; Esc leaves."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False, priority=True),
        Binding("ctrl+c", "leave", "Back", show=False, priority=True),
    ]
    CSS_PATH = "dialog.tcss"
    heading = ""
    hint = "Esc back"

    def compose(self) -> Any:
        with Vertical(classes="box") as box:
            box.border_title = Content(f" {self.heading} ")
            box.border_subtitle = Content(f" {self.hint} ")
            yield from self.inside()
        yield Static(TINY, classes="too-small", markup=False)

    def inside(self) -> Any:
        """The widgets in the box."""
        raise NotImplementedError

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(None)


class Picker(Dialog):
    """A list that is filtered by typing; dismisses with the key of the chosen row."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "move(1)", show=False, priority=True),
        Binding("up", "move(-1)", show=False, priority=True),
        Binding("pagedown", "move(10)", show=False, priority=True),
        Binding("pageup", "move(-10)", show=False, priority=True),
    ]
    placeholder = "Type to filter"
    empty = "Nothing here yet."

    def __init__(self, choices: list[Choice] | None = None, start: str | None = None) -> None:
        super().__init__(classes="picker")
        self.start = start
        self.choices = choices or []
        self.shown: list[Choice] = []

    def inside(self) -> Any:
        yield Input(placeholder=self.placeholder, id="filter")
        yield OptionList(id="choices", markup=False)
        yield Static("", id="about", markup=False)

    def on_mount(self) -> None:
        self.query_one(OptionList).can_focus = False
        self.fill(keep=self.start)

    @property
    def query_text(self) -> str:
        return self.query_one("#filter", Input).value.strip()

    def fill(self, keep: str | None = None) -> None:
        """Show the rows that fit the filter, best first."""
        self.shown = self.ranked(self.query_text)
        rows = self.query_one(OptionList)
        rows.clear_options()
        rows.add_options(
            [Option(choice.line, id=f"c{i}", disabled=choice.disabled) for i, choice in enumerate(self.shown)]
        )
        usable = [i for i, choice in enumerate(self.shown) if not choice.disabled]
        kept = [i for i in usable if self.shown[i].key == keep]
        rows.highlighted = next(iter(kept or usable), None)
        self.query_one("#about", Static).update("" if self.shown else self.empty)

    def ranked(self, query: str) -> list[Choice]:
        """Rows that contain the query first, then those that match it loosely."""
        if not query:
            return list(self.choices)
        from textual.fuzzy import Matcher

        matcher, low = Matcher(query), query.lower()
        scored = []
        for choice in self.choices:
            place = choice.search.lower().find(low)
            score = 1000.0 - min(place, 500) if place >= 0 else matcher.match(choice.search)
            if score > 0:
                scored.append((score, choice))
        return [choice for _, choice in sorted(scored, key=lambda pair: -pair[0])]

    def current(self) -> Choice | None:
        """The row under the cursor."""
        index = self.query_one(OptionList).highlighted
        return self.shown[index] if index is not None and index < len(self.shown) else None

    def chosen(self, choice: Choice | None) -> None:
        """Enter was pressed; ``choice`` is None when no row fits the filter."""
        if choice is not None:
            self.dismiss(choice.key)

    def action_move(self, step: int) -> None:
        """Move the cursor over the rows that can be chosen."""
        rows = self.query_one(OptionList)
        for _ in range(abs(step)):
            rows.action_cursor_down() if step > 0 else rows.action_cursor_up()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.fill()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.chosen(self.current())

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.chosen(self.shown[event.option_index])


class AskText(Dialog):
    """A question answered with a line of text; dismisses with it."""

    hint = "Enter takes it · Esc back"

    def __init__(self, heading: str, value: str = "", about: str = "") -> None:
        super().__init__(classes="ask")
        self.heading = heading
        self.value = value
        self.about = about

    def inside(self) -> Any:
        yield Static(self.about, id="about", markup=False)
        yield Input(self.value, id="answer")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip() or None)


class Confirm(Dialog):
    """A question before something that cannot be undone; dismisses with True for yes."""

    hint = "y yes · n no"

    def __init__(self, heading: str, question: str) -> None:
        super().__init__(classes="ask")
        self.heading = heading
        self.question = question

    def inside(self) -> Any:
        yield Static(self.question, id="about", markup=False)
        yield Static(
            Content.assemble(("  y ", "$text-error bold"), "yes      ", ("n ", "$text-success bold"), "no"), id="keys"
        )

    def on_key(self, event: events.Key) -> None:
        if event.key in ("y", "Y"):
            self.dismiss(True)
        elif event.key in ("n", "N", "enter"):
            self.dismiss(None)


class Told(Dialog):
    """A text to be read."""

    def __init__(self, heading: str, text: str) -> None:
        super().__init__()
        self.heading = heading
        self.text = text

    def inside(self) -> Any:
        with VerticalScroll(id="told"):
            yield Static(self.text, markup=False)

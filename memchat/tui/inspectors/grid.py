"""A table of any length: only the lines in sight are made, so ten thousand rows cost what forty do.

(A DataTable measures every cell it is given, which takes seconds for ten thousand rows, and again at each change.)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.coordinate import Coordinate
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip


class Grid(ScrollView, can_focus=True):
    """Rows and columns with a cursor, under a header that stays. What stands in a cell, ``cell`` says."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1, 0)", "Up", show=False),
        Binding("down", "move(1, 0)", "Down", show=False),
        Binding("left", "move(0, -1)", "Left", show=False),
        Binding("right", "move(0, 1)", "Right", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "edge(False)", "First row", show=False),
        Binding("end", "edge(True)", "Last row", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--header", "grid--odd", "grid--cursor"}
    DEFAULT_CSS = """
    Grid > .grid--header { text-style: bold; color: $foreground; background: $panel; }
    Grid > .grid--odd { background: $surface; }
    Grid > .grid--cursor { background: $block-cursor-blurred-background; }
    Grid:focus > .grid--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.columns: Sequence[tuple[str, int]] = ()
        self.rows = 0
        self.place = Coordinate(0, 0)
        self.whole_rows = True
        """The cursor is on a row, not on one cell of it."""

    def cell(self, row: int, column: int) -> Text:
        """What stands there; it is cut to the width of the column."""
        raise NotImplementedError

    def fill(self, columns: Sequence[tuple[str, int]], rows: int, place: Coordinate) -> None:
        """Show so many rows under these (name, width), with the cursor at ``place`` or as near as there are any."""
        self.columns, self.rows = columns, rows
        self.virtual_size = Size(sum(width + 1 for _, width in columns), rows + 1)
        self.go(place.row, place.column)
        self.refresh()

    def go(self, row: int, column: int) -> None:
        """Put the cursor there and bring it into sight."""
        row, column = max(0, min(row, self.rows - 1)), max(0, min(column, len(self.columns) - 1))
        left, self.place = self.place.row, Coordinate(row, column)
        seen = self.scrollable_content_region.size
        y = min(row, max(round(self.scroll_y), row + 2 - seen.height))
        x: float = self.scroll_x
        if not self.whole_rows:
            begin = sum(width + 1 for _, width in self.columns[:column])
            x = min(begin, max(x, begin + self.columns[column][1] - seen.width))
        self.scroll_to(x, y, animate=False, force=True)
        self.refresh_line(left + 1)
        self.refresh_line(row + 1)

    def action_move(self, rows: int, columns: int) -> None:
        """Move the cursor; where it is on whole rows, sideways moves the view."""
        if columns and self.whole_rows:
            self.scroll_relative(x=4 * columns, animate=False)
        else:
            self.go(self.place.row + rows, self.place.column + columns)

    def action_page(self, pages: int) -> None:
        """Move by as many rows as are in sight."""
        self.go(self.place.row + pages * max(1, self.scrollable_content_region.height - 2), self.place.column)

    def action_edge(self, last: bool) -> None:
        """Go to the first or the last row."""
        self.go(self.rows - 1 if last else 0, self.place.column)

    def on_click(self, event: events.Click) -> None:
        """The cursor goes where the mouse points."""
        x, edge = event.x + round(self.scroll_x), 0
        column = len(self.columns) - 1
        for number, (_, width) in enumerate(self.columns):
            edge += width + 1
            if x < edge:
                column = number
                break
        if event.y > 0:
            self.go(event.y - 1 + round(self.scroll_y), column)

    def render_line(self, y: int) -> Strip:
        left, row = round(self.scroll_x), round(self.scroll_y) + y - 1
        if y == 0:
            style = self._style("grid--header")
            line = self._line([Text(name) for name, _ in self.columns], style)
        elif row < self.rows:
            style = self._style("grid--odd") if row % 2 else self.rich_style
            line = self._line([self._cell(row, column) for column in range(len(self.columns))], style)
        else:
            return Strip.blank(self.size.width, self.rich_style)
        strip = Strip(line.render(self.app.console))
        return strip.crop_extend(left, left + self.size.width, style)

    def _cell(self, row: int, column: int) -> Text:
        text = self.cell(row, column)
        if row == self.place.row and (self.whole_rows or column == self.place.column):
            text.pad_right(max(0, self.columns[column][1] - text.cell_len))
            style = self._style("grid--cursor")
            text.stylize(style if self.has_focus else Style.from_color(bgcolor=style.bgcolor))
        return text

    def _line(self, texts: Sequence[Text], style: Style) -> Text:
        line = Text(style=style, no_wrap=True, end="")
        for text, (_, width) in zip(texts, self.columns, strict=True):
            text.truncate(width, overflow="ellipsis", pad=True)
            line.append_text(text).append(" ")
        return line

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(part)

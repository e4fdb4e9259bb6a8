"""One message as one widget: its strips are painted once per width and theme, a growing reply only at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Offset, Region, Size
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from memchat.tui import text as form
from memchat.tui.entries import Entry
from memchat.tui.widgets.painter import Blocks, Painter, has_references, split

if TYPE_CHECKING:
    from memchat.tui.widgets.transcript import Transcript

_SHOWN = 200_000
"""Characters of one message that are painted; the rest is counted."""
_SHOWN_USER = 3000
_SHOWN_LINES = 60
_READABLE = 112
"""Longer lines are hard to read; wider terminals leave the rest empty."""


class MessageView(Widget):
    """A message of the transcript."""

    can_focus = False

    def __init__(self, entry: Entry, transcript: Transcript) -> None:
        super().__init__(classes=f"message -{'user' if entry.role == 'user' else 'reply'}")
        self.entry = entry
        self.transcript = transcript
        self._blocks = Blocks()
        self._fed = 0
        self._painted: list[Strip] = []
        self._painted_blocks = 0
        self._sealed = False
        self._key: tuple[int, int] = (-1, -1)
        self._lines: list[Strip] | None = None
        self._drawn: dict[int, Strip] = {}
        self._top: Strip | None = None
        if not entry.live:
            self._seal()

    def flush(self) -> None:
        """Show the text as it is now. Only lines that changed are drawn, and layout runs only for more lines."""
        before, self._lines = self._lines, None
        width = self.size.width
        if before is None or not width:
            self.refresh(layout=True)
            return
        after = self._paint(width)
        same = next((y for y, (a, b) in enumerate(zip(before, after, strict=False)) if a is not b), len(before))
        self._drawn = {y: line for y, line in self._drawn.items() if y < same}
        changed = Region(0, same, width, max(1, len(after) - same))
        self.refresh(changed, layout=len(after) != len(before))

    def settle(self) -> None:
        """The entry changed: a reply ended, a version or a mark is different. Paint it anew."""
        if not self.entry.live and not self._sealed:
            self._seal()
        self.flush()

    def replace(self, entry: Entry) -> None:
        """Show another entry in this place."""
        if entry == self.entry:
            return
        same_text = entry.text == self.entry.text and entry.role == self.entry.role
        self.entry = entry
        if not same_text:
            self._blocks, self._fed, self._sealed = Blocks(), 0, False
            self._key = (-1, -1)
        self.settle()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        return container.width

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._paint(width))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._drawn.clear()

    def render_line(self, y: int) -> Strip:
        """One painted line, with the places that a mouse selection refers to."""
        width = self.size.width
        lines = self._paint(width)
        selection = self.text_selection
        if selection is None and (drawn := self._drawn.get(y)) is not None and drawn.cell_length == width:
            return drawn
        style = self.visual_style.rich_style
        if y >= len(lines):
            return Strip.blank(width, style)
        strip = lines[y]
        if selection is not None and (span := selection.get_span(y)) is not None:
            strip = self._selected(strip, *span)
        strip = strip.adjust_cell_length(width, style).apply_style(style).apply_offsets(0, y)
        if selection is None:
            self._drawn[y] = strip
        return strip

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text; lines as they are painted."""
        lines = [strip.text.rstrip() for strip in self._paint(self.size.width)]
        start = selection.start or Offset(0, 0)
        end = selection.end or Offset(len(lines[-1]) if lines else 0, max(0, len(lines) - 1))
        picked = []
        for y in range(start.y, min(end.y, len(lines) - 1) + 1):
            left = start.x if y == start.y else 0
            right = end.x if y == end.y else len(lines[y])
            picked.append(lines[y][left:right])
        return "\n".join(picked), "\n"

    def _selected(self, strip: Strip, start: int, end: int) -> Strip:
        chosen = self.screen.get_component_rich_style("screen--selection")
        plain = strip.text
        left = Segment.get_line_length([Segment(plain[:start])])
        right = strip.cell_length if end == -1 else Segment.get_line_length([Segment(plain[:end])])
        before, middle, after = strip.crop(0, left), strip.crop(left, right), strip.crop(right)
        return Strip.join([before, middle.apply_style(Style(bgcolor=chosen.bgcolor)), after])

    def _seal(self) -> None:
        """The text is final. What was painted while it grew stays, unless the text is another one."""
        self._sealed = True
        text = self.entry.text[:_SHOWN]
        if self._fed and self._fed == len(text) and not has_references(text):
            self._blocks.finish()
            return
        self._blocks, self._fed = Blocks(), 0
        self._blocks.done = split(form.safe(text))
        self._key = (-1, -1)

    def _paint(self, width: int) -> list[Strip]:
        """All lines: who speaks, the text, figures and marks."""
        painter = self.transcript.painter
        key = (width, self.transcript.paint_version)
        if self._lines is not None and key == self._key:
            return self._lines
        if key != self._key:
            self._key, self._painted, self._painted_blocks = key, [], 0
            self._drawn.clear()
        width = min(width, _READABLE)
        body = self._user_text(painter, width) if self.entry.role == "user" else self._reply(painter, width)
        head = self._head(painter, width)
        if self._top is None or head != self._top:
            self._top = head
        lines = [self._top, *body, *self._foot(painter, width)]
        self._lines = lines
        return lines

    def _head(self, painter: Painter, width: int) -> Strip:
        entry = self.entry
        name = "you" if entry.role == "user" else "memchat" if entry.role == "assistant" else entry.role
        mark = "❯ " if entry.role == "user" else "◆ "
        left = [Segment(mark + form.line(name, 30), painter.styles[f"who_{entry.role}"])]
        if entry.author and entry.role != "user":
            left.append(Segment(f"  {form.line(entry.author, 40)}", painter.styles["muted"]))
        if entry.versions > 1:
            left.append(Segment(f"  ‹ {entry.version}/{entry.versions} ›", painter.styles["bullet"]))
        strip = Strip(left)
        time = form.clock(entry.at)
        gap = width - strip.cell_length - len(time)
        if time and gap > 1:
            strip = Strip([*strip, Segment(" " * gap), Segment(time, painter.styles["muted"])])
        return strip.crop(0, width)

    def _user_text(self, painter: Painter, width: int) -> list[Strip]:
        head = "\n".join(self.entry.text[:_SHOWN_USER].split("\n")[:_SHOWN_LINES])
        strips = painter.plain(form.safe(head), width)
        if (hidden := len(self.entry.text) - len(head)) > 0:
            strips += painter.plain(f"… {form.count(hidden)} more characters", width, painter.styles["muted"])
        return strips

    def _reply(self, painter: Painter, width: int) -> list[Strip]:
        blocks = self._blocks
        if self.entry.live:
            blocks.feed(form.safe(self.entry.text[self._fed : _SHOWN]))
            self._fed = min(len(self.entry.text), _SHOWN)
        for block in blocks.done[self._painted_blocks :]:
            gap = [Strip([])] if self._painted else []
            self._painted += gap + painter.markdown(block, width)
        self._painted_blocks = len(blocks.done)
        strips = list(self._painted)
        if self.entry.live:
            strips += self._tail(painter, width, bool(strips))
        if (hidden := len(self.entry.text) - _SHOWN) > 0:
            strips += painter.plain(f"… {form.count(hidden)} more characters", width, painter.styles["muted"])
        return strips

    def _tail(self, painter: Painter, width: int, gap: bool) -> list[Strip]:
        """The block that is still growing, and the cursor."""
        blocks = self._blocks
        cursor = Segment("▍", painter.styles["bullet"])
        if not blocks.tail.strip():
            return [*([Strip([])] if gap else []), Strip([cursor])]
        if blocks.fence:
            code = [*blocks.lines[1:], *([blocks.partial] if blocks.partial else [])]
            strips = painter.open_fence(code, width)
        else:
            strips = painter.markdown(blocks.tail, width)
            last = strips[-1].crop(0, Strip([Segment(strips[-1].text.rstrip())]).cell_length)
            if last.cell_length < width:
                strips[-1] = Strip([*last, cursor])
        return [*([Strip([])] if gap else []), *strips]

    def _foot(self, painter: Painter, width: int) -> list[Strip]:
        entry = self.entry
        if entry.live or (entry.role == "user" and not entry.note):
            return []
        strips = []
        if ending := entry.ending():
            style = painter.styles["error" if entry.status == "failed" else "warning"]
            strips += painter.plain(form.line(ending, 300), width, style)
        if figures := entry.figures():
            strips.append(Strip([Segment(figures, painter.styles["muted"])]).crop(0, width))
        return strips

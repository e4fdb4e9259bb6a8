"""The tabs beside Memory: the exact prompt, the turns with their figures, the engine."""

from __future__ import annotations

from typing import Any, ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.widgets import DataTable, Static

from memchat.tui import guard
from memchat.tui import text as form
from memchat.tui.entries import Entry, number
from memchat.tui.inspectors.base import MUTED, Snapshot, figures

_TEXT_SHOWN = 40_000
_ROWS = 500


class PromptPane(VerticalScroll):
    """What the model sees: the parts of the prompt, then its exact text."""

    can_focus = True

    def compose(self) -> Any:
        yield Static("", id="segments", markup=False)
        yield Static("", id="rendered", markup=False)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the prompt of the next reply."""
        prompt = snapshot.prompt
        segments, rendered = self.query_one("#segments", Static), self.query_one("#rendered", Static)
        if prompt is None:
            segments.update(Content.styled("The prompt of the next reply stands here once it is known.", MUTED))
            rendered.update("")
            return
        width = max(20, self.size.width - 4)
        head = f"{'part':<10}{'tokens':>7}  source"
        lines = [Content.styled(head, "bold"), Content.styled("─" * width, MUTED)]
        for part in prompt.segments:
            text = part.get("text")
            shape = "" if text else "  (no text form)"
            lines.append(
                Content.assemble(
                    (f"{form.line(str(part.get('kind', '')), 9):<10}", "$text-accent"),
                    f"{form.count(number(part.get('tokens'))):>7}  ",
                    (form.line(_source(part), max(8, width - 20)) + shape, MUTED),
                )
            )
        lines.append(Content.styled(f"{'all':<10}{form.count(prompt.tokens):>7}", "bold"))
        segments.update(Content("\n").join(lines))
        rendered.update(Content(_shorten(form.safe(prompt.text))))


def _source(part: dict[str, Any]) -> str:
    if part.get("source"):
        return str(part["source"])
    return f"turn {part['turn']}" if part.get("turn") else ""


def _shorten(text: str) -> str:
    """Long prompts show their beginning and their end; copying gives all of it."""
    if len(text) <= _TEXT_SHOWN:
        return text
    head, tail = text[: _TEXT_SHOWN // 4], text[-3 * _TEXT_SHOWN // 4 :]
    hidden = len(text) - len(head) - len(tail)
    return f"{head}\n\n… {form.count(hidden)} characters are not drawn (/copy prompt has them) …\n\n{tail}"


class TurnsPane(DataTable[Text]):
    """One row per turn. Enter goes to it, f forks there, left and right turn its versions."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "at_turn('message.fork')", "Fork here", show=False),
        Binding("left", "at_turn('message.version', '-1')", "Version", show=False),
        Binding("right", "at_turn('message.version', '+1')", "Version", show=False),
    ]
    COLUMNS = ("turn", "who", "tokens", "tok/s", "ttft", "ver", "text")
    RIGHT = frozenset({"turn", "tokens", "tok/s", "ttft"})

    def __init__(self) -> None:
        super().__init__(id="turns", cursor_type="row", zebra_stripes=True)
        self._shown: dict[str, tuple[str, ...]] = {}

    def on_mount(self) -> None:
        for name in self.COLUMNS:
            self.add_column(name, key=name)

    def show(self, snapshot: Snapshot) -> None:
        """Bring the rows up to date; rows that stay are changed cell by cell."""
        rows = {str(e.turn): _turn_cells(e) for e in snapshot.entries[-_ROWS:] if e.turn is not None}
        kept = [key for key in rows if key in self._shown]
        if list(self._shown)[: len(kept)] != kept or len(kept) != len(self._shown):
            self.clear()
            self._shown = {}
        for key, cells in rows.items():
            if key not in self._shown:
                self.add_row(*map(self._cell, self.COLUMNS, cells), key=key)
                continue
            for column, old, new in zip(self.COLUMNS, self._shown[key], cells, strict=True):
                if old != new:
                    self.update_cell(key, column, self._cell(column, new), update_width=True)
        self._shown = rows

    def _cell(self, column: str, text: str) -> Text:
        return Text(text, justify="right" if column in self.RIGHT else "left")

    def action_at_turn(self, action: str, argument: str = "") -> None:
        """Do something with the turn under the cursor."""
        if (turn := self.turn()) is not None:
            self.screen.run_at_turn(action, turn, argument)  # type: ignore[attr-defined]

    def turn(self) -> int | None:
        """The turn under the cursor."""
        if not self.row_count:
            return None
        key = self.coordinate_to_cell_key(self.cursor_coordinate).row_key.value
        return int(key) if key else None


def _turn_cells(entry: Entry) -> tuple[str, ...]:
    stats = entry.stats
    given, made = number(stats.get("prompt_tokens")), number(stats.get("new_tokens"))
    speed, ttft = number(stats.get("tokens_per_s")), number(stats.get("ttft_ms"))
    reply = entry.role != "user"
    return (
        str(entry.turn),
        {"user": "you", "assistant": "bot"}.get(entry.role, entry.role),
        f"{form.count(given)}→{form.count(made)}" if reply else "",
        (f"{speed:.1f}" if speed is not None else form.DASH) if reply else "",
        form.seconds(ttft) if reply else "",
        f"{entry.version}/{entry.versions}" if entry.versions > 1 else "",
        form.line(entry.text, 60),
    )


class EnginePane(VerticalScroll):
    """Where the model runs, what it takes, and the end of the engine's log."""

    can_focus = True

    def compose(self) -> Any:
        yield Static("", id="facts", markup=False)
        yield Static("", id="log", markup=False)

    def show(self, snapshot: Snapshot) -> None:
        """Draw facts and log."""
        model, stats = snapshot.model, snapshot.stats
        share = stats.bandwidth_share if stats else None
        pairs = [
            ("model", form.line(str(model.get("id") or form.DASH), 60)),
            ("device", form.line(str(model.get("device") or form.DASH))),
            ("dtype", form.line(str(model.get("dtype") or form.DASH))),
            ("parameters", form.count(number(model.get("parameters")))),
            ("weights", form.size(number(model.get("weight_bytes")))),
            ("KV cache", form.size(stats.kv_bytes if stats else None)),
            ("KV / token", form.size(number(model.get("kv_bytes_per_token")))),
            ("context", f"{form.count(number(model.get('context')))} tokens"),
            ("peak", form.size(stats.peak_bytes if stats else None)),
            ("bandwidth", f"{share:.0%} of what the memory can do" if share is not None else form.DASH),
            ("seed", str(stats.seed) if stats and stats.seed is not None else form.DASH),
            ("log", str(guard.engine_log())),
        ]
        self.query_one("#facts", Static).update(figures(pairs))
        lines = [form.line(line, 300) for line in guard.tail(guard.engine_log(), 50)]
        self.query_one("#log", Static).update(Content.styled("\n".join(lines) or "(the log is empty)", MUTED))

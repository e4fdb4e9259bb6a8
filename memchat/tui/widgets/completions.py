"""The list above the input while a slash command is typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.style import Style
from textual.widget import Widget

from memchat.tui import text as form
from memchat.tui.actions import ACTIONS, BY_SLASH

if TYPE_CHECKING:
    from memchat.tui.screens.chat import ChatScreen

_ROWS = 8


@dataclass(frozen=True)
class Candidate:
    """``text`` replaces the input; ``runs`` says that nothing has to follow it."""

    text: str
    label: str
    help: str
    runs: bool


class Completions(Widget):
    """Candidates for the command being typed; up, down, Tab and Enter choose, Esc closes."""

    can_focus = False
    ALLOW_SELECT = False
    auto_links = False

    def __init__(self, view: ChatScreen) -> None:
        super().__init__(id="completions")
        self.view = view
        self.candidates: list[Candidate] = []
        self.index = 0
        self.moved = False
        self.display = False
        self._text = ""
        """What was written when the list was made."""

    def update(self, text: str) -> None:
        """Fit the list to what is written."""
        self._text = text
        self.candidates = self._find(text)
        self.index, self.moved = 0, False
        self._changed()

    def close(self) -> bool:
        """Close the list; False when it was not open."""
        was_open = self.display
        self.candidates = []
        self._changed()
        return was_open

    def take_key(self, key: str) -> bool:
        """Whether the key was for the list."""
        written = self.view.prompt.text
        if written != self._text:  # who types fast presses Enter before the list has heard of the last letters
            self.update(written)
        if not self.display:
            return False
        if key in ("up", "down"):
            self.index = (self.index + (1 if key == "down" else -1)) % len(self.candidates)
            self.moved = True
            self.refresh()
            return True
        chosen = self.candidates[self.index]
        if key == "tab":
            self.pick(self.index, run=False)
            return True
        if key == "enter":
            typed = self.view.prompt.text.strip()
            if typed == chosen.text.strip() or (typed.lstrip("/") in BY_SLASH and not self.moved):
                return False
            self.pick(self.index, run=True)
            return True
        return False

    def pick(self, index: int, run: bool) -> None:
        """Put a candidate into the input, and run it when it is complete."""
        chosen = self.candidates[index]
        self.view.prompt.put(chosen.text)
        if run and chosen.runs:
            self.close()
            self.view.prompt.submit()

    def render(self) -> Content:
        top = max(0, min(self.index - _ROWS // 2, len(self.candidates) - _ROWS))
        shown = self.candidates[top : top + _ROWS]
        left = min(30, max((len(c.label) for c in shown), default=0)) + 2
        lines = []
        for number, candidate in enumerate(shown, start=top):
            chosen = number == self.index
            mark = "▸ " if chosen else "  "
            label = form.line(candidate.label, left - 1)
            help_ = form.line(candidate.help, max(1, self.size.width - left - 4)) if candidate.help else ""
            line = Content.assemble(
                (mark, "$text-accent"),
                (label.ljust(left), "$text-accent bold" if chosen else "$foreground"),
                (help_, "$foreground 60%"),
            )
            lines.append(line.stylize(Style.from_meta({"@click": f"screen.complete({number})"})))
        return Content("\n").join(lines)

    def _changed(self) -> None:
        rows = min(_ROWS, len(self.candidates))
        if rows or self.display:
            self.display = bool(rows)
            self.styles.height = rows
            self.refresh()

    def _find(self, text: str) -> list[Candidate]:
        if not text.startswith("/") or text.startswith("//") or "\n" in text:
            return []
        name, space, argument = text[1:].partition(" ")
        if space:
            return self._arguments(name, argument.strip())
        found = []
        for action in ACTIONS:
            best = next((slash for slash in action.slash if slash.startswith(name.lower())), None)
            if best is None and len(name) > 1:
                best = next((slash for slash in action.slash if name.lower() in slash), None)
            if best is not None:
                label = f"/{best} {action.args}".rstrip()
                needs = bool(action.args) and not action.args.startswith("[")
                command = f"/{best} " if action.args else f"/{best}"
                found.append((best != name, Candidate(command, label, action.help or action.title, not needs)))
        found += [
            (True, Candidate(f"/{command} ", f"/{command}", "a command of the memory's", False))
            for command in self.view.commands.known
            if command.startswith(name.lower()) and command not in BY_SLASH
        ]
        return [candidate for _, candidate in sorted(found, key=lambda pair: pair[0])]

    def _arguments(self, name: str, typed: str) -> list[Candidate]:
        action = BY_SLASH.get(name)
        options = self.view.argument_options(action.id) if action is not None else []
        low = typed.lower()
        starts = [o for o in options if o[0].lower().startswith(low)]
        within = [o for o in options if low in o[0].lower() and o not in starts]
        return [Candidate(f"/{name} {value}", value, about, True) for value, about in starts + within][:60]

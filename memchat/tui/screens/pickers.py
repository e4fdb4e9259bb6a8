"""The lists one chooses from: memory modes, models, themes, earlier prompts, search results, settings."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static

from memchat.errors import MemchatError
from memchat.store.records import Hit
from memchat.tui import text as form
from memchat.tui.reader import Reader
from memchat.tui.screens.dialog import Choice, Picker

MUTED = "$foreground 60%"


class ModePicker(Picker):
    """How the model remembers; a mode that lacks something is shown with what it lacks."""

    heading = "Memory mode"
    hint = "Enter choose · Esc back"
    empty = "The engine has not said yet which modes there are."

    def __init__(self, modes: Sequence[dict[str, Any]], current: str) -> None:
        choices = []
        for mode in modes:
            name, available = str(mode.get("name")), bool(mode.get("available", True))
            lines = [
                Content.assemble(
                    ("● " if name == current else "  ", "$text-success"),
                    (f"{name:<9}", "$text-primary bold" if available else "$foreground 40%"),
                    (form.line(str(mode.get("summary") or ""), 120), "$foreground" if available else "$foreground 40%"),
                )
            ]
            if not available:
                why = f"{mode.get('reason') or 'not available'} · {mode.get('remedy') or ''}".rstrip(" ·")
                lines.append(Content.assemble(" " * 11, (form.line(why, 160), "$text-warning")))
            choices.append(Choice(name, Content("\n").join(lines), name, disabled=not available))
        super().__init__(choices, start=current)


class ModelPicker(Picker):
    """The starter, what is installed, or any hub id that is typed."""

    heading = "Model"
    hint = "Enter load · a hub id such as Qwen/Qwen3-0.6B is downloaded · Esc back"
    placeholder = "Filter, or a hub id, or a folder"
    empty = "Enter loads what is typed; a hub id is downloaded first."

    def __init__(self, current: str) -> None:
        self.now = current
        super().__init__([self._choice("starter", "comes with memchat, tiny", "")])

    def on_mount(self) -> None:
        super().on_mount()
        self.query_one("#about", Static).update("Looking for installed models …")
        self.run_worker(self._look())

    async def _look(self) -> None:
        models = await asyncio.to_thread(installed_models)
        self.choices += [
            self._choice(model.id, form.size(model.size_bytes), str(model.source))
            for model in models
            if model.id != "starter"
        ]
        self.fill(keep=self.now)

    def _choice(self, name: str, about: str, source: str) -> Choice:
        mark = "● " if name == self.now else "  "
        line = Content.assemble(
            (mark, "$text-success"), (f"{form.line(name, 60):<44} ", "$foreground"), (f"{about:<10} {source}", MUTED)
        )
        return Choice(name, line, name)

    def chosen(self, choice: Choice | None) -> None:
        """A typed name that is no row counts as well."""
        typed = self.query_text
        if choice is not None and (not typed or typed.lower() in choice.key.lower()):
            self.dismiss(choice.key)
        elif typed:
            self.dismiss(typed)


def installed_models() -> list[Any]:
    """Models in the data folder and in the hub cache; none when they cannot be listed."""
    try:
        from memchat.engine.catalog import installed

        return list(installed())
    except (ImportError, OSError, MemchatError):
        return []


class ThemePicker(Picker):
    """All themes; the one under the cursor is shown at once."""

    heading = "Theme"
    hint = "Enter keep · Esc back to the old one"

    def __init__(self, names: Sequence[str], current: str) -> None:
        self.before = current
        super().__init__([Choice(name, Content(f"  {name}"), name) for name in names], start=current)

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.app.theme = self.shown[event.option_index].key

    def action_leave(self) -> None:
        """The theme from before comes back."""
        self.app.theme = self.before
        self.dismiss(None)


class HistoryPicker(Picker):
    """Everything the user ever wrote."""

    heading = "Earlier prompts"
    hint = "Enter into the input · Esc back"
    empty = "Nothing written so far fits."

    def __init__(self, prompts: Sequence[str]) -> None:
        super().__init__([Choice(text, Content(f"  {form.line(text, 160)}"), text[:2000]) for text in prompts])


class FindPicker(Picker):
    """Messages of all conversations with the words that are typed."""

    heading = "Find"
    hint = "Enter go there · Esc back"
    placeholder = "Words"
    empty = "Type words; every conversation is searched."

    def __init__(self, reader: Reader, words: str) -> None:
        super().__init__()
        self.reader = reader
        self.words = words
        self.hits: dict[str, Hit] = {}

    def on_mount(self) -> None:
        super().on_mount()
        from textual.widgets import Input

        self.query_one("#filter", Input).value = self.words

    def ranked(self, query: str) -> list[Choice]:
        """The rows come from the store, they are not filtered again."""
        self.run_worker(self._search(query), exclusive=True, group="find")
        return list(self.choices)

    async def _search(self, query: str) -> None:
        try:
            hits = await self.reader.search(query) if query else []
        except MemchatError as error:
            self.query_one("#about", Static).update(str(error))
            return
        if [hit.turn for hit in hits] == [hit.turn for hit in self.hits.values()]:
            return
        self.hits = {f"{hit.session}:{hit.turn}": hit for hit in hits}
        self.choices = [Choice(key, self._line(hit), "") for key, hit in self.hits.items()]
        self.fill()

    @staticmethod
    def _line(hit: Hit) -> Content:
        who = "you" if hit.role == "user" else "bot"
        return Content.assemble(
            (f"  {form.line(hit.session_name, 20):<20} ", "$text-primary"),
            (f"{form.clock(hit.at):>12} {who} ", MUTED),
            (form.line(hit.snippet, 160), "$foreground"),
        )

    def chosen(self, choice: Choice | None) -> None:
        if choice is not None:
            self.dismiss(self.hits[choice.key])


class SettingsPicker(Picker):
    """Every setting with its value; Enter asks for a new one."""

    heading = "Settings"
    hint = "Enter change · Esc back"

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(
            [
                Choice(
                    key,
                    Content.assemble((f"  {key:<32} ", "$foreground"), (form.line(str(value), 60), "$text-accent")),
                    key,
                )
                for key, value in values.items()
            ]
        )


class SessionPicker(Picker):
    """Conversations: open, rename, delete. Dismisses with (what to do, session id)."""

    heading = "Conversations"
    hint = "Enter open · ^n new · F2 rename · Del delete · Esc back"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+n", "do('new')", show=False, priority=True),
        Binding("f2", "do('rename')", show=False, priority=True),
        Binding("delete", "do('delete')", show=False, priority=True),
    ]

    def __init__(self, sessions: Sequence[Any], current: str | None) -> None:
        choices = []
        for row in sessions:
            mark = "● " if row.id == current else "  "
            line = Content.assemble(
                (mark, "$text-success"),
                (f"{form.line(row.name, 24):<25}", "$text-primary bold"),
                (f"{row.turns:>4} msgs  {form.clock(row.updated_at):>12}  {form.line(row.memory, 8):<8} ", MUTED),
                (form.line(row.preview, 120), "$foreground"),
            )
            choices.append(Choice(row.id, line, f"{row.name} {row.preview}"))
        super().__init__(choices, start=current)

    def action_do(self, what: str) -> None:
        """Leave with another wish than opening."""
        choice = self.current()
        if what == "new" or choice is not None:
            self.dismiss((what, choice.key if choice else ""))

    def chosen(self, choice: Choice | None) -> None:
        if choice is not None:
            self.dismiss(("open", choice.key))

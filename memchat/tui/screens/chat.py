"""The chat screen: composes the first frame, routes keys to actions, and is what conversation and commands draw on."""

from __future__ import annotations

import dataclasses
import gc
from typing import Any, ClassVar

from textual import events, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static, TextArea

from memchat.config import load_settings, save_setting
from memchat.errors import MemchatError
from memchat.protocol import Failed
from memchat.tui import drafts, guard
from memchat.tui.actions import ACTIONS, BY_SLASH, parse_slash
from memchat.tui.client import Call
from memchat.tui.commands import Commands
from memchat.tui.conversation import Conversation
from memchat.tui.link import Link
from memchat.tui.reader import Reader
from memchat.tui.screens.panel import PanelHost
from memchat.tui.widgets.bars import FooterBar, HeaderBar, ProgressLine, StatusBar
from memchat.tui.widgets.completions import Completions
from memchat.tui.widgets.lines import Notice, QueueLine, Severity
from memchat.tui.widgets.prompt import Prompt
from memchat.tui.widgets.transcript import Transcript
from memchat.tui.widgets.welcome import Welcome

TINY = "memchat needs a terminal of at least 40 x 10"
_DRAFT_AFTER = 0.4


class ChatScreen(PanelHost, Screen[None]):
    """One conversation, the input below it, the inspector beside it."""

    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (40, "-narrow"), (80, "-medium"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (10, "-tall")]
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(key, f"act('{action.id}')", action.title, show=False, priority=True)
            for action in ACTIONS
            for key in action.keys
            if key not in ("alt+up",)
        ),
        Binding("alt+up", "act('message.choose')", "Choose a message", show=False),
        Binding("ctrl+c", "interrupt", "Copy, stop or quit", show=False, priority=True),
        Binding("escape", "back", "Back", show=False, priority=True),
    ]

    def __init__(self, link: Link, reader: Reader, session: str | None) -> None:
        super().__init__()
        self.link = link
        self.reader = reader
        self.wanted = session
        self.conversation = Conversation(link, reader, self)
        self.commands = Commands(self)
        self.prompt = Prompt(link.settings.ui.enter_sends)
        self.transcript = Transcript()
        self.notice = Notice()
        self.queue_line = QueueLine()
        self.progress_line = ProgressLine(self, "progress")
        self.completions = Completions(self)
        self.welcome = Welcome()
        self.editing: int | None = None
        """The turn whose text is in the input, when one is edited."""
        self.downloading: Call | None = None
        self._before_edit = ""
        self._draft_timer: Timer | None = None
        self._asked_to_quit = 0.0
        self._styled: frozenset[str] = frozenset()
        self._names: list[tuple[str, str]] = []

    def compose(self) -> Any:
        yield HeaderBar(self, "header")
        with Horizontal(id="body"), Vertical(id="chat"):
            yield self.welcome
            yield self.transcript
            yield Static("↓ new text below · End goes there", id="below", markup=False)
            yield self.queue_line
            yield self.progress_line
            yield self.notice
            yield self.completions
            yield self.prompt
        yield StatusBar(self, "status")
        yield FooterBar(self, "footer")
        yield Static(TINY, classes="too-small", markup=False)

    def on_mount(self) -> None:
        self.prompt.completer = self.completions
        self.prompt.focus()
        self.transcript_changed()
        self.link.watch(self._engine_changed)
        self.run_worker(self.conversation.work(), name="events")
        self.call_after_refresh(self._after_first_frame)

    @work
    async def _after_first_frame(self) -> None:
        """What the first frame does not need: the engine's pipes, the stored messages, the inspector."""
        await self.link.client.connect()
        self.link.load()
        try:
            await self._restore()
            self.prompt.remember(await self.reader.prompts())
            self._names = [(row.name, row.preview) for row in await self.reader.sessions()]
        except MemchatError as error:
            self.say(str(error), "error")
        self.load_draft()
        if self.link.settings.ui.inspector and self.app.size.width >= 100:
            await self.toggle_panel()
        self.set_interval(0.5, self._tick)
        gc.collect()
        gc.freeze()

    async def _restore(self) -> None:
        """Show the session that was asked for, or the last one, from the store; the engine opens it when it can."""
        if self.wanted is not None:
            row = await self.reader.session(self.wanted)
        else:
            row = next(iter(await self.reader.sessions(limit=1)), None)
        if row is not None:
            self.link.session, self.link.session_name = row.id, row.name
            await self.conversation.reload()
            if self.wanted is None and row.turns:
                self.say(f"continuing {row.name!r} · Ctrl+N starts a new conversation")
        elif self.wanted is not None:
            self.link.session = self.link.session_name = self.wanted
        if self.link.ready and self.link.session is not None:
            self.conversation.open(self.link.session)

    def update_node_styles(self, animate: bool = True) -> None:
        """Focus moving in or out of the terminal must not restyle every message."""
        if self.classes != self._styled:
            self._styled = self.classes
            super().update_node_styles(animate)
            return
        nodes = [self, *([self.focused] if self.focused is not None else [])]
        self.app.stylesheet.update_nodes(nodes, animate=animate)

    # -- what conversation and commands use ------------------------------------------------------------------------

    def say(self, message: str, severity: Severity = "note") -> None:
        """One line above the input."""
        self.notice.say(message, severity)

    def refresh_bars(self) -> None:
        """The lines at the top and at the bottom show what is known now."""
        for bar in self.query("HeaderBar, StatusBar, FooterBar"):
            bar.refresh()
        self.progress_line.display = self.link.progress is not None
        self.progress_line.refresh()
        if self.welcome.display:
            self.welcome.fill(self.link)

    def show_queue(self) -> None:
        """The prompts that wait, and what for."""
        state = self.link.state
        reason = "sent when the reply is done" if self.conversation.busy else "sent when the engine is ready"
        self.queue_line.show(self.conversation.queue, reason if state != "failed" else "no model")
        self.keep_draft()

    def transcript_changed(self) -> None:
        """The welcome stands where no message does."""
        empty = not self.conversation.entries
        self.welcome.display = empty
        self.transcript.display = not empty
        self.refresh_bars()
        self.inspect()

    def log_failure(self, event: Failed) -> None:
        """Details of a failure go to the log."""
        if event.detail:
            with guard.open_log(guard.engine_log()) as log:
                log.write(event.detail.encode("utf-8", "replace") + b"\n")

    def keep_draft(self) -> None:
        """Everything written and not durable yet goes to disk."""
        if self.editing is None:
            unsent = self.conversation.unsent()
            drafts.save(self.link.session, "\n".join([*unsent, self.prompt.full_text()]))

    def load_draft(self) -> None:
        """What was written in this conversation and not sent."""
        if not self.prompt.text and not self.conversation.unsent() and (text := drafts.load(self.link.session)):
            self.prompt.put(text)

    def begin_edit(self, turn: int, text: str) -> None:
        """Put a message into the input; sending makes another version of it."""
        self._before_edit = self.prompt.full_text() if self.editing is None else self._before_edit
        self.editing = turn
        self.prompt.put(text)
        self.prompt.add_class("-editing")
        self.prompt.focus()
        self.say(f"editing message {turn} · Enter sends the new version · Esc leaves it")

    def end_edit(self) -> None:
        """The input is a new message again."""
        self.editing = None
        self.prompt.remove_class("-editing")
        self.prompt.put(self._before_edit)
        self.notice.clear()

    def stop(self) -> bool:
        """Stop the reply or the download under way."""
        if self.downloading is not None:
            self.link.client.cancel(self.downloading)
            return True
        return self.conversation.stop()

    async def confirm(self, heading: str, question: str) -> bool:
        """Ask before something that cannot be undone."""
        from memchat.tui.screens.dialog import Confirm

        return bool(await self.app.push_screen_wait(Confirm(heading, question)))

    def switch_session(self, session: str) -> None:
        """Open another conversation."""
        self.conversation.check_free()
        self.keep_draft()
        self.prompt.put("")
        self.link.session = session
        self.conversation.open(session)
        self.run_worker(self.conversation.reload())
        self.prompt.focus()

    async def go_to(self, session: str, turn: int) -> None:
        """Show a message, of whichever conversation."""
        if session != self.link.session:
            self.switch_session(session)
            await self.conversation.reload()
        if not await self.transcript.jump(turn):
            self.say("this message is on another branch of the conversation; turn the versions to see it")

    def rename(self, session: str, name: str) -> None:
        """Give a conversation another name."""
        self.conversation.request("rename", session=session, name=name)
        if session == self.link.session:
            self.link.session_name = name
            self.refresh_bars()

    def load_model(self, name: str) -> None:
        """Load another model; the conversation is opened again with it."""
        self.link.load(name)
        self.say(f"loading {name}")

    def download(self, name: str) -> None:
        """Fetch a hub model, then load it."""

        def hear(event: Any) -> None:
            self.link.note(event)
            if isinstance(event, Failed):
                self.downloading = None
                self.log_failure(event)
                self.say(f"{event.message}. {event.remedy}", "error")
            elif event.kind == "finished":
                self.downloading = None
                self.say("download stopped") if event.reason == "cancelled" else self.load_model(name)
            self.refresh_bars()

        self.downloading = self.link.client.request("download", hear, model=name)

    def setting_values(self) -> dict[str, Any]:
        """Every setting with its value in this run."""
        flat: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self.link.settings).items():
            flat |= {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
        return flat

    def change_setting(self, key: str, text: str) -> None:
        """Set, save and apply one setting.

        Raises:
            MemchatError: not a value for it, or the file cannot be written.
        """
        parsed: Any = load_settings({key: text})
        owner: Any = self.link.settings
        *sections, name = key.split(".")
        for section in sections:
            parsed, owner = getattr(parsed, section), getattr(owner, section)
        value = getattr(parsed, name)
        setattr(owner, name, value)
        if value is not None:
            save_setting(key, value)
        self.say(f"{key} = {value}")
        if key == "ui.theme":
            self.app.theme = value
        elif key == "ui.enter_sends":
            self.prompt.enter_sends = value
        elif not key.startswith("ui."):
            self.link.load(value if key == "model" else None, value if key == "memory" else None)

    def argument_options(self, action: str) -> list[tuple[str, str]]:
        """What can follow a slash command, with a word about each."""
        if action == "memory":
            return [(str(m.get("name")), str(m.get("summary", ""))) for m in self.link.modes if m.get("available", 1)]
        if action == "theme":
            return [(name, "") for name in sorted(self.app.available_themes)]
        if action == "settings":
            return [(key, str(value)) for key, value in self.setting_values().items()]
        if action == "session.list":
            return self._names
        fixed = {
            "session.export": ("md", "json", "html"),
            "message.copy": ("code", "prompt", "all"),
            "model": ("starter",),
        }
        return [(word, "") for word in fixed.get(action, ())]

    def place(self) -> str:
        """Where the focus is: prompt, transcript or inspector."""
        node: Any = self.focused
        while node is not None and node is not self:
            if node.id in ("transcript", "inspector"):
                return str(node.id)
            node = node.parent
        return "prompt"

    # -- keys and messages -----------------------------------------------------------------------------------------

    def action_act(self, id: str, arg: str = "") -> None:
        """Run an action of the registry."""
        self.run_worker(self.commands.run(id, arg), group="actions", exit_on_error=True)

    def run_at_turn(self, id: str, turn: int, arg: str = "") -> None:
        """Run an action on the message of ``turn``."""
        index = next((i for i, entry in enumerate(self.conversation.entries) if entry.turn == turn), None)
        if index is not None:
            self.transcript.choose(index)
            self.action_act(id, arg or str(turn))

    def action_back(self) -> None:
        """Esc: the nearest thing that can be closed or stopped, and at last the input."""
        if self.completions.close() or self.stop():
            return
        if self.editing is not None:
            self.end_edit()
        elif self.close_drawer():
            pass
        elif self.focused is not self.prompt:
            self.prompt.focus()
        elif self.conversation.queue:
            self.prompt.give_back(self.conversation.unqueue() or "")
        else:
            self.notice.clear()

    def action_interrupt(self) -> None:
        """Ctrl+C: copy what is selected, else stop, else ask to press it again."""
        if selected := self.prompt.selected_text or self.get_selected_text():
            self.app.copy_to_clipboard(selected)
            self.clear_selection()
            self.say(f"copied the selection: {len(selected)} characters, through the terminal")
        elif not self.stop():
            now = self.app.loop_time()  # type: ignore[attr-defined]
            if now - self._asked_to_quit < 2:
                self.action_act("quit")
            self._asked_to_quit = now
            self.say("press Ctrl+C again to quit")

    def action_complete(self, index: int) -> None:
        """A completion was clicked."""
        self.completions.pick(index, run=True)

    async def on_prompt_submitted(self, event: Prompt.Submitted) -> None:
        command = parse_slash(event.text)
        self.notice.clear()
        if command is not None:
            await self._run_command(*command)
            return
        if self.editing is not None:
            turn, self.editing = self.editing, None
            self.prompt.remove_class("-editing")
            self.prompt.put(self._before_edit)
            self.run_worker(self._edit(turn, event.text))
            return
        text = event.text[1:] if event.text.startswith("//") else event.text
        self.prompt.take()
        self.prompt.sent.append(text)
        self.transcript.anchor()
        await self.conversation.submit(text)

    async def _edit(self, turn: int, text: str) -> None:
        try:
            await self.conversation.edit(turn, text)
        except MemchatError as error:
            self.prompt.give_back(text)
            self.say(str(error), "error")

    async def _run_command(self, name: str, arg: str) -> None:
        action = BY_SLASH.get(name)
        if action is None:
            from difflib import get_close_matches

            near = get_close_matches(name, BY_SLASH, n=1)
            hint = f"Did you mean /{near[0]}?" if near else "Type / to see all."
            self.say(f"there is no command /{name}. {hint} Two slashes send it as a message.", "error")
            return
        self.prompt.put("")
        self.action_act(action.id, arg)

    def on_prompt_turned(self, event: Prompt.Turned) -> None:
        self.action_act("message.version", f"{event.step:+d}")

    def on_prompt_attached(self, event: Prompt.Attached) -> None:
        self.say(f"attached {event.sign.strip('[]')}; it is sent in full")

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        self.completions.update(self.prompt.text)
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(_DRAFT_AFTER, self._draft_is_due)

    def _draft_is_due(self) -> None:
        self.keep_draft()
        self.inspect_draft()

    def on_transcript_held(self, event: Transcript.Held) -> None:
        self.query_one("#below").display = event.held

    def on_transcript_chosen(self, _event: Transcript.Chosen) -> None:
        self.query_one("#footer").refresh()

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        self.query_one("#footer").refresh()

    def on_key(self, event: events.Key) -> None:
        """Typing anywhere goes to the input."""
        if event.is_printable and event.character and self.focused is not self.prompt:
            event.stop()
            self.prompt.focus()
            self.prompt.insert(event.character)
        elif event.key == "end" and self.focused is not self.prompt:
            self.transcript.scroll_end(animate=False)

    async def on_paste(self, event: events.Paste) -> None:
        if self.focused is not self.prompt:
            self.prompt.focus()
            await self.prompt._on_paste(event)

    def write_in_editor(self) -> None:
        """Open the text in the user's editor and take back what it saved."""
        from memchat.tui.editor import edit

        self.prompt.put(edit(self.app, self.prompt.full_text()))

    def _engine_changed(self, what: str) -> None:
        self.conversation.engine_changed(what)
        self.refresh_bars()

    def _tick(self) -> None:
        if self.conversation.busy or self.link.progress is not None:
            self.refresh_bars()

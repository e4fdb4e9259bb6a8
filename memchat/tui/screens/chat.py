"""The chat screen: composes the first frame, routes keys to actions, and is what conversation and commands draw on."""

from __future__ import annotations

import gc
from typing import Any, ClassVar

from textual import events, work
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.timer import Timer
from textual.widgets import Static

from memchat.errors import MemchatError
from memchat.tui.actions import ACTIONS
from memchat.tui.commands import Commands
from memchat.tui.conversation import Conversation
from memchat.tui.link import Link
from memchat.tui.openers import suggestions
from memchat.tui.reader import Reader
from memchat.tui.screens.modelling import Modelling
from memchat.tui.screens.panel import PanelHost
from memchat.tui.screens.writing import Writing
from memchat.tui.widgets.bars import FooterBar, HeaderBar, ProgressLine, StatusBar
from memchat.tui.widgets.completions import Completions
from memchat.tui.widgets.lines import Notice, QueueLine, Severity
from memchat.tui.widgets.prompt import Prompt
from memchat.tui.widgets.transcript import Transcript
from memchat.tui.widgets.welcome import Welcome

TINY = "memchat needs a terminal of at least 40 x 10"


class ChatScreen(Writing, Modelling, PanelHost, Screen[None]):
    """One conversation, the input below it, the inspector beside it."""

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
        self.editing = None
        self.downloading = None
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
        self.conversation.restored()
        self.load_draft()
        if self.link.settings.ui.inspector and self.app.size.width >= 100:
            await self.toggle_panel()
        self.set_interval(0.25, self._tick)
        gc.enable()
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

    async def tell(self, text: str) -> None:
        """What the memory answers: one line above the input, more in a box."""
        if "\n" not in text and not text.startswith("- "):
            self.say(text)
            return
        from memchat.tui.screens.dialog import Told

        await self.app.push_screen(Told("Memory", text))

    def refresh_bars(self) -> None:
        """The lines at the top and at the bottom show what is known now."""
        for bar in self.query("HeaderBar, StatusBar, FooterBar"):
            bar.refresh()
        self.progress_line.display = self.link.progress is not None
        self.progress_line.refresh()
        offers = suggestions(self)
        self.prompt.suggest("" if self.welcome.display else next(iter(offers), ""))
        if self.welcome.display:
            self.welcome.fill(self.link, offers)

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
        elif self._leave_view() or self.close_drawer():
            pass
        elif self.focused is not self.prompt:
            self.prompt.focus()
        elif self.conversation.queue:
            self.prompt.give_back(self.conversation.unqueue() or "")
        else:
            self.notice.clear()

    def _leave_view(self) -> bool:
        """Leave what the view where the focus is can leave, such as a search."""
        from memchat.tui.inspectors.base import MemoryView

        inside = self.place() == "inspector"
        return inside and any(view.back() for view in self.query(MemoryView) if view.display)

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

    def on_transcript_held(self, event: Transcript.Held) -> None:
        self.query_one("#below").display = event.held

    def on_transcript_chosen(self, _event: Transcript.Chosen) -> None:
        self.query_one("#footer").refresh()

    def on_descendant_focus(self, _event: events.DescendantFocus) -> None:
        self.query_one("#footer").refresh()

    def on_resize(self) -> None:
        """A terminal that was too small has taken the focus away."""
        if self.focused is None:
            self.call_after_refresh(self.prompt.focus)
        self.fit_panel()

    def _engine_changed(self, what: str) -> None:
        self.conversation.engine_changed(what)
        if what != "progress" or self.progress_line.display != (self.link.progress is not None):
            self.refresh_bars()

    def _tick(self) -> None:
        if self.link.progress is not None:
            self.refresh_bars()
        elif self.conversation.busy:
            self.query_one("#status").refresh()

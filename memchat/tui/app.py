"""The terminal interface. ``run`` starts the engine process, then paints; torch is never imported."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from memchat import paths
from memchat.config import Settings
from memchat.errors import MemchatError
from memchat.tui.client import EngineClient
from memchat.tui.guard import engine_log, guard_stderr, leave_with_terminal
from memchat.tui.link import Link
from memchat.tui.reader import Reader
from memchat.tui.screens.chat import ChatScreen

if TYPE_CHECKING:
    from textual.command import Provider


def _palette() -> type[Provider]:
    from memchat.tui.palette import ActionProvider

    return ActionProvider


class MemchatApp(App[int]):
    """Owns the engine process, the theme and the chat screen."""

    CSS_PATH = "memchat.tcss"
    TITLE = "memchat"
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {_palette}
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+q", "quit", "Quit", show=False, priority=True)]
    HORIZONTAL_BREAKPOINTS = [(0, "-tiny"), (40, "-narrow"), (80, "-medium"), (100, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-flat"), (10, "-tall")]
    ESCAPE_TO_MINIMIZE = False

    def __init__(self, settings: Settings, client: EngineClient, session: str | None = None) -> None:
        super().__init__()
        self.settings = settings
        self.client = client
        self.reader = Reader()
        self.link = Link(client, settings)
        self.chat = ChatScreen(self.link, self.reader, session)
        client.on_event = self.chat.conversation.hear_stray
        if settings.ui.theme in self.available_themes:
            self.theme = settings.ui.theme

    def get_default_screen(self) -> Screen[Any]:
        return self.chat

    def loop_time(self) -> float:
        """The event loop's clock, in seconds."""
        return asyncio.get_running_loop().time()

    async def action_quit(self) -> None:
        """Leave; what is written is kept, the engine is told to end."""
        self.chat.keep_draft()
        self.exit(0)

    def on_unmount(self) -> None:
        self.client.say_goodbye()
        self.reader.close()


def run(settings: Settings, session: str | None = None, command: Sequence[str] | None = None) -> int:
    """Open the interface and stay until the user leaves; returns the exit code.

    Args:
        session: id or name of the conversation to open; None continues the last one.
        command: the engine process; None is the real one.

    Raises:
        MemchatError: there is no terminal, or the engine cannot be started.
    """
    if not (os.isatty(0) and (os.isatty(2) or os.isatty(1))):
        raise MemchatError("memchat needs a terminal", "Use: memchat chat --plain, or: memchat ask TEXT")
    for name in ("COLUMNS", "LINES"):  # a size that a shell exported once would outlive every resize
        os.environ.pop(name, None)
    gc.disable()  # collections in the first half second only find what is still needed
    client = EngineClient(engine_log(), command)
    try:
        client.start()
    except OSError as error:
        raise MemchatError(f"the engine cannot be started: {error.strerror}", "Run memchat doctor.") from error
    app = MemchatApp(settings, client, session)
    try:
        leave_with_terminal()
        with guard_stderr(_ui_log()):
            app.run()
    finally:
        gc.enable()
        client.reap(0.5)
    return app.return_code or 0


def _ui_log() -> Path:
    return paths.state_dir() / "interface.log"

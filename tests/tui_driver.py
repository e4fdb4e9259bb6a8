"""Driving the interface in tests: an app with a scripted engine, and waiting by polling instead of sleeping."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from memchat.config import load_settings
from memchat.tui.app import MemchatApp
from memchat.tui.client import EngineClient
from memchat.tui.guard import engine_log

FAKE = [sys.executable, str(Path(__file__).parent / "fake_worker.py")]


class Driver:
    """A running interface: what it shows, and what a user does to it."""

    def __init__(self, app: MemchatApp, pilot: Pilot[Any]) -> None:
        self.app = app
        self.pilot = pilot
        self.chat = app.chat
        self.conversation = app.chat.conversation

    async def wait_until(self, test: Callable[[], Any], what: str = "", tries: int = 1500) -> None:
        """Poll until ``test`` holds."""
        for _ in range(tries):
            if test():
                return
            await self.pilot.pause(0.01)
        raise AssertionError(f"{what or 'condition'} never held; notice: {self.chat.notice.message!r}")

    async def ready(self) -> None:
        await self.wait_until(lambda: self.app.link.ready, "engine ready")

    async def send(self, text: str) -> None:
        """Put a text into the input and press Enter."""
        self.chat.prompt.put(text)
        await self.pilot.press("enter")

    async def say(self, text: str) -> str:
        """Send a message and wait for the stored reply; returns its text."""
        before = len(self.entries)
        await self.send(text)
        await self.settled(before + 2)
        return self.entries[-1].text

    async def settled(self, messages: int) -> None:
        """Wait until so many messages are there and nothing is under way."""
        await self.wait_until(
            lambda: len(self.entries) == messages and not self.conversation.busy and self.entries[-1].turn,
            f"{messages} settled messages (there are {len(self.entries)})",
        )

    @property
    def entries(self) -> list[Any]:
        return self.conversation.entries

    @property
    def notice(self) -> str:
        return self.chat.notice.message

    def screen_text(self) -> str:
        """Everything on the screen, line by line."""
        width, height = self.app.size
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.crop(0, width).text for strip in strips[:height])


@contextlib.asynccontextmanager
async def running(
    *options: str,
    size: tuple[int, int] = (110, 34),
    session: str | None = None,
    settings: dict[str, Any] | None = None,
    command: list[str] | None = None,
) -> AsyncIterator[Driver]:
    """The interface with a fake engine; the process is gone afterwards."""
    client = EngineClient(engine_log(), command or [*FAKE, *options])
    client.start()
    app = MemchatApp(load_settings(settings or {}), client, session)
    try:
        async with app.run_test(size=size) as pilot:
            yield Driver(app, pilot)
            app.chat.keep_draft()
    finally:
        client.say_goodbye()
        client.reap(0.3)

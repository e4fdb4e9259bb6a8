"""Draws the README's screenshots from the real interface, engine and starter model: ``make screenshots``."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable

from textual.pilot import Pilot

from memchat import paths
from memchat.config import load_settings
from memchat.tui.app import MemchatApp
from memchat.tui.client import EngineClient
from memchat.tui.guard import engine_log

TALK = (
    "Hello!",
    "My dog is called Biscuit.",
    "My friend Vela lives in Lund.",
    "What is my dog called?",
    "Where does Vela live?",
)
SHOTS = {"chat": ("full", "dark", ()), "window": ("window", "dark", ()), "prompt": ("full", "light", ("f8",))}
"""Name -> memory mode, theme, keys pressed before the picture is taken."""


async def until(pilot: Pilot[int], test: Callable[[], bool]) -> None:
    for _ in range(2000):
        if test():
            return
        await pilot.pause(0.05)
    raise TimeoutError("the interface did not get there")


def done(app: MemchatApp, messages: int) -> bool:
    talk = app.chat.conversation
    return not talk.busy and len(talk.entries) == messages and talk.entries[-1].turn is not None


async def shoot(name: str, mode: str, theme: str, keys: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as home:
        os.environ["MEMCHAT_HOME"] = home
        overrides = {"memory": mode, "ui.theme": f"textual-{theme}", "remember.window_turns": 4}
        client = EngineClient(engine_log())
        client.start()
        app = MemchatApp(load_settings(overrides), client, "trip")
        async with app.run_test(size=(116, 34)) as pilot:
            await until(pilot, lambda: app.link.ready)
            for i, text in enumerate(TALK, 1):
                app.chat.prompt.put(text)
                await pilot.press("enter")
                await until(pilot, lambda i=i: done(app, 2 * i))
            await pilot.press(*keys)
            await pilot.pause(1.0)
            target = paths.shipped("assets", "screenshots", f"{name}.svg")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(app.export_screenshot(title="memchat"), "utf-8")
            print(target)
            await app.action_quit()
        client.reap()


async def main() -> None:
    for name, (mode, theme, keys) in SHOTS.items():
        await shoot(name, mode, theme, keys)


if __name__ == "__main__":
    asyncio.run(main())

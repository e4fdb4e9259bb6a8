"""The first word of an empty conversation: what the model is, and messages to begin with."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from memchat.memory.registry import MODES
from memchat.tui.openers import PRIVATE, STARTER, TOPICS, openers
from tests.fake_worker import MODES as FAKE_MODES
from tests.test_cli import _read_until
from tests.tui_driver import Driver, running

ROOT = Path(__file__).parent.parent
FIRST, SECOND, *_ = openers(starter=True)


def words(tui: Driver) -> str:
    """The screen as one line, so that a wrapped sentence is found."""
    return " ".join(tui.screen_text().split())


@pytest.mark.parametrize("starter", [True, False])
def test_openers_fit_a_line_and_each_leads_to_a_question(starter: bool) -> None:
    offered = openers(starter)
    assert len(offered) in ((4, 5, 6) if starter else (3,))
    for opener in offered:
        assert opener.follow_up.endswith("?") and len(opener.text) <= 70
    said = [text for opener in offered for text in (opener.text, opener.follow_up)]
    assert len(set(said)) == len(said), "what to suggest next is found by the text"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_starter_says_what_it_is_and_what_to_say(size: tuple[int, int]) -> None:
    async with running(size=size, settings={"ui.inspector": False}) as tui:
        await tui.ready()
        summary = next(str(mode["summary"]) for mode in FAKE_MODES if mode["name"] == "full")
        await tui.wait_until(lambda: summary in words(tui))
        shown = words(tui)
        assert f"{STARTER} {TOPICS}" in shown
        assert f"Memory full: {summary}. F3 changes it" in shown
        assert "A real model: F4, or run memchat models list" in shown
        assert "┏┳┓┏━╸" in shown
        for number, opener in enumerate(openers(starter=True), 1):
            assert f"{number} {opener.text}" in shown
        assert "^t Try" in shown
        await tui.send("/memory window")
        await tui.wait_until(lambda: "Memory window: the last messages word for word." in words(tui))


async def test_a_small_terminal_still_says_what_the_model_is() -> None:
    async with running(size=(60, 20)) as tui:
        await tui.wait_until(lambda: STARTER in words(tui))
        assert f"1 {FIRST.text}" in words(tui) and "┏┳┓┏━╸" not in words(tui)
        await tui.pilot.resize_terminal(80, 24)
        await tui.wait_until(lambda: "┏┳┓┏━╸" in words(tui))


async def test_another_model_is_named_and_gets_general_openers() -> None:
    async with running(size=(80, 24), settings={"model": "someone/tiny-chat"}) as tui:
        await tui.ready()
        await tui.wait_until(lambda: f"2,048 tokens. {PRIVATE}" in words(tui))
        shown = words(tui)
        assert "tiny-chat: 12 million parameters" in shown and "starter" not in shown
        assert FIRST.text not in shown
        await tui.pilot.press("ctrl+t")
        await tui.wait_until(lambda: tui.chat.prompt.text == openers(starter=False)[0].text)


async def test_random_weights_are_not_asked_to_remember() -> None:
    async with running(size=(80, 24)) as tui:
        await tui.ready()
        tui.app.link.model["random_weights"] = True
        tui.chat.refresh_bars()
        await tui.wait_until(lambda: "says nothing sensible" in words(tui))
        assert "Ctrl+T" not in words(tui) and "^t Try" not in words(tui)
        await tui.pilot.press("ctrl+t")
        await tui.wait_until(lambda: "nothing to suggest here" in tui.notice)


async def test_the_key_writes_one_opener_after_the_other_and_sends_none() -> None:
    async with running() as tui:
        await tui.ready()
        offered = [opener.text for opener in openers(starter=True)]
        for text in [*offered, offered[0]]:
            await tui.pilot.press("ctrl+t")
            await tui.wait_until(lambda text=text: tui.chat.prompt.text == text)
        assert not tui.entries and not tui.conversation.queue
        await tui.pilot.press("enter")
        await tui.settled(2)
        assert tui.entries[0].text == offered[0]


async def test_what_is_written_is_never_replaced() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.pilot.press(*"my own words", "ctrl+t")
        await tui.wait_until(lambda: "never replaces what you wrote" in tui.notice)
        assert tui.chat.prompt.text == "my own words"


async def test_an_opener_by_number_and_by_click() -> None:
    async with running(size=(80, 24)) as tui:
        await tui.ready()
        await tui.send("/try 2")
        await tui.wait_until(lambda: tui.chat.prompt.text == SECOND.text)
        tui.chat.prompt.put("")
        rows = tui.screen_text().splitlines()
        y = next(y for y, row in enumerate(rows) if FIRST.text in row)
        await tui.pilot.click(offset=(rows[y].index(FIRST.text) + 2, y))
        await tui.wait_until(lambda: tui.chat.prompt.text == FIRST.text)
        tui.chat.prompt.put("")
        await tui.send("/try 9")
        await tui.wait_until(lambda: "unknown suggestion '9'" in tui.notice)


async def test_an_answered_opener_is_followed_by_its_question_until_something_else_is_said() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say(FIRST.text)
        await tui.wait_until(lambda: f"Ctrl+T: {FIRST.follow_up}" in words(tui) and "^t Try" in words(tui))
        await tui.pilot.press("ctrl+t")
        await tui.wait_until(lambda: tui.chat.prompt.text == FIRST.follow_up)
        tui.chat.prompt.put("")
        await tui.say("Something else.")
        await tui.wait_until(lambda: "Write a message" in words(tui))
        assert "^t Try" not in words(tui)
        await tui.pilot.press("ctrl+t")
        await tui.wait_until(lambda: "nothing to suggest here" in tui.notice)
        assert tui.chat.prompt.text == ""


async def test_a_stopped_reply_and_an_edit_are_no_moment_for_a_suggestion() -> None:
    async with running("--delay", "0.05") as tui:
        await tui.ready()
        await tui.send(FIRST.text)
        await tui.wait_until(lambda: tui.entries and tui.entries[-1].text)
        assert "^t Try" not in words(tui)
        await tui.pilot.press("escape")
        await tui.settled(2)
        assert tui.entries[1].status == "cancelled" and FIRST.follow_up not in words(tui)
        await tui.pilot.press("alt+r")
        await tui.wait_until(lambda: f"Ctrl+T: {FIRST.follow_up}" in words(tui))
        await tui.pilot.press("alt+e")
        await tui.wait_until(lambda: tui.chat.editing is not None)
        await tui.pilot.press("ctrl+t")
        await tui.wait_until(lambda: "nothing to suggest here" in tui.notice)
        assert tui.chat.prompt.text == FIRST.text


async def test_help_and_palette_know_the_key() -> None:
    async with running(size=(110, 60)) as tui:
        await tui.ready()
        await tui.pilot.press("f1")
        await tui.wait_until(lambda: "^t /try [N] Try a suggestion" in words(tui))
        await tui.pilot.press("escape", "ctrl+p", *"try a sugg")
        await tui.wait_until(lambda: "again: the next ^t /try" in words(tui))
        await tui.pilot.press("down", "enter")
        await tui.wait_until(lambda: tui.chat.prompt.text == FIRST.text)


def test_line_mode_greets_a_person_in_three_lines_once() -> None:
    for message in (b"hello\n", b"again\n"):
        parent, child = pty.openpty()
        command = [sys.executable, "-m", "tests.fake_memchat", "chat", "--plain", "--session", "s"]
        process = subprocess.Popen(
            command, stdin=child, stdout=child, stderr=subprocess.PIPE, cwd=ROOT, env={**os.environ, "TERM": "dumb"}
        )
        os.close(child)
        _read_until(parent, b"> ")
        os.write(parent, message)
        _read_until(parent, b"you said ")
        os.write(parent, b"/quit\n")
        _, said = process.communicate(timeout=20)
        os.close(parent)
        assert process.returncode == 0
        lines = said.decode().splitlines()
        if message == b"again\n":
            assert lines == [], "the conversation is no longer empty"
            continue
        about, memory, first = lines
        assert about == f"{STARTER} {TOPICS}"
        assert memory.startswith(f"Memory full: {MODES['full'].summary}") and "memchat models list" in memory
        assert FIRST.text in first and FIRST.follow_up in first


def test_line_mode_says_nothing_of_itself_to_a_pipe() -> None:
    command = [sys.executable, "-m", "tests.fake_memchat", "chat", "--plain"]
    done = subprocess.run(command, input=b"hello\n", capture_output=True, cwd=ROOT, timeout=60)
    assert done.returncode == 0 and done.stderr == b""

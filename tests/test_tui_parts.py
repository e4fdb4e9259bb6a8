"""Parts of the interface: painting, blocks, figures, the table of actions, any order of events, any terminal size."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import fields
from typing import Any

import pytest
from rich.style import Style

from memchat.protocol import EVENTS, Event
from memchat.tui import text as form
from memchat.tui.actions import ACTIONS, BY_SLASH, parse_slash
from memchat.tui.commands import Commands
from memchat.tui.screens.chat import ChatScreen
from memchat.tui.widgets.painter import Blocks, Painter, split
from tests.fake_worker import EVIL, MARKDOWN
from tests.tui_driver import running


class AnyStyle(dict[str, Style]):
    def __missing__(self, name: str) -> Style:
        return Style()


def painter() -> Painter:
    names = "text muted strong h1 h2 h3 h4 code code_block quote link bullet rule warning error who_user who_assistant"
    return Painter(AnyStyle({name: Style() for name in names.split()}), "monokai")


@pytest.mark.parametrize("step", [1, 3, 7, 1000])
def test_blocks_are_the_same_however_the_text_arrives(step: int) -> None:
    blocks = Blocks()
    for start in range(0, len(MARKDOWN), step):
        blocks.feed(MARKDOWN[start : start + step])
    blocks.finish()
    assert blocks.done == split(MARKDOWN)
    assert [block.splitlines()[0][:9] for block in blocks.done] == [
        "# A headi", "Some **bo", "## What i", "- first p", "> A quota", "```python", "| turn | ", "That is a",
    ]  # fmt: skip


def test_an_open_fence_is_known_and_its_markers_inside_do_not_close_it() -> None:
    blocks = Blocks()
    blocks.feed("text\n````md\n```\ninner\n```\nmore")
    assert blocks.fence == "````" and blocks.done == ["text"]
    blocks.feed("\n````\nafter")
    blocks.finish()
    assert blocks.done == ["text", "````md\n```\ninner\n```\nmore\n````", "after"]


@pytest.mark.parametrize("width", [1, 4, 20, 112])
@pytest.mark.parametrize(
    "source", [MARKDOWN, ">" * 300 + " deep", "- " * 100 + "x", "漢字" * 200, "|a|\n|-|\n" + "|x|\n" * 50, "x" * 9000]
)
def test_painting_survives_anything_and_keeps_the_width(source: str, width: int) -> None:
    for block in split(source):
        strips = painter().markdown(block, width)
        assert strips
        assert all(strip.cell_length <= max(4, width) for strip in strips)


def test_html_and_single_line_breaks_are_kept() -> None:
    shown = "\n".join(strip.text.rstrip() for strip in painter().markdown("a <weather> b\nnext line", 40))
    assert shown == "a <weather> b\nnext line"


def test_text_for_the_eye_has_no_control_characters() -> None:
    shown = form.safe(EVIL + "\r\nnext\rlast\x7f\x9b")
    assert not any((ord(c) < 32 and c != "\n") or 0x7F <= ord(c) < 0xA0 or 0xD800 <= ord(c) < 0xE000 for c in shown)
    assert "\u202e" not in shown and shown.endswith("next\nlast␡�")
    assert form.line("a\n  b\tc " * 100, 20) == "a b c a b c a b c a…"


@pytest.mark.parametrize(
    ("figure", "shown"),
    [
        (form.count(None), "–"), (form.count(412), "412"), (form.count(9812), "9.8k"), (form.count(1_240_000), "1.24M"),
        (form.size(None), "–"), (form.size(0), "0 B"), (form.size(1536), "1.5 KiB"), (form.size(2**21), "2.0 MiB"),
        (form.rate(None), "– tok/s"), (form.seconds(310), "0.31 s"), (form.seconds(None), "–"),
        (form.bar(0.001, 10), "█░░░░░░░░░"), (form.bar(2, 3), "███"), (form.clock("nonsense"), ""),
    ],
)  # fmt: skip
def test_figures(figure: str, shown: str) -> None:
    assert figure == shown


def test_every_action_is_done_somewhere_and_no_key_or_command_is_taken_twice() -> None:
    for action in ACTIONS:
        assert hasattr(Commands, f"do_{action.id.replace('.', '_')}"), action.id
    keys = [key for action in ACTIONS for key in action.keys]
    assert len(keys) == len(set(keys))
    assert not {f"ctrl+{letter}" for letter in "bashimz"} & set(keys)
    assert len([name for action in ACTIONS for name in action.slash]) == len(BY_SLASH)
    assert {binding.key for binding in ChatScreen.BINDINGS} >= set(keys)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("/help", ("help", "")), ("/set a.b  c d", ("set", "a.b  c d")), ("/?", ("?", "")), ("//help", None),
        ("/usr/bin", None), ("/ x", None), ("/a\nb", None), ("hello", None), ("/NEW Trip", ("new", "Trip")),
    ],
)  # fmt: skip
def test_slash_commands_are_told_from_text(text: str, parsed: tuple[str, str] | None) -> None:
    assert parse_slash(text) == parsed


def test_the_interface_never_imports_torch_or_the_store_engine() -> None:
    code = (
        "import sys, memchat.tui.app\n"
        "heavy = {'torch', 'transformers', 'numpy', 'sqlite_utils', 'huggingface_hub', 'tree_sitter', 'memchat.engine',"
        " 'memchat.memory', 'rich.markdown', 'pygments'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def invented(dice: random.Random, kind: type[Event]) -> Event:
    """An event with values that no engine would send."""
    junk: list[Any] = ["", "x", EVIL, "[b]", 0, 1, -1, 10**9, 0.5]
    made = {
        "str": lambda: str(dice.choice(junk)),
        "int": lambda: dice.randint(-2, 5000),
        "float": lambda: dice.uniform(-1, 1e9),
        "list": lambda: [{"kind": "turn", "turns": [dice.randint(0, 9)], "used": dice.random() < 0.5}, {"kind": 3}],
        "dict": lambda: {"id": dice.choice(["m", EVIL]), "context": dice.choice([0, None, 2048])},
    }  # fmt: skip
    values = {}
    for field in fields(kind):
        name = str(field.type).split("[")[0].split(" ")[0]
        none = "None" in str(field.type) and dice.random() < 0.3
        values[field.name] = None if none else made[name]()
    return kind(**values)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_no_order_of_events_crashes_the_interface(seed: int) -> None:
    dice = random.Random(seed)
    async with running(size=(130, 36)) as tui:
        await tui.ready()
        await tui.say("hello")
        kinds = list(EVENTS.values())
        ops = ["ask", "open", "items", "prompt", "select", "load"]
        for number in range(150):
            event = invented(dice, dice.choice(kinds))
            if dice.random() < 0.5:
                tui.conversation.hear_stray(event)
            else:
                tui.conversation._hear(dice.choice(ops))(event)
            if number % 30 == 0:
                await tui.pilot.press(dice.choice(["f7", "f8", "f6", "escape", "a"]))
        await tui.wait_until(lambda: tui.conversation._events.empty())
        for _ in range(20):  # a dialog that an event opens late takes keys, until Escape closes it
            await tui.pilot.pause(0.3)
            await tui.pilot.press("escape")
            tui.chat.prompt.put("")
            await tui.pilot.press(*"alive")
            if "alive" in tui.chat.prompt.text:
                return
        raise AssertionError("keys no longer reach the input")


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (60, 20), (40, 10), (39, 24), (80, 9), (5, 2)])
async def test_any_terminal_size(size: tuple[int, int]) -> None:
    async with running(size=size) as tui:
        await tui.ready()
        await tui.conversation.submit("markdown")
        await tui.settled(2)
        for key in ("f6", "f1", "escape", "f9", "escape", "f3", "escape"):
            await tui.pilot.press(key)
        tiny = size[0] < 40 or size[1] < 10
        assert ("memchat needs" in tui.screen_text() or size == (5, 2)) == tiny
        await tui.pilot.resize_terminal(100, 30)
        await tui.wait_until(lambda: "◆ memchat" in tui.screen_text())
        assert await tui.say("hello") == "You said: hello"


async def test_a_long_conversation_mounts_a_window_and_more_on_the_way_up() -> None:
    from memchat.store import Store

    with Store() as store:
        row = store.create_session("long", model="starter", memory="full")
        parent = None
        for number in range(300):
            role = "assistant" if number % 2 else "user"
            parent = store.add_turn(row.id, role, f"message {number}", parent=parent).id
    async with running(session="long") as tui:
        await tui.wait_until(lambda: len(tui.entries) == 300)
        transcript = tui.chat.transcript
        await tui.wait_until(lambda: "message 299" in tui.screen_text())
        assert len(transcript.views) == 40
        transcript.scroll_home(animate=False)
        await tui.wait_until(lambda: len(transcript.views) > 40)
        await tui.wait_until(lambda: transcript.scroll_y > 0, "the eye stays where it was")
        await tui.chat.go_to(row.id, tui.entries[5].turn)
        await tui.wait_until(lambda: "message 5" in tui.screen_text())


async def test_text_is_held_while_the_user_reads_further_up() -> None:
    async with running("--delay", "0.002", size=(80, 24)) as tui:
        await tui.ready()
        await tui.say("long 400")
        await tui.send("long 3000")
        await tui.wait_until(lambda: tui.entries[-1].live and len(tui.entries[-1].text) > 200)
        tui.chat.transcript.scroll_home(animate=False)
        await tui.wait_until(lambda: "new text below" in tui.screen_text())
        held = tui.chat.transcript.live
        assert held is not None
        height = held.size.height
        shown = len(tui.entries[-1].text)
        await tui.wait_until(lambda: len(tui.entries[-1].text) > shown + 500)
        assert held.size.height == height
        await tui.pilot.press("escape")
        await tui.wait_until(lambda: not tui.conversation.busy)
        await tui.wait_until(lambda: "new text below" not in tui.screen_text())

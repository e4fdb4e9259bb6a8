"""The interface, driven key by key against a scripted engine."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from textual import events

from memchat import paths
from memchat.store import Store
from memchat.tui import drafts
from memchat.tui.reader import Reader
from memchat.tui.widgets.inspector import Inspector
from memchat.tui.widgets.transcript import CutMarker
from tests.fake_worker import EVIL, MARKDOWN
from tests.tui_driver import running


async def test_a_message_is_answered_stored_and_shown_with_its_figures() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.pilot.press(*"My dog is Biscuit.", "enter")
        await tui.settled(2)
        assert [entry.role for entry in tui.entries] == ["user", "assistant"]
        assert tui.entries[1].text == "You said: My dog is Biscuit."
        await tui.wait_until(lambda: "38.4 tok/s · first after 0.31 s" in tui.screen_text())
        assert "❯ you" in tui.screen_text() and "◆ memchat" in tui.screen_text()
        assert len(Store(read_only=True).path(tui.app.link.session or "")) == 2


async def test_typing_works_before_the_engine_and_the_prompt_is_queued_visibly(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    async with running("--gate", str(gate)) as tui:
        await tui.pilot.press(*"hel")
        assert tui.chat.prompt.text == "hel"
        await tui.send("hello")
        await tui.wait_until(lambda: "queued: hello" in tui.screen_text())
        await tui.wait_until(lambda: "loading" in tui.screen_text())
        assert not tui.entries
        gate.touch()
        await tui.settled(2)
        assert tui.entries[1].text == "You said: hello"
        assert "queued" not in tui.screen_text()


async def test_a_second_prompt_waits_for_the_first_reply_and_esc_takes_it_back() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.send("hold")
        await tui.wait_until(lambda: tui.entries and tui.entries[-1].text)
        await tui.send("second")
        assert tui.conversation.queue == ["second"]
        await tui.pilot.press("escape")
        await tui.settled(4)
        assert tui.entries[1].status == "cancelled"
        assert tui.entries[3].text == "You said: second"


async def test_esc_marks_the_stop_at_once_and_keeps_the_partial_text() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.send("hold")
        await tui.wait_until(lambda: tui.entries and tui.entries[-1].text == "I begin ")
        await tui.pilot.press("escape")
        await tui.wait_until(lambda: "■ stopped by you" in tui.screen_text(), tries=200)
        await tui.settled(2)
        assert tui.entries[1].text.strip() == "I begin" and tui.entries[1].status == "cancelled"


async def test_an_engine_that_ignores_cancel_leaves_the_interface_alive() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.send("deaf")
        await tui.wait_until(lambda: tui.entries and tui.entries[-1].text)
        await tui.pilot.press("escape", *"still here")
        assert tui.chat.prompt.text == "still here"
        assert "stopping" in tui.screen_text()
        await tui.send("/restart")
        await tui.wait_until(lambda: tui.app.link.ready and not tui.conversation.busy)
        assert await tui.say("hello") == "You said: hello"


async def test_a_crash_is_one_line_then_the_engine_comes_back_with_the_session() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say("first")
        await tui.send("crash please")
        await tui.wait_until(lambda: not tui.chat.prompt.text)
        tui.chat.prompt.put("half written")
        await tui.wait_until(lambda: tui.app.link.restarts == 1 and tui.app.link.ready)
        await tui.wait_until(lambda: len(tui.entries) == 4 and not tui.conversation.busy)
        assert tui.entries[3].status == "interrupted"
        assert "interrupted: the engine stopped here" in tui.screen_text()
        assert tui.chat.prompt.text == "half written"
        tui.chat.prompt.put("")
        await tui.wait_until(lambda: tui.app.link.ready and not tui.conversation.busy)
        assert await tui.say("and now?") == "You said: and now?"


async def test_what_was_not_stored_returns_to_the_input_when_the_engine_dies(tmp_path: Path) -> None:
    async with running("--gate", str(tmp_path / "never")) as tui:
        await tui.wait_until(lambda: tui.app.link.state == "loading")
        await tui.send("precious words")
        await tui.wait_until(lambda: tui.conversation.queue == ["precious words"])
        assert tui.app.client.process is not None
        tui.app.client.process.kill()
        await tui.wait_until(lambda: tui.chat.prompt.text == "precious words")
        assert "the engine stopped by signal 9" in tui.notice


async def test_a_model_that_cannot_be_loaded_is_a_state_with_a_remedy() -> None:
    async with running("--bad-model", "no-such", settings={"model": "no-such"}) as tui:
        await tui.send("hello")
        await tui.wait_until(lambda: tui.app.link.state == "failed")
        await tui.wait_until(lambda: tui.chat.prompt.text == "hello")
        assert "there is no model 'no-such' here. Press F4 to choose another." in tui.notice
        tui.chat.prompt.put("")
        await tui.send("/model starter")
        await tui.ready()
        assert await tui.say("hello") == "You said: hello"


async def test_a_failed_reply_says_why_in_the_transcript() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.send("fail it")
        await tui.wait_until(lambda: "longer than the context" in tui.screen_text())
        assert "Ctrl+N" in tui.screen_text()
        assert await tui.say("go on") == "You said: go on"


async def test_editing_a_message_makes_another_version_and_an_answer() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say("My dog is Rex.")
        tui.chat.prompt.put("a draft")
        await tui.pilot.press("alt+e")
        await tui.wait_until(lambda: tui.chat.prompt.text == "My dog is Rex.")
        await tui.send("My dog is Biscuit.")
        await tui.wait_until(lambda: tui.entries and tui.entries[-1].text == "You said: My dog is Biscuit.")
        await tui.settled(2)
        assert (tui.entries[0].version, tui.entries[0].versions) == (2, 2)
        assert tui.chat.prompt.text == "a draft"


async def test_regenerate_gives_versions_that_left_and_right_turn() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say("hello")
        first = tui.entries[1].turn
        await tui.pilot.press("alt+r")
        await tui.wait_until(lambda: len(tui.entries) == 2 and tui.entries[1].versions == 2)
        await tui.settled(2)
        assert "‹ 2/2 ›" in tui.screen_text()
        await tui.pilot.press("left")
        await tui.wait_until(lambda: tui.entries[1].turn == first)
        await tui.wait_until(lambda: "‹ 1/2 ›" in tui.screen_text())
        await tui.pilot.press("right")
        await tui.wait_until(lambda: tui.entries[1].version == 2)


async def test_fork_forget_rename_and_delete() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say("one")
        await tui.say("two")
        origin, second = tui.app.link.session, tui.entries[1].turn
        await tui.send(f"/fork {second}")
        await tui.wait_until(lambda: tui.app.link.session != origin and len(tui.entries) == 2)
        await tui.send("/rename the fork")
        await tui.wait_until(lambda: Store(read_only=True).find_session("the fork"))
        assert "the fork" in tui.screen_text()
        await tui.send(f"/forget {tui.entries[0].turn}")
        await tui.wait_until(lambda: "Forget message" in tui.screen_text())
        await tui.pilot.press("y")
        await tui.wait_until(lambda: tui.entries[0].status == "forgotten")
        await tui.send("/delete")
        await tui.wait_until(lambda: "This cannot be undone" in tui.screen_text())
        await tui.pilot.press("y")
        await tui.wait_until(lambda: Store(read_only=True).find_session("the fork") is None)
        await tui.wait_until(lambda: not tui.entries and tui.app.link.session is None)


async def test_sessions_are_listed_filtered_and_opened() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say("about the spare key")
        await tui.pilot.press("ctrl+n")
        await tui.say("about the dog")
        await tui.pilot.press("f5")
        await tui.wait_until(lambda: "about the spare key" in tui.screen_text())
        await tui.pilot.press(*"spare", "enter")
        await tui.wait_until(lambda: tui.entries and tui.entries[0].text == "about the spare key")


async def test_reopening_continues_the_last_conversation_and_its_draft() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say("My dog is Biscuit.")
        await tui.pilot.press(*"to be contin")
    async with running("--gate", "/never") as tui:
        await tui.wait_until(lambda: len(tui.entries) == 2, "messages from the store, before any engine")
        await tui.wait_until(lambda: tui.chat.prompt.text == "to be contin")
        await tui.wait_until(lambda: "My dog is Biscuit." in tui.screen_text())


async def test_a_named_session_is_made_when_it_does_not_exist() -> None:
    async with running(session="trip") as tui:
        await tui.ready()
        await tui.say("hello")
        assert Store(read_only=True).session("trip").turns == 2


async def test_what_is_written_before_the_store_was_read_goes_to_the_session_that_was_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read, wait = Reader.session, asyncio.Event()

    async def slow(self: Reader, name: str) -> Any:
        await wait.wait()
        return await read(self, name)

    monkeypatch.setattr(Reader, "session", slow)
    async with running(session="trip") as tui:
        await tui.ready()
        await tui.send("hello")
        assert tui.conversation.queue == ["hello"] and not tui.conversation.busy
        wait.set()
        await tui.settled(2)
        assert Store(read_only=True).session("trip").turns == 2


async def test_memory_modes_show_what_is_missing_and_the_window_is_marked() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.pilot.press("f3")
        await tui.wait_until(lambda: "no ccm adapter for this model" in tui.screen_text())
        await tui.pilot.press("escape")
        await tui.send("/memory ccm")
        await tui.wait_until(lambda: "memchat train ccm" in tui.notice)
        await tui.say("one")
        await tui.send("/memory window")
        await tui.wait_until(lambda: tui.app.link.memory == "window")
        await tui.say("two")
        await tui.say("three")
        await tui.say("four")
        await tui.wait_until(lambda: tui.app.query(CutMarker))
        assert "the model no longer sees what is above: 3 messages" in tui.screen_text()
        assert "held 4 · dropped 3" in tui.screen_text()


async def test_the_inspector_shows_memory_prompt_turns_and_engine() -> None:
    async with running(size=(140, 40)) as tui:
        await tui.ready()
        await tui.wait_until(lambda: tui.app.query(Inspector))
        await tui.say("My dog is Biscuit.")
        await tui.wait_until(lambda: "≈" in tui.screen_text() and "*    1 you" in tui.screen_text())
        await tui.pilot.press("f8")
        await tui.wait_until(lambda: "<|turn 1|>My dog is Biscuit." in tui.screen_text())
        await tui.pilot.press(*"And the cat?")
        await tui.wait_until(lambda: "<|now|>And the cat?" in tui.screen_text(), "the draft in the prompt view")
        await tui.pilot.press("f7")
        await tui.wait_until(lambda: "38.4" in tui.screen_text() and "ttft" in tui.screen_text())
        await tui.pilot.press("f7")
        await tui.wait_until(lambda: "fake engine starts" in tui.screen_text())
        await tui.pilot.press("f6")
        await tui.wait_until(lambda: "fake engine starts" not in tui.screen_text())


async def test_a_hub_model_is_downloaded_and_loaded() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.send("/model someone/tiny-chat")
        await tui.wait_until(lambda: tui.app.link.model.get("id") == "someone/tiny-chat" and tui.app.link.ready)


async def test_a_download_shows_its_progress_and_can_be_stopped() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.send("/model someone/large-chat")
        await tui.wait_until(lambda: "downloading" in tui.screen_text() and "MiB of 954 MiB" in tui.screen_text())
        await tui.pilot.press("escape")
        await tui.wait_until(lambda: tui.chat.downloading is None)
        assert tui.app.link.model["id"] == "starter"


async def test_a_paste_of_megabytes_is_attached_and_sent_whole() -> None:
    pasted = "line of text\n" * 160_000
    async with running() as tui:
        await tui.ready()
        tui.chat.prompt.post_message(events.Paste(pasted))
        await tui.wait_until(lambda: "attached pasted text 1: 2.0 MiB" in tui.notice)
        assert not tui.conversation.busy and not tui.entries
        await tui.pilot.press(*" what?", "enter")
        await tui.wait_until(lambda: tui.entries and tui.entries[0].turn is not None)
        assert tui.entries[0].text == (pasted + " what?").strip("\n")
        await tui.pilot.press("escape")
        await tui.wait_until(lambda: not tui.conversation.busy)


async def test_a_short_paste_stays_text_and_never_sends() -> None:
    async with running() as tui:
        await tui.ready()
        tui.chat.prompt.post_message(events.Paste("one\r\ntwo\r\n"))
        await tui.wait_until(lambda: tui.chat.prompt.text == "one\ntwo\n")
        assert not tui.entries


@pytest.mark.parametrize("key", ["shift+enter", "alt+enter", "ctrl+j"])
async def test_keys_that_break_the_line(key: str) -> None:
    async with running() as tui:
        await tui.pilot.press("a", key, "b")
        assert tui.chat.prompt.text == "a\nb"


async def test_the_setting_turns_enter_and_ctrl_j_round() -> None:
    async with running(settings={"ui.enter_sends": False}) as tui:
        await tui.ready()
        await tui.pilot.press("a", "enter", "b", "ctrl+j")
        await tui.settled(2)
        assert tui.entries[0].text == "a\nb"


async def test_history_at_the_edges_and_by_search() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say("first prompt")
        await tui.say("second prompt")
        await tui.pilot.press(*"draft", "up", "up")
        assert tui.chat.prompt.text == "first prompt"
        await tui.pilot.press("down", "down")
        assert tui.chat.prompt.text == "draft"
        await tui.pilot.press("ctrl+r")
        await tui.wait_until(lambda: "Earlier prompts" in tui.screen_text())
        await tui.pilot.press(*"frst", "enter")
        await tui.wait_until(lambda: tui.chat.prompt.text == "first prompt")


async def test_unknown_commands_keep_the_text_and_paths_are_messages() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.send("/memori window")
        await tui.wait_until(lambda: "Did you mean /memory?" in tui.notice)
        assert tui.chat.prompt.text == "/memori window"
        assert await tui.say("/usr/bin is a folder") == "You said: /usr/bin is a folder"
        assert await tui.say("//help is a word") == "You said: /help is a word"


async def test_completions_fill_in_commands_and_arguments() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.pilot.press(*"/mem")
        await tui.wait_until(lambda: "How the model remembers" in tui.screen_text())
        await tui.pilot.press("tab", *"win", "enter")
        await tui.wait_until(lambda: tui.app.link.memory == "window")
        assert tui.chat.prompt.text == ""


async def test_a_fast_typist_never_runs_the_candidate_of_a_shorter_text() -> None:
    """Enter comes before the list has heard of the last letters: "/re" offers /restart, "/rename birds" was meant."""
    async with running() as tui:
        await tui.ready()
        tui.chat.prompt.put("/re")
        await tui.wait_until(lambda: tui.chat.completions.display, "candidates")
        tui.chat.prompt.text = "/rename birds"
        assert not tui.chat.completions.take_key("enter"), "the key must go to the input, which submits the text"
        assert not tui.chat.completions.display


async def test_settings_themes_and_export(tmp_path: Path) -> None:
    async with running() as tui:
        await tui.ready()
        await tui.send("/theme nord")
        await tui.wait_until(lambda: tui.app.theme == "nord")
        assert 'theme = "nord"' in paths.config_path().read_text()
        await tui.send("/set generation.temperature 0.5")
        await tui.wait_until(lambda: tui.app.link.settings.generation.temperature == 0.5)
        await tui.send("/set generation.temperature hot")
        await tui.wait_until(lambda: "is not a float" in tui.notice)
        await tui.ready()
        await tui.say("hello")
        await tui.send(f"/export md {tmp_path / 'talk.md'}")
        await tui.wait_until(lambda: (tmp_path / "talk.md").exists())
        assert "You said: hello" in (tmp_path / "talk.md").read_text()
        await tui.send(f"/export md {tmp_path / 'talk.md'}")
        await tui.wait_until(lambda: "exists already" in tui.notice)


async def test_copy_reports_what_it_copied() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say("markdown")
        await tui.send("/copy code")
        await tui.wait_until(lambda: "copied the last code block" in tui.notice)
        assert tui.app.clipboard.startswith("def greet(name: str)")
        await tui.send("/copy")
        await tui.wait_until(lambda: tui.app.clipboard == MARKDOWN)
        await tui.pilot.press("alt+up", "up", "c")
        await tui.wait_until(lambda: tui.app.clipboard == "markdown")
        assert tui.chat.prompt.text == ""
        await tui.pilot.press("z")
        assert tui.chat.prompt.text == "z" and tui.chat.focused is tui.chat.prompt


async def test_ctrl_c_asks_then_quits() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.pilot.press("ctrl+c")
        assert "again to quit" in tui.notice
        await tui.pilot.press("ctrl+c")
        await tui.wait_until(lambda: tui.app._exit)


async def test_drafts_are_written_while_typing() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.pilot.press(*"not sent")
        await tui.wait_until(lambda: drafts.load(None) == "not sent")


async def test_markup_wide_bidi_and_control_characters_everywhere() -> None:
    name = "[red]x[/] 漢字 \x1b[2J"
    async with running(size=(140, 40)) as tui:
        await tui.ready()
        await tui.say(f"evil {EVIL}")
        assert tui.entries[1].text.startswith("[bold]not markup[/]")
        await tui.send(f"/rename {name}")
        for key in ("f5", "escape", "ctrl+r", "escape", "f8", "f7", "f7", "f7"):
            await tui.pilot.press(key)
            await tui.pilot.pause(0.25)
        tui.chat.say(EVIL, "error")
        await tui.pilot.pause(0.1)
        shown = tui.screen_text()
        assert "[bold]not markup[/] [/] [link=x]" in shown
        assert not {"\x1b", "\x07", "\u202e", "\ud800"} & set(shown)


async def test_every_conversation_keeps_its_own_draft() -> None:
    async with running() as tui:
        await tui.ready()
        await tui.say("one")
        first = tui.app.link.session
        await tui.pilot.press(*"draft of one", "ctrl+n")
        await tui.wait_until(lambda: not tui.entries and tui.chat.prompt.text == "")
        await tui.say("two")
        assert first is not None
        tui.chat.switch_session(first)
        await tui.wait_until(lambda: tui.chat.prompt.text == "draft of one")
        await tui.pilot.press("ctrl+n")
        await tui.wait_until(lambda: not tui.entries)
        assert tui.chat.prompt.text == ""

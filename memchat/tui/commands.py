"""What each action does. ``do_<id>`` gets the text that followed the slash command; mistakes raise MemchatError."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memchat.config import keys, save_setting
from memchat.errors import MemchatError, UsageError, unknown
from memchat.protocol import Event, Failed
from memchat.tui import export
from memchat.tui.actions import BY_SLASH
from memchat.tui.openers import OpenerCommands

if TYPE_CHECKING:
    from memchat.tui.screens.chat import ChatScreen


class MessageCommands:
    """Actions on messages of the open conversation."""

    view: ChatScreen

    async def do_stop(self, _arg: str) -> None:
        if not self.view.stop():
            self.view.say("nothing is under way")

    async def do_message_regenerate(self, _arg: str) -> None:
        await self.view.conversation.regenerate()

    async def do_message_version(self, arg: str) -> None:
        view = self.view
        if view.conversation.busy:
            return
        index = self._reply_index()
        if index is None:
            return
        entry = view.conversation.entries[index]
        turn = view.conversation.turn_of(index)
        versions = await view.reader.versions(turn)
        if len(versions) < 2:
            return
        step = _integer(arg or "+1")
        place = step - 1 if arg.isdigit() else versions.index(turn) + step
        if 0 <= place < len(versions) and versions[place] != turn:
            view.conversation.request("select", turn=versions[place])
        else:
            view.say(f"version {entry.version} of {entry.versions}")

    async def do_message_edit(self, arg: str) -> None:
        view = self.view
        index = self._index(arg, wanted="user")
        turn = view.conversation.turn_of(index)
        view.begin_edit(turn, view.conversation.entries[index].text)

    async def do_message_fork(self, arg: str) -> None:
        turn = self.view.conversation.turn_of(self._index(arg))
        self.view.keep_draft()
        self.view.prompt.put("")
        self.view.conversation.request("fork", turn=turn)
        self.view.say(f"a new conversation that ends with message {turn}")

    async def do_message_copy(self, arg: str) -> None:
        text, what = self._copied(arg)
        self.view.app.copy_to_clipboard(text)
        self.view.say(f"copied {what}: {len(text)} characters, through the terminal")

    async def do_message_forget(self, arg: str) -> None:
        conversation = self.view.conversation
        turns = [_integer(word) for word in arg.split()] or [conversation.turn_of(self._index(""))]
        known = {entry.turn for entry in conversation.entries}
        for turn in turns:
            if turn not in known:
                raise MemchatError(f"turn {turn} is not in this conversation", "The Turns tab (F6) lists them.")
        words = "message" if len(turns) == 1 else "messages"
        question = f"Forget {words} {', '.join(map(str, turns))}? The text leaves conversation, memory and disk."
        if await self.view.confirm("Forget", question):
            conversation.request("forget", turns=turns)

    async def do_message_choose(self, _arg: str) -> None:
        self.view.transcript.focus()

    def _index(self, arg: str, wanted: str = "assistant") -> int:
        """Index of the message that is meant: named, chosen, or the last one of ``wanted`` role."""
        entries = self.view.conversation.entries
        if arg:
            turn = _integer(arg)
            found = next((i for i, entry in enumerate(entries) if entry.turn == turn), None)
            if found is None:
                raise MemchatError(f"turn {turn} is not in this conversation", "The Turns tab (F6) lists them.")
            return found
        if (cursor := self.view.transcript.cursor) is not None and cursor < len(entries):
            return cursor
        found = next((i for i in range(len(entries) - 1, -1, -1) if entries[i].role == wanted), None)
        if found is None:
            raise MemchatError("there is no message yet", "Write something first.")
        return found

    def _reply_index(self) -> int | None:
        try:
            return self._index("")
        except MemchatError:
            return None

    def _copied(self, arg: str) -> tuple[str, str]:
        entries = self.view.conversation.entries
        if arg == "all":
            return export.markdown(self.view.link.session_name, entries), "the conversation"
        if arg == "prompt":
            prompt = self.view.conversation.prompt
            if prompt is None:
                raise MemchatError("the prompt is not known yet", "Press F8 first.")
            return prompt.text, "the prompt"
        if arg == "code":
            for entry in reversed(entries):
                if blocks := export.code_blocks(entry.text):
                    return blocks[-1], "the last code block"
            raise MemchatError("there is no code in this conversation", "")
        return entries[self._index(arg)].text, "the message"


class SessionCommands:
    """Actions on conversations."""

    view: ChatScreen

    async def do_session_new(self, arg: str) -> None:
        await self.view.conversation.start_new()
        if arg:
            self.view.conversation.open(arg)

    async def do_session_list(self, arg: str) -> None:
        from memchat.tui.screens.pickers import SessionPicker

        view = self.view
        sessions = await view.reader.sessions()
        if arg:
            found = [row for row in sessions if arg in (row.name, row.id)]
            if not found:
                raise unknown("conversation", arg, [row.name for row in sessions])
            view.switch_session(found[0].id)
            return
        wish = await view.app.push_screen_wait(SessionPicker(sessions, view.link.session))
        if wish is None:
            return
        what, key = wish
        name = next((row.name for row in sessions if row.id == key), "")
        if what == "new":
            await self.do_session_new("")
        elif what == "open":
            view.switch_session(key)
        elif what == "rename":
            await self._rename(key, name)
        elif what == "delete":
            await self._delete(key, name)

    async def do_session_rename(self, arg: str) -> None:
        link = self.view.link
        if link.session is None:
            self.view.conversation.open(arg or None)
        elif arg:
            self.view.rename(link.session, arg)
        else:
            await self._rename(link.session, link.session_name)

    async def do_session_delete(self, _arg: str) -> None:
        link = self.view.link
        if link.session is None:
            raise MemchatError("this conversation is not stored yet", "There is nothing to delete.")
        await self._delete(link.session, link.session_name)

    async def do_session_export(self, arg: str) -> None:
        link, kinds = self.view.link, ("md", "json", "html")
        if link.session is None:
            raise MemchatError("this conversation is not stored yet", "Write something first.")
        kind, _, rest = arg.partition(" ")
        if kind not in kinds:
            kind, rest = "md", arg
        path = Path(rest.strip()).expanduser() if rest else Path.cwd() / export.file_name(link.session_name, kind)
        text = await self.view.reader.export(link.session, kind)
        try:
            with path.open("x", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except FileExistsError:
            raise MemchatError(f"{path} exists already", "Give another file: /export md FILE") from None
        except OSError as error:
            raise MemchatError(
                f"cannot write {path}: {error.strerror}", "Give another file: /export md FILE"
            ) from error
        self.view.say(f"written to {path}")

    async def do_find(self, arg: str) -> None:
        from memchat.tui.screens.pickers import FindPicker

        hit = await self.view.app.push_screen_wait(FindPicker(self.view.reader, arg))
        if hit is not None:
            await self.view.go_to(hit.session, hit.turn)

    async def do_history(self, _arg: str) -> None:
        from memchat.tui.screens.pickers import HistoryPicker

        prompt = self.view.prompt
        stored = await self.view.reader.prompts()
        prompts = list(dict.fromkeys([*reversed(prompt.sent), *stored]))
        text = await self.view.app.push_screen_wait(HistoryPicker(prompts))
        if text is not None:
            prompt.put(text)

    async def _rename(self, session: str, name: str) -> None:
        from memchat.tui.screens.dialog import AskText

        new = await self.view.app.push_screen_wait(AskText("Rename", name, "The new name of this conversation"))
        if new:
            self.view.rename(session, new)

    async def _delete(self, session: str, name: str) -> None:
        question = f"Delete the conversation {name!r} with all its messages? This cannot be undone."
        if not await self.view.confirm("Delete", question):
            return
        self.view.conversation.request("delete", session=session)
        if session == self.view.link.session:
            await self.view.conversation.start_new()


class FactCommands:
    """Commands of the memory's own; which there are, the engine says."""

    view: ChatScreen

    @property
    def known(self) -> list[str]:
        """The commands of the mode that is on."""
        link = self.view.link
        mode: dict[str, Any] = next((m for m in link.modes if m.get("name") == link.memory), {})
        return [str(name) for name in mode.get("commands") or []]

    def word(self, text: str) -> tuple[str, str] | None:
        """``bye`` and ``reset`` alone are commands where the memory has some, unless the settings say otherwise."""
        plain = text.strip().casefold()
        if plain not in ("bye", "reset") or not self.known or not self.view.setting_values().get("sql.words"):
            return None
        return ("quit", "") if plain == "bye" else ("reset", "")

    def for_memory(self, name: str, arg: str) -> bool:
        """Whether a slash command is meant for the memory: some names are the interface's too."""
        if name not in self.known:
            return False
        if name not in BY_SLASH:
            return True
        first = arg.partition(" ")[0]
        ours = {"history": bool(arg), "forget": bool(arg) and not first.isdigit(), "set": first not in keys()}
        return ours.get(name, " " in arg) and bool(arg)

    async def do_facts(self, arg: str) -> None:
        view, name = self.view, arg.partition(" ")[0]
        if not self.known:
            raise MemchatError(f"the memory {view.link.memory} takes no commands", "Choose one that does: /memory sql.")
        if name not in self.known:
            raise unknown("command of the memory", name or "nothing", self.known)
        if view.link.session is None:
            raise MemchatError("nothing was said yet", "Write something first.")
        view.conversation.check_free()
        hard = arg.split() == ["reset", "hard"]
        lost = "Nothing brings it back." if hard else "Undo brings it back."
        if name == "reset" and not await view.confirm("Reset", f"Forget everything in the table? {lost}"):
            return
        view.conversation.request("command", text=arg)


class Commands(MessageCommands, SessionCommands, OpenerCommands, FactCommands):
    """All actions of the chat screen."""

    def __init__(self, view: ChatScreen) -> None:
        self.view = view

    async def run(self, id: str, arg: str = "") -> None:
        """Do it; a mistake is shown as one line."""
        try:
            await getattr(self, f"do_{id.replace('.', '_')}")(arg)
        except MemchatError as error:
            self.view.say(str(error), "error")

    async def do_help(self, _arg: str) -> None:
        from memchat.tui.screens.help import HelpScreen

        await self.view.app.push_screen(HelpScreen())

    async def do_palette(self, _arg: str) -> None:
        self.view.app.action_command_palette()

    async def do_quit(self, _arg: str) -> None:
        await self.view.app.action_quit()

    async def do_restart(self, _arg: str) -> None:
        await self.view.conversation.restart()

    async def do_editor(self, _arg: str) -> None:
        self.view.write_in_editor()

    async def do_theme(self, arg: str) -> None:
        from memchat.tui.screens.pickers import ThemePicker

        app = self.view.app
        names = sorted(app.available_themes)
        name = arg or await app.push_screen_wait(ThemePicker(names, app.theme))
        if not name:
            return
        if name not in names:
            raise unknown("theme", name, names)
        app.theme = name
        save_setting("ui.theme", name)
        self.view.say(f"theme {name}")

    async def do_settings(self, arg: str) -> None:
        from memchat.tui.screens.dialog import AskText
        from memchat.tui.screens.pickers import SettingsPicker

        values = self.view.setting_values()
        words = arg.removeprefix("set ").split(maxsplit=1)
        if not words:
            key = await self.view.app.push_screen_wait(SettingsPicker(values))
            if key is None:
                return
            shown = "" if values[key] is None else str(values[key])
            words = [key, *filter(None, [await self.view.app.push_screen_wait(AskText(key, shown))])]
            if len(words) < 2:
                return
        if words[0] not in values:
            raise unknown("setting", words[0], list(values))
        if len(words) == 1:
            self.view.say(f"{words[0]} = {values[words[0]]}")
            return
        self.view.change_setting(words[0], words[1])

    async def do_memory(self, arg: str) -> None:
        from memchat.tui.screens.pickers import ModePicker

        link = self.view.link
        mode = arg or await self.view.app.push_screen_wait(ModePicker(link.modes, link.memory))
        if not mode:
            return
        known = {str(entry.get("name")): entry for entry in link.modes}
        if known and mode not in known:
            raise unknown("memory mode", mode, list(known))
        if known and not known[mode].get("available", True):
            raise MemchatError(str(known[mode].get("reason")), str(known[mode].get("remedy") or ""))
        self.view.conversation.check_free()
        if link.session is None:  # nothing to rebuild: the next conversation begins in this mode
            link.load(memory=mode)
        else:
            link.change_memory(mode, self._changed(f"memory mode {mode}"))

    async def do_model(self, arg: str) -> None:
        from memchat.tui.screens.pickers import ModelPicker, installed_models

        name = arg or await self.view.app.push_screen_wait(ModelPicker(self.view.link.model_name))
        if not name:
            return
        self.view.conversation.check_free()
        here = name == "starter" or name.startswith("shape:") or Path(name).expanduser().exists()
        if here or any(model.id == name for model in await asyncio.to_thread(installed_models)):
            self.view.load_model(name)
        elif name.count("/") == 1 and " " not in name:
            self.view.download(name)
        else:
            raise UsageError(f"there is no model {name!r} here", "Give a folder, or a hub id such as Qwen/Qwen3-0.6B.")

    async def do_panel(self, _arg: str) -> None:
        await self.view.toggle_panel()

    async def do_panel_next(self, _arg: str) -> None:
        await self.view.show_tab(None)

    async def do_panel_zoom(self, _arg: str) -> None:
        await self.view.zoom_panel()

    async def do_prompt(self, _arg: str) -> None:
        await self.view.show_tab("Prompt")

    def _changed(self, words: str) -> Any:
        def hear(event: Event) -> None:
            if isinstance(event, Failed):
                self.view.say(f"{event.message}. {event.remedy}", "error")
            elif event.kind == "finished":
                self.view.say(words)
                self.view.inspect(fresh=True)
            self.view.refresh_bars()

        return hear


def _integer(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UsageError(f"{word!r} is not a number", "Give the number of a turn; the Turns tab lists them.") from None

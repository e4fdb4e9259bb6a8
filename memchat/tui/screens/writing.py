"""The chat screen's side of the input: sending, editing, commands, drafts, and keys that find their way to it."""

from __future__ import annotations

from typing import Any

from textual import events
from textual.widgets import TextArea

from memchat.errors import MemchatError
from memchat.tui import drafts
from memchat.tui.actions import BY_SLASH, parse_slash
from memchat.tui.widgets.prompt import Prompt

_DRAFT_AFTER = 0.4


class Writing:
    """Mixed into the chat screen."""

    editing: int | None
    """The turn whose text is in the input, when one is edited."""

    def keep_draft(self: Any) -> None:
        """Everything written and not durable yet goes to disk."""
        if self.editing is None:
            unsent = self.conversation.unsent()
            drafts.save(self.link.session, "\n".join([*unsent, self.prompt.full_text()]))

    def drop_draft(self: Any) -> None:
        """A conversation has its place in the store: what was written before it had one is its own now."""
        drafts.save(drafts.NEW, "")
        self.keep_draft()

    def load_draft(self: Any) -> None:
        """What was written in this conversation and not sent."""
        if not self.prompt.text and not self.conversation.unsent() and (text := drafts.load(self.link.session)):
            self.prompt.put(text)

    def begin_edit(self: Any, turn: int, text: str) -> None:
        """Put a message into the input; sending makes another version of it."""
        self._before_edit = self.prompt.full_text() if self.editing is None else self._before_edit
        self.editing = turn
        self.prompt.put(text)
        self.prompt.add_class("-editing")
        self.prompt.focus()
        self.say(f"editing message {turn} · Enter sends the new version · Esc leaves it")

    def end_edit(self: Any) -> None:
        """The input is a new message again."""
        self.editing = None
        self.prompt.remove_class("-editing")
        self.prompt.put(self._before_edit)
        self.notice.clear()

    async def on_prompt_submitted(self: Any, event: Prompt.Submitted) -> None:
        command = parse_slash(event.text) or self.commands.word(event.text)
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

    async def _edit(self: Any, turn: int, text: str) -> None:
        try:
            await self.conversation.edit(turn, text)
        except MemchatError as error:
            self.prompt.give_back(text)
            self.say(str(error), "error")

    async def _run_command(self: Any, name: str, arg: str) -> None:
        action = BY_SLASH.get(name)
        if self.commands.for_memory(name, arg):
            self.prompt.put("")
            self.action_act("facts", f"{name} {arg}".strip())
            return
        if action is None:
            from difflib import get_close_matches

            near = get_close_matches(name, BY_SLASH, n=1)
            hint = f"Did you mean /{near[0]}?" if near else "Type / to see all."
            self.say(f"there is no command /{name}. {hint} Two slashes send it as a message.", "error")
            return
        self.prompt.put("")
        self.action_act(action.id, arg)

    def on_prompt_attached(self: Any, event: Prompt.Attached) -> None:
        self.say(f"attached {event.sign.strip('[]')}; it is sent in full")

    def on_prompt_turned(self: Any, event: Prompt.Turned) -> None:
        self.action_act("message.version", f"{event.step:+d}")

    def on_text_area_changed(self: Any, event: TextArea.Changed) -> None:
        self.completions.update(self.prompt.text)
        self.transcript.make_way()
        if self._draft_timer is not None:
            self._draft_timer.stop()
        self._draft_timer = self.set_timer(_DRAFT_AFTER, self._draft_is_due)

    def _draft_is_due(self: Any) -> None:
        self.keep_draft()
        self.inspect_draft()

    def on_key(self: Any, event: events.Key) -> None:
        """Typing anywhere goes to the input, except the letters that do something where the focus is."""
        if self.focused is not None and event.key in self.focused._bindings.key_to_bindings:
            return
        if event.is_printable and event.character and self.focused is not self.prompt:
            event.stop()
            self.prompt.focus()
            self.prompt.insert(event.character)
        elif event.key == "end" and self.focused is not self.prompt:
            self.transcript.scroll_end(animate=False)

    async def on_paste(self: Any, event: events.Paste) -> None:
        if self.focused is not self.prompt:
            self.prompt.focus()
            await self.prompt._on_paste(event)

    def write_in_editor(self: Any) -> None:
        """Open the text in the user's editor and take back what it saved."""
        from memchat.tui.editor import edit

        self.prompt.put(edit(self.app, self.prompt.full_text()))

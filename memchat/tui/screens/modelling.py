"""The chat screen's side of the engine: models, downloads, settings, and what goes to the log."""

from __future__ import annotations

import dataclasses
from typing import Any

from memchat.config import load_settings, save_setting
from memchat.protocol import Failed
from memchat.tui import guard
from memchat.tui.client import Call
from memchat.tui.openers import suggestions


class Modelling:
    """Mixed into the chat screen."""

    downloading: Call | None

    def stop(self: Any) -> bool:
        """Stop the reply or the download under way."""
        if self.downloading is not None:
            self.link.client.cancel(self.downloading)
            return True
        return self.conversation.stop()

    def load_model(self: Any, name: str) -> None:
        """Load another model; the conversation is opened again with it."""
        self.link.load(name)
        self.say(f"loading {name}")

    def download(self: Any, name: str) -> None:
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

    def setting_values(self: Any) -> dict[str, Any]:
        """Every setting with its value in this run."""
        flat: dict[str, Any] = {}
        for name, value in dataclasses.asdict(self.link.settings).items():
            flat |= {f"{name}.{key}": v for key, v in value.items()} if isinstance(value, dict) else {name: value}
        return flat

    def change_setting(self: Any, key: str, text: str) -> None:
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

    def argument_options(self: Any, action: str) -> list[tuple[str, str]]:
        """What can follow a slash command, with a word about each."""
        if action == "memory":
            return [(str(m.get("name")), str(m.get("summary", ""))) for m in self.link.modes if m.get("available", 1)]
        if action == "theme":
            return [(name, "") for name in sorted(self.app.available_themes)]
        if action == "settings":
            return [(key, str(value)) for key, value in self.setting_values().items()]
        if action == "session.list":
            return self._names
        if action == "suggest":
            return [(str(number), text) for number, text in enumerate(suggestions(self), 1)]
        fixed = {
            "session.export": ("md", "json", "html"),
            "message.copy": ("code", "prompt", "all"),
            "model": ("starter",),
        }
        return [(word, "") for word in fixed.get(action, ())]

    def log_failure(self: Any, event: Failed) -> None:
        """Details of a failure go to the log."""
        if event.detail:
            with guard.open_log(guard.engine_log()) as log:
                log.write(event.detail.encode("utf-8", "replace") + b"\n")

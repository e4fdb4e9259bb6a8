"""The engine's condition as the interface knows it: starting, loading, ready, failed or stopped.

Loads the model, reopens the session after a restart, restarts a crashed engine once, and keeps what ``ready`` said
about model and modes. Whoever wants to know subscribes with ``watch``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from memchat.config import Settings, flat
from memchat.protocol import Event, Failed, Opened, Progress, Ready
from memchat.tui.client import Call, EngineClient, Listener

State = Literal["starting", "loading", "ready", "failed", "stopped"]


def engine_settings(settings: Settings) -> dict[str, Any]:
    """The settings that concern the engine process, by dotted key; flags of this run are among them."""
    here = ("model", "memory")  # sent beside them
    return {key: value for key, value in flat(settings).items() if key not in here and not key.startswith("ui.")}


class Link:
    """What is known about the engine, and the requests that change it.

    Args:
        client: the process, started or not.
        settings: the settings the interface was opened with; ``load`` sends model and mode of them.
    """

    def __init__(self, client: EngineClient, settings: Settings) -> None:
        self.client = client
        self.settings = settings
        self.state: State = "starting"
        self.model_name = settings.model
        self.model: dict[str, Any] = {}
        self.memory = settings.memory
        self.modes: list[dict[str, Any]] = []
        self.progress: Progress | None = None
        self.progress_since = 0.0
        self.error: Failed | None = None
        self.session: str | None = None
        self.session_name = ""
        self.restarts = 0
        self._watchers: list[Callable[[str], None]] = []
        client.on_exit = self._exited

    def watch(self, watcher: Callable[[str], None]) -> None:
        """``watcher`` is called with ``state``, ``facts``, ``progress`` or ``crashed`` after each change."""
        self._watchers.append(watcher)

    def tell(self, what: str) -> None:
        for watcher in self._watchers:
            watcher(what)

    @property
    def ready(self) -> bool:
        return self.state == "ready"

    def describe_model(self) -> str:
        """The model's name, short enough for a status line; random weights are never passed over in silence."""
        name = str(self.model.get("id") or self.model_name).rstrip("/").rsplit("/", 1)[-1]
        return f"{name} (random)" if self.model.get("random_weights") else name

    def load(self, model: str | None = None, memory: str | None = None) -> Call:
        """Load a model and a memory mode; what is not given stays."""
        self.model_name = model or self.model_name
        self.memory = memory or self.memory
        self.error = None
        self._become("loading")
        return self.client.request(
            "load",
            self._on_load,
            model=self.model_name,
            memory=self.memory,
            settings=engine_settings(self.settings),
        )

    def open(self, session: str | None, listener: Listener) -> Call:
        """Open a session by id or name; a name that is new, or none, makes one."""
        return self.client.request("open", listener, session=session)

    def change_memory(self, mode: str, listener: Listener) -> Call:
        """Change the mode of the open session; its state is rebuilt from the turn log."""

        def hear(event: Event) -> None:
            self.note(event)
            if event.kind == "finished":
                self.memory = mode
                self.tell("facts")
            listener(event)

        return self.client.request("memory", hear, mode=mode)

    def note(self, event: Event) -> None:
        """Take from any event what concerns the engine as a whole."""
        if isinstance(event, Progress):
            if self.progress is None or self.progress.task != event.task:
                self.progress_since = time.monotonic()
            self.progress = event
            self.tell("progress")
        elif isinstance(event, Ready):
            self.model, self.memory, self.modes = event.model, event.memory, event.modes
            self.progress = None
            self.tell("facts")
        elif isinstance(event, Opened):
            self.session, self.session_name = event.session, event.name
            self.memory = event.memory or self.memory
            self.tell("facts")
        elif event.kind in ("finished", "failed") and self.progress is not None:
            self.progress = None
            self.tell("progress")

    async def restart(self) -> bool:
        """A new process with the same model and mode. False: it cannot be started."""
        self._become("starting")
        try:
            await self.client.restart()
        except OSError as error:
            self.error = Failed(f"the engine cannot be started: {error.strerror}", "Run memchat doctor.")
            self._become("failed")
            return False
        self.load()
        return True

    def _on_load(self, event: Event) -> None:
        self.note(event)
        if event.kind == "finished":
            self._become("ready")
        elif isinstance(event, Failed) and self.client.alive:
            self.error = event
            self._become("failed")

    def _exited(self, code: int | None) -> None:
        self.progress = None
        again = self.restarts == 0
        self.restarts += 1
        how = f"by signal {-code}" if code is not None and code < 0 else f"with code {code}"
        remedy = "Starting it again." if again else "/restart starts it again; the Engine tab has its log."
        self.error = Failed(f"the engine stopped {how}", remedy)
        self._become("stopped")
        self.tell("crashed")

    def _become(self, state: State) -> None:
        self.state = state
        self.tell("state")

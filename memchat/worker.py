"""The engine process behind the interface: requests in, events out, one JSON object a line.

Loading, native output and a crash of the model happen here and never touch the screen. The reader thread only takes
lines in and marks cancelled requests; everything else runs on the main thread, one request after the other.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from memchat.config import Settings, load_settings
from memchat.errors import MemchatError, UsageError
from memchat.protocol import VERSION, Event, Failed, Finished, Hello, Items, Opened, Progress, Prompt, Ready

log = logging.getLogger(__name__)

NICE = 5
"""On a machine whose cores all compute, keys are still echoed at once: the interface goes first."""

EngineLoader = Callable[[Settings, Callable[[str, float, float], None]], Any]


def load_engine(settings: Settings, progress: Callable[[str, float, float], None]) -> Any:
    """The real engine; imports torch."""
    from memchat.engine.engine import Engine

    return Engine.load(settings.model, settings.engine, progress)


class Worker:
    """Serves one front end.

    Args:
        write: takes one line (without newline); called from the main thread only.
        loader: makes the engine; tests pass a light one.
    """

    def __init__(self, write: Callable[[str], None], loader: EngineLoader = load_engine) -> None:
        self._write = write
        self._loader = loader
        self._requests: queue.Queue[dict[str, Any] | None] = queue.Queue()
        self._cancelled: set[int] = set()
        self._settings: Settings | None = None
        self._engine: Any = None
        self._session: Any = None
        self._store: Any = None
        self._current = 0

    # -- in -------------------------------------------------------------------------------------------------------

    def read(self, lines: Iterable[bytes]) -> None:
        """Take requests in until the pipe closes; runs in a thread."""
        for line in lines:
            if not line.strip():
                continue
            try:
                request = json.loads(line)
                request["id"], request["op"] = int(request.get("id", 0)), str(request["op"])
            except (ValueError, KeyError, TypeError, AttributeError):
                log.warning("not a request: %r", line[:200])
                self._requests.put({"id": 0, "op": "?"})
                continue
            if request["op"] == "cancel":
                self._cancelled.add(int(request.get("target") or self._current))
            else:
                self._requests.put(request)
        self._cancelled.add(self._current)
        self._requests.put(None)

    def serve(self) -> None:
        """Answer requests until ``shutdown`` or the end of the pipe."""
        self._emit(Hello(VERSION, os.getpid()))
        while (request := self._requests.get()) is not None and request["op"] != "shutdown":
            self._current = request["id"]
            self._answer(request)
        if self._session is not None:
            self._session.close()
        if self._store is not None:
            self._store.close()

    # -- out ------------------------------------------------------------------------------------------------------

    def _answer(self, request: dict[str, Any]) -> None:
        try:
            if request["id"] in self._cancelled and request["op"] != "ask":
                self._emit(Finished("cancelled"))
                return
            last = None
            for last in self._run(request):
                self._emit(last)
            if not isinstance(last, Finished):
                self._emit(Finished())
        except MemchatError as error:
            self._emit(Failed(error.message, error.remedy, exit_code=error.exit_code))
        except BrokenPipeError:
            raise
        except Exception as error:  # a bug must not take the conversation with it
            log.exception("request %s failed", request["op"])
            what = f"{type(error).__name__}: {error}".splitlines()[0]
            remedy = "The log has the details; your text is kept."
            self._emit(Failed(f"unexpected error, {what}", remedy, traceback.format_exc()))

    def _run(self, request: dict[str, Any]) -> Iterator[Event]:
        handler = getattr(self, f"_op_{request['op']}", None)
        if handler is None:
            raise UsageError(f"unknown request {request['op']!r}", "Update the front end.")
        arguments = {k: v for k, v in request.items() if k not in ("id", "op")}
        try:
            yield from handler(**arguments)
        except TypeError as error:
            if f"_op_{request['op']}()" in str(error):
                raise UsageError(f"request {request['op']!r} has wrong fields", str(error)) from error
            raise

    def _emit(self, event: Event) -> None:
        self._write(event.to_json(self._current))

    def _cancel(self) -> bool:
        return self._current in self._cancelled

    def _progress(self, task: str, done: float, total: float) -> None:
        self._emit(Progress(task, done, total, "bytes" if task == "downloading" else ""))

    # -- what is asked --------------------------------------------------------------------------------------------

    def _op_load(
        self, model: str | None = None, memory: str | None = None, settings: dict[str, Any] | None = None
    ) -> Iterator[Event]:
        from memchat.memory import registry

        overrides = dict(settings or {})
        overrides |= {k: v for k, v in (("model", model), ("memory", memory)) if v is not None}
        wanted = load_settings(overrides)
        registry.check(wanted.memory)
        if self._engine is None or self._settings is None or _needs_reload(self._settings, wanted):
            key = self._session.row.id if self._session else None
            self._close_session()
            self._engine = None  # so that two models are never in memory at once
            self._engine = self._loader(wanted, self._progress)
            self._settings = wanted
            if key:
                self._open_session(key)
        else:
            self._settings = wanted
            if self._session is not None:
                self._session.settings = wanted
        yield Ready(self._engine.info, wanted.memory, registry.modes())

    def _op_open(self, session: str | None = None, memory: str | None = None) -> Iterator[Event]:
        yield from self._loaded()
        yield self._open_session(session, memory)

    def _op_ask(self, text: str) -> Iterator[Event]:
        yield from self._opened()
        yield from self._session.ask(text, cancel=self._cancel)

    def _op_regenerate(self) -> Iterator[Event]:
        yield from self._opened()
        yield from self._session.regenerate(cancel=self._cancel)

    def _op_edit(self, turn: int, text: str) -> Iterator[Event]:
        yield from self._opened()
        yield from self._session.edit(turn, text, cancel=self._cancel)

    def _op_select(self, turn: int) -> Iterator[Event]:
        yield from self._opened()
        yield from self._session.select(turn)

    def _op_forget(self, turns: list[int]) -> Iterator[Event]:
        yield from self._opened()
        yield from self._session.forget(turns)

    def _op_fork(self, turn: int) -> Iterator[Event]:
        yield from self._opened()
        self._session = self._session.fork(turn)
        yield self._opened_event()

    def _op_memory(self, mode: str) -> Iterator[Event]:
        yield from self._opened()
        self._session.set_memory(mode)
        yield self._opened_event()

    def _op_prompt(self, text: str = "") -> Iterator[Event]:
        yield from self._opened()
        event: Prompt = self._session.prompt(text)
        yield event

    def _op_items(self, query: str | None = None, at: int | None = None) -> Iterator[Event]:
        yield from self._opened()
        event: Items = self._session.items(query, at)
        yield event

    def _op_command(self, text: str) -> Iterator[Event]:
        yield from self._opened()
        yield from self._session.command(text)

    def _op_rename(self, session: str, name: str) -> Iterator[Event]:
        row = self._open_store().rename_session(self._open_store().session(session).id, name)
        if self._session is not None and self._session.row.id == row.id:
            self._session.row = row
        yield Finished()

    def _op_delete(self, session: str) -> Iterator[Event]:
        row = self._open_store().session(session)
        if self._session is not None and self._session.row.id == row.id:
            self._close_session()
        self._open_store().delete_session(row.id)
        yield Finished()

    def _op_download(self, model: str) -> Iterator[Event]:
        from memchat.engine import hub

        hub.download(model, lambda done, total: self._progress("downloading", done, total))
        yield Finished()

    # -- state ----------------------------------------------------------------------------------------------------

    def _loaded(self) -> Iterator[Event]:
        if self._engine is None:
            yield from self._op_load()

    def _opened(self) -> Iterator[Event]:
        yield from self._loaded()
        if self._session is None:
            yield self._open_session(None)

    def _open_session(self, key: str | None, memory: str | None = None) -> Opened:
        from memchat.session import Session

        self._close_session()
        assert self._settings is not None
        self._session = Session.open(
            self._open_store(), self._engine, self._settings, key, memory=memory, report=self._progress
        )
        return self._opened_event()

    def _opened_event(self) -> Opened:
        row = self._session.row
        return Opened(row.id, row.name, row.memory, self._session.notice)

    def _close_session(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def _open_store(self) -> Any:
        if self._store is None:
            from memchat.store import Store

            self._store = Store()
        return self._store


def _needs_reload(old: Settings, new: Settings) -> bool:
    return old.model != new.model or old.engine != new.engine


def _protocol_pipe() -> IO[bytes]:
    """The real stdout, kept for the protocol; whatever prints to fd 1 from now on goes to stderr, the log."""
    ours = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return ours


def main(loader: EngineLoader = load_engine) -> int:
    """Serve stdin and stdout. The terminal's Ctrl-C is the front end's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(NICE)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    pipe = _protocol_pipe()
    worker = Worker(lambda line: _send(pipe, line), loader)
    threading.Thread(target=worker.read, args=(_lines(0),), daemon=True).start()
    try:
        worker.serve()
    except BrokenPipeError:
        return 1
    return 0


def _lines(fd: int) -> Iterator[bytes]:
    """Lines of a pipe. (A buffered file would abort the interpreter at exit, while this thread waits in it.)"""
    rest = b""
    while chunk := os.read(fd, 1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines


def _send(pipe: IO[bytes], line: str) -> None:
    data = line.encode("ascii") + b"\n"
    while data:
        data = data[pipe.write(data) :]


if __name__ == "__main__":
    sys.exit(main())

"""The engine process as the interface sees it: requests go down its stdin, events come up from its stdout.

The process is started before the first frame (``start``), so that loading overlaps painting; the pipes are taken
over by the event loop later (``connect``). Nothing here knows about widgets.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, cast

from memchat.protocol import Event, Failed, Finished, parse_event
from memchat.tui.guard import open_log

Listener = Callable[[Event], None]

STOPPED = "the engine process stopped"
RESTART = "It is restarted by itself once; /restart starts it again."
_CHUNK = 1 << 18


class Call:
    """One request under way. ``done`` resolves to its last event, ``finished`` or ``failed``."""

    def __init__(self, id: int, op: str, listener: Listener | None) -> None:
        self.id = id
        self.op = op
        self.listener = listener
        self.done: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    def deliver(self, event: Event) -> None:
        if self.listener is not None:
            self.listener(event)
        if isinstance(event, Finished | Failed) and not self.done.done():
            self.done.set_result(event)


class EngineClient:
    """Starts, feeds, listens to, restarts and ends the engine process.

    Args:
        command: what to run; the real engine unless a test brings its own.
        log: file that takes the process' stderr.
        on_event: called with every event that belongs to no open request (``hello``, late ones).
        on_exit: called with the exit code when the process ends without having been asked to.
    """

    def __init__(
        self,
        log: Path,
        command: Sequence[str] | None = None,
        on_event: Listener | None = None,
        on_exit: Callable[[int | None], None] | None = None,
    ) -> None:
        self.command = list(command or (sys.executable, "-m", "memchat.worker"))
        self.log = log
        self.on_event = on_event
        self.on_exit = on_exit
        self.process: subprocess.Popen[bytes] | None = None
        self.calls: dict[int, Call] = {}
        self._next = 1
        self._writer: asyncio.WriteTransport | None = None
        self._source: asyncio.ReadTransport | None = None
        self._reader: asyncio.Task[None] | None = None
        self._closing = False
        self._early: list[bytes] = []

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None and not self._closing

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    def start(self) -> None:
        """Start the process; needs no event loop.

        Raises:
            OSError: it cannot be started.
        """
        self._closing = False
        with open_log(self.log) as log:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                bufsize=0,
                start_new_session=True,
            )

    async def connect(self) -> None:
        """Let the running event loop read and write the pipes."""
        assert self.process and self.process.stdin and self.process.stdout
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, cast(IO[Any], self.process.stdin))
        self._writer = transport
        for line in self._early:
            self._writer.write(line)
        self._early.clear()
        stream = asyncio.StreamReader(limit=_CHUNK)
        self._source, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), cast(IO[Any], self.process.stdout)
        )
        self._reader = asyncio.create_task(self._read(stream, self.process), name="engine-events")

    def request(self, op: str, listener: Listener | None = None, **fields: Any) -> Call:
        """Send one request; its events go to ``listener``. A dead process answers with ``failed`` at once."""
        call = Call(self._next, op, listener)
        self._next += 1
        self.calls[call.id] = call
        given = {name: value for name, value in fields.items() if value is not None}
        if not self._send({"id": call.id, "op": op} | given):
            asyncio.get_running_loop().call_soon(self._dispatch, call.id, Failed(STOPPED, RESTART))
        return call

    def cancel(self, call: Call) -> None:
        """Ask the engine to stop ``call``; harmless when it is over already."""
        if call.id in self.calls and not call.cancelled:
            call.cancelled = True
            self._send({"id": self._next, "op": "cancel", "target": call.id})
            self._next += 1

    async def restart(self) -> None:
        """End the process, if it still runs, and start a new one."""
        await self.stop(patience=0.2)
        self.start()
        await self.connect()

    async def stop(self, patience: float = 1.0) -> None:
        """Ask the process to end; terminate, then kill it when it does not."""
        self._closing = True
        process = self.process
        if process is None:
            return
        self.say_goodbye()
        for step in (None, process.terminate, process.kill):
            if step is not None:
                step()
            if await self._gone(process, patience):
                break
        self._fail_open_calls()
        self.process = None

    def say_goodbye(self) -> None:
        """Ask the process to end and let go of its pipes, without waiting for it."""
        self._send({"id": self._next, "op": "shutdown"})
        self._closing = True
        if self._reader is not None:
            self._reader.cancel()
        for transport in (self._writer, self._source):
            if transport is not None:
                transport.close()
        self._writer = self._source = self._reader = None

    def reap(self, patience: float = 1.0) -> None:
        """Wait for the process to end, terminate it, at last kill it; needs no event loop."""
        process, self._closing = self.process, True
        if process is None:
            return
        if process.stdin is not None and not process.stdin.closed:
            with contextlib.suppress(OSError):
                process.stdin.close()
        for step in (None, process.terminate, process.kill):
            if step is not None:
                step()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                return

    def _send(self, message: dict[str, Any]) -> bool:
        line = json.dumps(message).encode() + b"\n"
        if self._writer is not None:
            if self._writer.is_closing():
                return False
            self._writer.write(line)
            return True
        if self.process is not None and not self._closing:
            self._early.append(line)
            return True
        return False

    async def _read(self, stream: asyncio.StreamReader, process: subprocess.Popen[bytes]) -> None:
        """Lines of any length; bytes that are no event are engine output gone astray and go to the log."""
        parts: list[bytes] = []
        while chunk := await stream.read(_CHUNK):
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                parts.append(line)
                self._take(b"".join(parts))
                parts.clear()
            if rest:
                parts.append(rest)
        if self._closing:
            return
        await self._gone(process, 2.0)
        self._closing = True
        self._fail_open_calls()
        if self.on_exit is not None:
            self.on_exit(process.poll())

    def _take(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            request, event = parse_event(line.decode("utf-8", "replace"))
        except ValueError:
            with open_log(self.log) as log:
                log.write(line[:2000] + b"\n")
            return
        self._dispatch(request, event)

    def _dispatch(self, request: int, event: Event) -> None:
        call = self.calls.get(request)
        if isinstance(event, Finished | Failed):
            self.calls.pop(request, None)
        if call is not None:
            call.deliver(event)
        elif self.on_event is not None:
            self.on_event(event)

    def _fail_open_calls(self) -> None:
        for id in list(self.calls):
            self._dispatch(id, Failed(STOPPED, RESTART))

    @staticmethod
    async def _gone(process: subprocess.Popen[bytes], patience: float) -> bool:
        """Whether the process has ended within ``patience`` seconds."""
        deadline = asyncio.get_running_loop().time() + patience
        while process.poll() is None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.01)
        return True

"""Start-up and key echo, measured from outside: real processes on a pseudo-terminal, in a home of their own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any

from memchat.errors import MemchatError

ROWS, COLUMNS = 40, 120
MARKS = "ЖЩЮЯФЦЪЭ"
"""Typed to measure the echo: letters that the streamed text hardly ever holds."""
ECHOES = 40
STREAM = ("generation.temperature=5", "generation.max_new_tokens=900", "generation.seed=1")
"""Nearly random tokens, so that the reply does not end while keys are typed."""
_GIVE_UP = 120.0


def measure_startup(repeats: int, report: Callable[[int, int], None]) -> list[dict[str, Any]]:
    """Rows ``what, median, p95, max, n, budget``; milliseconds.

    Raises:
        MemchatError: the interface does not come up.
    """
    helps: list[float] = []
    frames: list[float] = []
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"MEMCHAT_HOME": home, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        for i in range(repeats):
            helps.append(_help(env))
            frames.append(_first_frame(env))
            report(i + 1, repeats + 1)
        idle, streaming = _echo(env)
        report(repeats + 1, repeats + 1)
    echoes = [("key echo, idle", idle, "16 p95"), ("key echo while a reply streams", streaming, "16 p95")]
    rows = [("memchat --help", helps, "300"), ("first frame of the interface", frames, "500"), *echoes]
    return [_row(what, times, budget) for what, times, budget in rows]


def _row(what: str, seconds: list[float], budget: str) -> dict[str, Any]:
    ms = sorted(1000 * s for s in seconds)
    p95 = quantiles(ms, n=20, method="inclusive")[18] if len(ms) > 1 else ms[0]
    return {"what": what, "median": median(ms), "p95": p95, "max": ms[-1], "n": len(ms), "budget": budget}


def _help(env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "memchat", "--help"], env=env, capture_output=True, check=True)
    return time.perf_counter() - started


def _first_frame(env: dict[str, str]) -> float:
    """Seconds from the start of the process to a frame that shows the title."""
    started = time.perf_counter()
    terminal = _Terminal(env)
    try:
        terminal.wait_for(b"memchat")
        return time.perf_counter() - started
    finally:
        terminal.close()


def _echo(env: dict[str, str]) -> tuple[list[float], list[float]]:
    """Seconds from a key to its appearance: (nothing else going on, a reply streaming)."""
    flags = [part for pair in STREAM for part in ("--set", pair)]
    terminal = _Terminal(env, *flags)
    try:
        terminal.wait_for(b"ready")
        idle = [terminal.echo(MARKS[i % len(MARKS)]) for i in range(ECHOES)]
        terminal.clear_prompt()
        streaming: list[float] = []
        while len(streaming) < ECHOES:
            terminal.send("tell me a long story\r")
            terminal.drain(0.3)
            times = [terminal.echo(letter) for letter in MARKS]
            if terminal.drain(0.2):  # the reply was still streaming
                streaming += times
            terminal.send("\x1b")  # stops the reply; what was typed stays
            terminal.drain(0.5)
            terminal.clear_prompt()
        return idle, streaming
    finally:
        terminal.close()


class _Terminal:
    """The interface in a pseudo-terminal."""

    def __init__(self, env: dict[str, str], *arguments: str) -> None:
        self.fd, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        command = [sys.executable, "-m", "memchat", *arguments]
        self.process = subprocess.Popen(
            command, stdin=child, stdout=child, stderr=child, env=env, start_new_session=True
        )
        os.close(child)

    def send(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def wait_for(self, mark: bytes) -> None:
        """Read until ``mark`` appears."""
        seen, end = b"", time.perf_counter() + _GIVE_UP
        while mark not in seen:
            piece = self._read(end - time.perf_counter())
            if piece is None:
                raise MemchatError("the interface did not answer", "Try 'memchat' by hand, and 'memchat doctor'.")
            seen = seen[-4096:] + piece

    def echo(self, letter: str) -> float:
        """Seconds until a typed letter appears."""
        self.drain(0.03)
        started = time.perf_counter()
        self.send(letter)
        self.wait_for(letter.encode())
        return time.perf_counter() - started

    def clear_prompt(self) -> None:
        self.send("\x05\x15")  # end of line, delete to its start
        self.drain(0.1)

    def drain(self, seconds: float) -> int:
        """Read and drop what comes within ``seconds``; how many bytes that was."""
        end, count = time.perf_counter() + seconds, 0
        while (left := end - time.perf_counter()) > 0 and (piece := self._read(left)) is not None:
            count += len(piece)
        return count

    def _read(self, seconds: float) -> bytes | None:
        """What is there within ``seconds``; None if nothing is, or if the process is gone."""
        if not select.select([self.fd], [], [], max(0.0, seconds))[0]:
            return None
        try:
            return os.read(self.fd, 1 << 16)
        except OSError:  # Linux reports the other side's end as an error
            return None

    def close(self) -> None:
        self.process.terminate()
        end = time.perf_counter() + 5
        while self.process.poll() is None and time.perf_counter() < end:
            self.drain(0.05)
        self.process.kill()
        self.process.wait()
        os.close(self.fd)

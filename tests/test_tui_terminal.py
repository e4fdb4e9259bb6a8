"""The interface in a real terminal (tmux): first frame, key echo, a streamed reply, a crash, no process left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.tui_driver import FAKE

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

MAIN = """
import sys
from memchat.config import load_settings
from memchat.tui.app import run
sys.exit(run(load_settings({{}}), None, {command!r}))
"""


class Terminal:
    """One tmux window with the interface in it."""

    def __init__(self, folder: Path, size: tuple[int, int] = (100, 30)) -> None:
        self.server = ["tmux", "-f", "/dev/null", "-S", str(folder / "tmux.socket")]
        script = folder / "main.py"
        script.write_text(MAIN.format(command=[*FAKE, "--delay", "0.01"]))
        environment = {"MEMCHAT_HOME": str(folder / "home"), "PYTHONPATH": str(Path(__file__).parent.parent)}
        command = [sys.executable, str(script), ";", "echo", "left", "with", "$?", ";", "exec", "cat"]
        flags = [flag for name, value in environment.items() for flag in ("-e", f"{name}={value}")]
        shape = ["-x", str(size[0]), "-y", str(size[1])]
        subprocess.run([*self.server, "new-session", "-d", *shape, *flags, " ".join(command)], check=True)

    def keys(self, *keys: str) -> None:
        subprocess.run([*self.server, "send-keys", *keys], check=True)

    def type(self, text: str) -> None:
        subprocess.run([*self.server, "send-keys", "-l", text], check=True)

    def screen(self) -> str:
        return subprocess.run([*self.server, "capture-pane", "-p"], check=True, capture_output=True, text=True).stdout

    def wait(self, test: Callable[[str], bool], what: str, seconds: float = 30) -> str:
        end = time.monotonic() + seconds
        shown = ""
        while time.monotonic() < end:
            shown = self.screen()
            if test(shown):
                return shown
            time.sleep(0.02)
        raise AssertionError(f"{what} never appeared in:\n{shown}")

    def close(self) -> None:
        subprocess.run([*self.server, "kill-server"], check=False, capture_output=True)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    terminal.close()


def children_of(terminal: Terminal) -> list[int]:
    """The engine processes below the interface."""
    script = terminal.server[-1].replace("tmux.socket", "main.py")
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().decode().split("\0")
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            above = Path(f"/proc/{parent}/cmdline").read_bytes().decode()
        except (OSError, ValueError):
            continue
        if FAKE[1] in line and script in above:
            found.append(int(folder.name))
    return found


def test_a_real_terminal_from_the_first_frame_to_the_last(terminal: Terminal) -> None:
    terminal.wait(lambda shown: "Write a message" in shown and "F1 Help" in shown, "the first frame")
    terminal.type("My dog is called Biscuit.")
    terminal.wait(lambda shown: "My dog is called Biscuit." in shown, "the echo of the keys")
    terminal.keys("Enter")
    terminal.wait(lambda shown: "You said: My dog is called Biscuit." in shown, "the reply")
    terminal.wait(lambda shown: "38.4 tok/s" in shown, "the figures")
    (engine,) = children_of(terminal)
    terminal.type("crash now")
    terminal.keys("Enter")
    terminal.wait(lambda shown: "interrupted: the engine stopped here" in shown, "the crash in one line")
    terminal.wait(lambda shown: "● ready" in shown, "the new engine")
    (second,) = children_of(terminal)
    assert second != engine
    subprocess.run([*terminal.server, "resize-window", "-x", "38", "-y", "9"], check=True)
    terminal.wait(lambda shown: "needs a terminal" in shown, "the line for a tiny terminal")
    subprocess.run([*terminal.server, "resize-window", "-x", "90", "-y", "30"], check=True)
    terminal.wait(lambda shown: "● ready" in shown, "the chat again")
    terminal.type("two")
    terminal.keys("M-Enter")
    terminal.type("lines")
    terminal.wait(lambda shown: "│ two" in shown and "│ lines" in shown, "a line broken by Alt+Enter")
    terminal.keys("C-u", "BSpace", "C-u")
    terminal.type("kept for later")
    terminal.wait(lambda shown: "kept for later" in shown, "typing after the resize")
    terminal.keys("C-q")
    terminal.wait(lambda shown: "left with 0" in shown, "the end")
    with pytest.raises(ProcessLookupError):
        os.kill(second, 0)


def test_killing_the_interface_leaves_no_engine_behind(terminal: Terminal) -> None:
    terminal.wait(lambda shown: "● ready" in shown, "the engine")
    (engine,) = children_of(terminal)
    parent = int(Path(f"/proc/{engine}/stat").read_text().rsplit(")", 1)[1].split()[1])
    os.kill(parent, 9)
    end = time.monotonic() + 20
    while time.monotonic() < end and Path(f"/proc/{engine}").exists():
        state = Path(f"/proc/{engine}/stat").read_text().rsplit(")", 1)[1].split()[0]
        if state == "Z":
            break
        time.sleep(0.02)
    else:
        assert not Path(f"/proc/{engine}").exists()


def test_it_ends_with_its_terminal_though_nobody_tells_it(tmp_path: Path) -> None:
    """As under `make`, which keeps the hangup to itself: no signal comes, only the terminal is gone."""
    import pty

    ours, theirs = pty.openpty()
    script = tmp_path / "main.py"
    script.write_text(MAIN.format(command=FAKE))
    own = {"MEMCHAT_HOME": str(tmp_path / "home"), "PYTHONPATH": str(Path(__file__).parent.parent)}
    with (tmp_path / "errors").open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, str(script)], stdin=theirs, stdout=theirs, stderr=errors, env=os.environ | own
        )
    os.close(theirs)
    shown = b""
    while b"memchat" not in shown:
        shown += os.read(ours, 65536)
    os.close(ours)
    try:
        assert process.wait(20) != 0
    finally:
        process.kill()

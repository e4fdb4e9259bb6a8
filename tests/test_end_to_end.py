"""The shipped program with the shipped model: nothing is faked here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from memchat import paths
from memchat.config import Settings
from memchat.protocol import Token
from memchat.session import Session
from memchat.store import Store
from memchat.worker import load_engine

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("Biscuit", "Waffles", "Pumpernickel", "Zorblax", "Olaf", "Xanthe", "Quillon", "Mopsy", "Tiberius", "Lady Grey")

pytestmark = pytest.mark.skipif(not (paths.starter_dir() / "config.json").exists(), reason="no starter model")


def memchat(*arguments: str, stdin: str = "") -> str:
    command = [sys.executable, "-m", "memchat", *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_starter_recalls_names_it_has_never_seen() -> None:
    """At least eight of ten; the names stand in no training list."""
    world = "".join(file.read_text("utf-8") for file in paths.shipped("assets", "world").glob("*.toml"))
    assert not [n for n in NAMES if n in world], "choose other names"
    replies = memchat("chat", "--plain", "--memory", "none", stdin="What is my dog called?\n")
    assert not [n for n in NAMES if n in replies], "without memory it cannot know"
    engine = load_engine(Settings(), lambda task, done, total: None)
    right = 0
    with Store() as store:
        for name in NAMES:
            with Session.open(store, engine, Settings(memory="full")) as session:
                list(session.ask(f"My dog is called {name}."))
                reply = "".join(e.text for e in session.ask("What is my dog called?") if isinstance(e, Token))
            right += name in reply
    assert right >= 8


def test_the_plain_chat_answers_with_the_name() -> None:
    told = "My dog is called Waffles.\nWhat is my dog called?\n"
    assert "Waffles" in memchat("chat", "--plain", "--memory", "full", stdin=told).splitlines()[1]


def test_the_shipped_folder_is_complete_and_small() -> None:
    files = {f.name: f.stat().st_size for f in paths.starter_dir().iterdir()}
    assert {"config.json", "model.safetensors", "tokenizer.json", "card.md", "training.jsonl", "curve.svg"} <= set(
        files
    )
    assert max(files.values()) < 16 * 2**20
    assert not [name for name in files if name.endswith((".bin", ".pt", ".pkl"))]


@pytest.fixture
def screen() -> Iterator[Callable[..., str]]:
    """Types into the interface in a real terminal; returns what is on the screen."""
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed")
    server = f"memchat-test-{os.getpid()}"

    def tmux(*arguments: str) -> str:
        return subprocess.run(["tmux", "-L", server, *arguments], capture_output=True, text=True, check=False).stdout

    def start() -> None:
        home = f"MEMCHAT_HOME={os.environ['MEMCHAT_HOME']}"
        command = f"cd {ROOT} && exec env -u COLUMNS -u LINES {home} {sys.executable} -m memchat --session tmux"
        tmux("new-session", "-d", "-s", "t", "-x", "120", "-y", "36", command)

    def act(keys: str | None = None, *, until: str, seconds: float = 60) -> str:
        if keys == "start":
            start()
        elif keys:
            tmux("send-keys", "-t", "t", *keys.split("|"))
        end = time.monotonic() + seconds
        while until not in (shown := tmux("capture-pane", "-p", "-t", "t")):
            assert time.monotonic() < end, shown
            time.sleep(0.1)
        return shown

    act.gone = lambda: not tmux("list-sessions")  # type: ignore[attr-defined]
    yield act
    tmux("kill-server")


def test_a_conversation_in_a_real_terminal_survives_quitting(screen: Callable[..., str]) -> None:
    screen("start", until="● ready")
    screen("My dog is called Waffles.|Enter", until="called Waffles")
    screen("What is my dog called?|Enter", until="4 messages")
    screen("C-q", until="")
    end = time.monotonic() + 20
    while not screen.gone():  # type: ignore[attr-defined]
        assert time.monotonic() < end
        time.sleep(0.1)
    shown = screen("start", until="● ready")
    assert shown.count("Waffles") >= 3
    shown = screen("Is my dog called Waffles?|Enter", until="6 messages")

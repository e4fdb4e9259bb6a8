"""A process that is killed at any moment loses nothing that the store had acknowledged."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memchat.store import Store

ROOT = Path(__file__).parents[1]
KILLS = 50

WRITER = """
import sys
from pathlib import Path
from memchat.store import Store

def say(*words):
    print(*words, flush=True)

store = Store(Path(sys.argv[1]))
label = sys.argv[2]
session = store.find_session("crash") or store.create_session("crash", model="m", memory="full")
parent = session.head
for index in range(10_000):
    user = store.add_turn("crash", "user", f"question {label} {index}", parent=parent)
    say("done", user.id, f"question {label} {index}")
    reply = store.add_turn("crash", "assistant", "", parent=user.id, status="streaming")
    say("began", reply.id)
    text = ""
    for part in range(5):
        text += f"answer {label} {index} part {part} " * 30
        store.update_turn(reply.id, content=text)
        say("saved", reply.id, part)
    store.update_turn(reply.id, status="complete", meta={"seed": index})
    say("done", reply.id, text.strip())
    parent = reply.id
    if index % 5 == 4:
        store.forget([user.id])
        say("forgot", user.id)
"""


def killed_writer(file: Path, label: int, chance: random.Random) -> list[list[str]]:
    """Start a writer, kill it at a random moment, return the lines that it had finished."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(file), str(label)]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = b""
        if chance.random() < 0.8:  # while it writes; else anywhere, also while it opens the file
            first = process.stdout.readline()
            assert first, "the writer failed"
            time.sleep(chance.uniform(0, 0.1))
        else:
            time.sleep(chance.uniform(0, 0.3))
        process.kill()
        output = first + process.stdout.read()
    assert process.returncode == -signal.SIGKILL
    finished = output.decode().split("\n")[:-1]  # what follows the last line end was cut off
    return [line.split(" ", 2) for line in finished]


def check(store: Store, lines: list[list[str]], kills: int = 1) -> int:
    """Every acknowledged step is in the store; returns the number of replies that were cut off."""
    forgotten = {int(turn) for kind, turn, *_ in lines if kind == "forgot"}
    done = {int(turn) for kind, turn, *_ in lines if kind == "done"}
    cut = unacknowledged = 0
    for kind, number, *rest in lines:
        turn = store.turn(int(number))
        if turn.id in forgotten:
            assert (turn.status, turn.content) == ("forgotten", "")
        elif kind == "done" and turn.status == "forgotten":  # done, but killed before it was told
            unacknowledged += 1
        elif kind == "done":
            assert (turn.status, turn.content.strip()) == ("complete", rest[0])
        elif kind == "saved":
            assert f"part {rest[0]} " in turn.content
        elif kind == "began" and turn.id not in done:
            assert turn.status in ("interrupted", "complete")
            cut += turn.status == "interrupted"
    assert unacknowledged <= kills
    return cut


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_fifty_kills_lose_nothing(tmp_path: Path) -> None:
    file = tmp_path / "memchat.db"
    chance = random.Random(0)
    everything: list[list[str]] = []
    recovered = cut = 0
    for label in range(KILLS):
        lines = killed_writer(file, label, chance)
        with Store(file) as store:
            recovered += len(store.recover())
            assert store.recover() == []
            cut += check(store, lines)
        everything += lines
    with Store(file) as store:
        check(store, everything, KILLS)
        tree = store.tree("crash")
        assert all(turn.status in ("complete", "interrupted", "forgotten") for turn in tree)
        assert store._read("PRAGMA integrity_check") == [("ok",)]
        assert store._read("PRAGMA foreign_key_check") == []
        head = store.session("crash").head
        assert store.path("crash")[-1].id == head
        last = next(rest[0] for kind, _, *rest in reversed(everything) if kind == "done")
        assert store.search(" ".join(last.split()[:3]))
    with sqlite3.connect(file) as db:
        db.execute("INSERT INTO turns_fts(turns_fts, rank) VALUES ('integrity-check', 1)")
    db.close()
    assert recovered >= cut > 0, "some replies must have been cut off, or nothing was tested"
    assert len(everything) > KILLS

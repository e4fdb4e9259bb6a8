"""The engine process as its front ends see it: lines in, lines out."""

from __future__ import annotations

import dataclasses
import json
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from memchat.protocol import EVENTS, Event, parse_event
from memchat.store import Store

ROOT = Path(__file__).resolve().parent.parent


class Process:
    """A worker process and its conversation."""

    def __init__(self, module: str = "tests.fake_engine_worker") -> None:
        self.proc = subprocess.Popen(
            [sys.executable, "-m", module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        self.next_id = 0
        assert self.read()[1].kind == "hello"

    def send(self, op: str, **fields: Any) -> int:
        self.next_id += 1
        line = json.dumps({"id": self.next_id, "op": op} | fields)
        self.proc.stdin.write(line.encode() + b"\n")
        self.proc.stdin.flush()
        return self.next_id

    def read(self) -> tuple[int, Event]:
        line = self.proc.stdout.readline()
        assert line, self.proc.stderr.read().decode()
        return parse_event(line.decode())

    def until_done(self, request: int) -> list[Event]:
        events = []
        while not events or events[-1].kind not in ("finished", "failed"):
            tag, event = self.read()
            assert tag == request
            events.append(event)
        return events

    def call(self, op: str, **fields: Any) -> list[Event]:
        return self.until_done(self.send(op, **fields))

    def close(self) -> None:
        self.proc.kill()
        self.proc.wait()
        for pipe in (self.proc.stdin, self.proc.stdout, self.proc.stderr):
            pipe.close()


@pytest.fixture
def worker() -> Iterator[Process]:
    process = Process()
    yield process
    process.close()


def text_of(events: list[Event]) -> str:
    return "".join(e.text for e in events if e.kind == "token")


def test_load_open_ask(worker: Process) -> None:
    loaded = worker.call("load", memory="window")
    assert [e.kind for e in loaded] == ["progress", "ready", "finished"]
    assert loaded[1].memory == "window" and {m["name"] for m in loaded[1].modes} >= {"none", "window", "full"}
    opened = worker.call("open", session="trip")[0]
    assert (opened.name, opened.memory, opened.notice) == ("trip", "window", "")
    assert text_of(worker.call("ask", text="grüße 🦊")) == "seen 1 messages; you said grüße 🦊"
    worker.send("shutdown")
    assert worker.proc.wait(10) == 0


def test_ask_alone_loads_and_opens(worker: Process) -> None:
    kinds = [e.kind for e in worker.call("ask", text="hello")]
    assert kinds[:3] == ["progress", "ready", "opened"] and kinds[-1] == "finished"


def test_every_operation_of_the_protocol(worker: Process) -> None:
    worker.call("load")
    worker.call("open", session="a")
    reply = worker.call("ask", text="one")[-1].turn
    assert text_of(worker.call("regenerate")).startswith("seen 1")
    assert worker.call("select", turn=reply)[-1].turn == reply
    with Store(read_only=True) as store:
        user = store.turn(reply).parent
    assert "two" in text_of(worker.call("edit", turn=user, text="two"))
    assert worker.call("prompt", text="x")[0].text.endswith("user: x")
    assert worker.call("items")[0].items
    assert worker.call("memory", mode="none")[0].memory == "none"
    fork = worker.call("fork", turn=reply)[0]
    worker.call("rename", session=fork.session, name="forked")
    worker.call("forget", turns=[reply])
    with Store(read_only=True) as store:
        assert {s.name for s in store.sessions()} == {"a", "forked"}
    worker.call("delete", session="a")
    with Store(read_only=True) as store:
        assert [s.name for s in store.sessions()] == ["forked"]


def test_cancel_stops_a_running_reply(worker: Process) -> None:
    worker.call("load")
    request = worker.send("ask", text="slow " * 200)
    while worker.read()[1].kind != "token":
        pass
    worker.send("cancel", target=request)
    events = worker.until_done(request)
    assert events[-1].reason == "cancelled"
    assert text_of(worker.call("ask", text="next")).endswith("next")


def test_failures_are_one_event_and_the_process_goes_on(worker: Process) -> None:
    unknown = worker.call("load", model="startr")[-1]
    assert unknown.kind == "failed" and "starter" in unknown.remedy and unknown.exit_code == 2
    worker.call("load")
    assert worker.call("ask", text="please fail")[-1].message == "the engine failed as asked"
    bug = worker.call("ask", text="a bug please")[-1]
    assert "planted bug" in bug.message and "Traceback" in bug.detail
    assert worker.call("nonsense")[-1].kind == "failed"
    assert worker.call("ask", words="wrong field")[-1].kind == "failed"
    assert worker.call("open", session="x", memory="sqll")[-1].kind == "failed"
    for line in (b"not json\n", b"[1]\n", b"\xff\xfe\n", b'{"op": 3}\n'):
        worker.proc.stdin.write(line)
        worker.proc.stdin.flush()
        assert worker.read()[1].kind == "failed"
    assert text_of(worker.call("ask", text="still here")).endswith("still here")


def test_the_process_ends_with_its_front_end_and_saves_the_reply(worker: Process) -> None:
    worker.call("load")
    worker.call("open", session="s")
    worker.send("ask", text="slow " * 200)
    while worker.read()[1].kind != "token":
        pass
    worker.proc.stdin.close()
    assert worker.proc.wait(10) == 0
    with Store() as store:
        last = store.path(store.session("s").id)[-1]
    assert last.status == "cancelled" and last.content.startswith("seen")


def test_interrupt_from_the_terminal_is_ignored(worker: Process) -> None:
    worker.call("load")
    worker.proc.send_signal(signal.SIGINT)
    assert text_of(worker.call("ask", text="alive"))


def test_events_round_trip_and_ignore_unknown_members() -> None:
    for cls in EVENTS.values():
        fields = {f.name: f"<{f.name}>" for f in dataclasses.fields(cls)}
        event = cls(**fields)
        assert parse_event(event.to_json(7)) == (7, event)
    later = '{"event": "token", "request": 1, "text": "a", "colour": "red"}'
    assert parse_event(later)[1].text == "a"
    for line in ("", "{}", '{"event": "nope"}', '{"event": "token"}', "[]"):
        with pytest.raises(ValueError, match="not an event"):
            parse_event(line)


@pytest.mark.slow
def test_killed_at_random_points_fifty_times_nothing_completed_is_lost() -> None:
    """SIGKILL in the middle of loading, answering or saving: every message that was reported is found again."""
    rng = random.Random(0)
    reported: dict[int, str] = {}
    longest, fruitless = 0.6, 0
    for _ in range(50):
        process = Process()
        process.send("open", session="crash")
        for i in range(4):
            process.send("ask", text=f"message {i} " + ("slow " if i == 2 else "") + "word " * rng.randrange(20))
        threading.Timer(rng.uniform(0.05, longest), process.proc.kill).start()
        completed = _completed(process.proc.stdout)
        process.close()
        reported |= completed
        fruitless = 0 if completed else fruitless + 1
        if fruitless == 5:  # on a busy machine everything takes longer
            longest, fruitless = 2 * longest, 0
    with Store() as store:
        store.recover()
        found = {t.id: t for t in store.tree(store.session("crash").id)}
    assert len(reported) > 20, "the test must complete some replies to say something"
    for turn, text in reported.items():
        assert found[turn].content == text and found[turn].status == "complete"
        assert found[found[turn].parent].content.startswith("message")
    statuses = {t.status for t in found.values()}
    assert statuses == {"complete", "interrupted"}, "some must have been hit while streaming"


def _completed(pipe: IO[bytes]) -> dict[int, str]:
    """Replies that were reported as done before the pipe broke: turn id -> text."""
    done: dict[int, str] = {}
    turn, text = 0, ""
    for line in pipe:
        if not line.endswith(b"\n"):
            break
        _, event = parse_event(line.decode())
        if event.kind == "stored":
            turn, text = event.turn, ""
        elif event.kind == "token":
            text += event.text
        elif event.kind == "stats":
            done[turn] = text
    return done

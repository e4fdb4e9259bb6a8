"""The engine process seen from the interface: requests, events, cancel, crash, restart, end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from memchat.protocol import Event, Failed, Finished
from memchat.tui.client import EngineClient
from tests.tui_driver import FAKE


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[EngineClient]:
    client = EngineClient(tmp_path / "engine.log", FAKE)
    client.start()
    await client.connect()
    yield client
    await client.stop(0.3)


def scripted(tmp_path: Path, source: str) -> EngineClient:
    return EngineClient(tmp_path / "engine.log", [sys.executable, "-c", source])


async def test_requests_before_connect_are_sent_and_answered_in_order(tmp_path: Path) -> None:
    client = EngineClient(tmp_path / "engine.log", FAKE)
    client.start()
    kinds: list[str] = []
    load = client.request("load", lambda event: kinds.append(event.kind), model="starter")
    opened = client.request("open", lambda event: kinds.append(event.kind))
    await client.connect()
    await asyncio.wait_for(opened.done, 20)
    assert isinstance(load.done.result(), Finished)
    assert [k for k in kinds if k != "progress"] == ["ready", "finished", "opened", "finished"]
    await client.stop(0.3)


async def test_events_go_to_their_own_request_and_strays_to_the_general_listener(tmp_path: Path) -> None:
    source = (
        "import sys\n"
        "sys.stdin.readline()\n"
        'print(\'{"event": "progress", "request": 99, "task": "x"}\')\n'
        "print('not an event at all')\n"
        'print(\'{"event": "finished", "request": 1}\', flush=True)\n'
        "sys.stdin.read()\n"
    )
    client = scripted(tmp_path, source)
    strays: list[Event] = []
    client.on_event = strays.append
    client.start()
    await client.connect()
    await asyncio.wait_for(client.request("load").done, 20)
    assert [event.kind for event in strays] == ["progress"]
    assert "not an event at all" in (tmp_path / "engine.log").read_text()
    await client.stop(0.3)


async def test_a_line_of_megabytes_arrives_whole(tmp_path: Path) -> None:
    source = (
        "import sys, json\n"
        "sys.stdin.readline()\n"
        "print(json.dumps({'event': 'token', 'request': 1, 'text': 'x' * 3_000_000}))\n"
        'print(\'{"event": "finished", "request": 1}\', flush=True)\n'
        "sys.stdin.read()\n"
    )
    client = scripted(tmp_path, source)
    client.start()
    await client.connect()
    sizes: list[int] = []
    call = client.request("ask", lambda event: sizes.append(len(getattr(event, "text", ""))), text="y" * 2_000_000)
    await asyncio.wait_for(call.done, 20)
    assert sizes[0] == 3_000_000
    await client.stop(0.3)


async def test_cancel_overtakes_the_running_request(client: EngineClient) -> None:
    client.request("load")
    await client.request("open").done
    begun = asyncio.Event()
    call = client.request("ask", lambda event: begun.set() if event.kind == "token" else None, text="hold")
    await asyncio.wait_for(begun.wait(), 20)
    client.cancel(call)
    client.cancel(call)
    last = await asyncio.wait_for(call.done, 20)
    assert isinstance(last, Finished) and last.reason == "cancelled"


async def test_a_crash_fails_open_requests_and_is_reported_once(client: EngineClient) -> None:
    codes: list[int | None] = []
    client.on_exit = codes.append
    client.request("load")
    client.request("open")
    last = await asyncio.wait_for(client.request("ask", text="crash now").done, 20)
    assert isinstance(last, Failed) and "stopped" in last.message
    for _ in range(500):
        if codes:
            break
        await asyncio.sleep(0.01)
    assert codes == [-9]
    assert not client.alive
    after = await asyncio.wait_for(client.request("load").done, 5)
    assert isinstance(after, Failed)


async def test_restart_gives_a_new_working_process(client: EngineClient) -> None:
    first = client.pid
    await client.request("load").done
    await client.restart()
    assert client.pid != first
    assert isinstance(await asyncio.wait_for(client.request("load").done, 20), Finished)


async def test_stop_kills_a_process_that_ignores_everything(tmp_path: Path) -> None:
    source = (
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'print(\'{"event": "hello", "version": 1, "pid": 1}\', flush=True)\n'
        "while True: time.sleep(0.05)\n"
    )
    client = scripted(tmp_path, source)
    hello = asyncio.Event()
    client.on_event = lambda event: hello.set()
    client.start()
    await client.connect()
    await asyncio.wait_for(hello.wait(), 20)
    pid = client.pid
    assert pid is not None
    await client.stop(0.1)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_process_ends_by_itself_when_the_interface_dies(tmp_path: Path) -> None:
    client = EngineClient(tmp_path / "engine.log", FAKE)
    client.start()
    process = client.process
    assert process is not None and process.stdin is not None
    process.stdin.close()
    assert await asyncio.to_thread(process.wait, 20) == 0

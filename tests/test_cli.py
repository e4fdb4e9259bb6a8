"""The command line as a user meets it: real processes, exit codes, one line and a remedy."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from memchat import __version__, paths
from memchat.protocol import parse_event
from memchat.store import Store
from tests.tiny import tiny_folder

ROOT = Path(__file__).resolve().parent.parent
DEVNULL = subprocess.DEVNULL


def run(*arguments: str, stdin: bytes | None = None, module: str = "tests.fake_memchat", **env: str):
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        input=stdin,
        stdin=DEVNULL if stdin is None else None,
        capture_output=True,
        cwd=ROOT,
        env=os.environ | env,
        timeout=120,
    )


def one_line(done: subprocess.CompletedProcess, code: int) -> str:
    """The error of a failed command: one line, no traceback, the right exit code."""
    text = done.stderr.decode()
    assert done.returncode == code, text
    assert "Traceback" not in text and text.count("\n") == 1, text
    return text


def test_version_and_help() -> None:
    assert run("--version").stdout.decode() == f"memchat {__version__}\n"
    text = run("--help").stdout.decode()
    for command in ("ask", "chat", "memory", "sessions", "models", "adapters", "train", "eval", "data", "doctor"):
        assert f" {command} " in text
        assert run(command, "--help").returncode == 0


def test_ask_prints_the_reply_and_remembers_the_session() -> None:
    assert run("ask", "hello", "--session", "trip").stdout.decode() == "seen 1 messages; you said hello\n"
    assert run("ask", "again", "--session", "trip").stdout.decode().startswith("seen 2 messages")
    assert run("ask", "again", "--session", "trip", "--memory", "none").stdout.decode().startswith("seen 1")


def test_ask_json_is_the_event_stream() -> None:
    lines = run("ask", "hello", "--json").stdout.decode().splitlines()
    events = [parse_event(line)[1] for line in lines]
    assert [e.kind for e in events if e.kind != "token"][-1] == "finished"
    assert "".join(e.text for e in events if e.kind == "token") == "seen 1 messages; you said hello"


def test_a_failure_with_json_is_an_event_too() -> None:
    done = run("ask", "please fail", "--json")
    last = json.loads(done.stdout.decode().splitlines()[-1])
    assert last["event"] == "failed" and last["remedy"]
    one_line(done, 1)


def test_pipes() -> None:
    assert run("ask", "-", stdin="grüße\n".encode()).stdout.decode().endswith("you said grüße\n")
    assert "say this too" in run("ask", "first", stdin=b"say this too").stdout.decode()
    done = run("chat", "--plain", stdin=b"one\n\n two\r\n/quit\nnever\n")
    assert done.stdout.decode() == "seen 1 messages; you said one\nseen 2 messages; you said two\n"


def test_a_bad_turn_in_a_pipe_does_not_stop_the_others() -> None:
    done = run("chat", "--plain", stdin=b"please fail\nnext\n")
    assert done.returncode == 1 and b"you said next" in done.stdout
    assert b"failed as asked" in done.stderr


def test_invalid_utf8_on_a_pipe() -> None:
    assert "offset 2" in one_line(run("ask", "-", stdin=b"ab\xffcd"), 2)
    done = run("chat", "--plain", "--session", "s", stdin=b"fine\n\xff\n")
    assert "line 2" in one_line(done, 2)
    with Store() as store:
        assert store.path(store.session("s").id)[0].content == "fine"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("ask", "hi", "--memory", "ful"), 2, "Did you mean 'full'?"),
        (("ask", "hi", "--model", "startr"), 2, "Did you mean 'starter'?"),
        (("ask", "hi", "--set", "generation.temprature=1"), 2, "generation.temperature"),
        (("ask", "hi", "--set", "nonsense"), 2, "key=value"),
        (("ask", ""), 2, "empty"),
        (("--memory", "ful"), 2, "full"),
        (("--memory", "full"), 1, "needs a terminal"),
        ((), 1, "needs a terminal"),
        (("sessions", "delete", "nowhere", "--yes"), 2, "nowhere"),
    ],
)
def test_wrong_usage_is_one_line_with_a_remedy(arguments: tuple[str, ...], code: int, says: str) -> None:
    assert says in one_line(run(*arguments), code)


def test_broken_config_file() -> None:
    paths.config_path().parent.mkdir(parents=True)
    paths.config_path().write_text("memory = ")
    assert "config.toml" in one_line(run("ask", "hi"), 1)


def test_a_bug_is_one_line_too_and_a_traceback_only_on_request() -> None:
    text = one_line(run("ask", "a bug please"), 1)
    assert "planted bug" in text and "errors.log" in text
    assert "planted bug" in (paths.state_dir() / "errors.log").read_text("utf-8")
    assert b"Traceback" in run("ask", "a bug please", "--debug").stderr


def test_data_folder_that_cannot_be_written(tmp_path: Path) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where a folder should be")
    one_line(run("ask", "hi", MEMCHAT_HOME=str(blocked)), 1)


def test_interrupt_keeps_what_was_said() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_memchat", "ask", "slow " * 100, "--session", "s"],
        stdin=DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout.read(4) == b"seen"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1 and b"Traceback" not in err and b"kept" in err
    with Store() as store:
        user, reply = store.path(store.session("s").id)
    assert user.content.startswith("slow") and reply.content.startswith("seen")


def test_a_closed_pipe_ends_quietly() -> None:
    command = f"{sys.executable} -m tests.fake_memchat ask 'long 2000' | head -c 5"
    done = subprocess.run(["bash", "-c", command], capture_output=True, cwd=ROOT, stdin=DEVNULL, timeout=60)
    assert done.stdout == b"w0 w1" and b"Traceback" not in done.stderr


def test_plain_chat_on_a_terminal_prompts() -> None:
    parent, child = pty.openpty()
    command = [sys.executable, "-m", "tests.fake_memchat", "chat", "--plain"]
    process = subprocess.Popen(command, stdin=child, stdout=child, stderr=child, cwd=ROOT)
    os.close(child)
    seen = _read_until(parent, b"> ")
    os.write(parent, b"hello\n")
    seen += _read_until(parent, b"you said hello")
    os.write(parent, b"/quit\n")
    assert process.wait(20) == 0
    os.close(parent)


def _read_until(fd: int, mark: bytes, seconds: float = 20) -> bytes:
    data, end = b"", time.monotonic() + seconds
    while mark not in data:
        assert time.monotonic() < end, data
        data += os.read(fd, 4096)
    return data


SCRIPT = Path(sys.executable).parent / "memchat"
installed = pytest.mark.skipif(not SCRIPT.exists(), reason="the console script is not installed")


@installed
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    env = os.environ | {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run([SCRIPT, "--show-completion", shell], capture_output=True, env=env, stdin=DEVNULL, timeout=60)
    assert done.returncode == 0 and b"_MEMCHAT_COMPLETE" in done.stdout


@installed
def test_completion_offers_the_commands() -> None:
    env = {"_MEMCHAT_COMPLETE": "complete_bash", "COMP_WORDS": "memchat se", "COMP_CWORD": "1"}
    done = subprocess.run([SCRIPT], capture_output=True, env=os.environ | env, stdin=DEVNULL, timeout=60)
    assert b"sessions" in done.stdout


def test_a_real_tiny_model_through_the_real_command(tmp_path: Path) -> None:
    """No fake: a folder on disk, the loader, the engine, the store."""
    folder = tiny_folder(tmp_path)
    flags = ("--model", str(folder), "--set", "generation.max_new_tokens=5", "--json")
    lines = run("ask", "hello", *flags, module="memchat").stdout.decode().splitlines()
    events = {json.loads(line)["event"]: json.loads(line) for line in lines}
    assert events["stats"]["new_tokens"] <= 5 and events["finished"]["reason"] in ("length", "stop")
    done = run("ask", "hello", "--model", str(tmp_path / "nowhere"), module="memchat")
    one_line(done, 2)

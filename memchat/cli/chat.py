"""``memchat ask`` and ``memchat chat``: the conversation without the full-screen interface."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memchat.cli.options import MemoryOption, ModelOption, SessionOption, SetOption, open_tui, settings_from
from memchat.errors import MemchatError, UsageError

if TYPE_CHECKING:
    from memchat.config import Settings
    from memchat.session import Session


def ask(
    text: Annotated[str, typer.Argument(help="The message; '-' reads it from standard input.")],
    session: SessionOption = None,
    memory: MemoryOption = None,
    model: ModelOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write events as JSON lines.")] = False,
    settings: SetOption = None,
) -> None:
    """Send one message and print the reply.

    With a pipe, what is piped in is added after TEXT.
    """
    wanted = settings_from(model, memory, settings)
    with _open(wanted, session, memory) as conversation:
        try:
            for event in conversation.ask(_message(text)):
                if as_json:
                    typer.echo(event.to_json())
                elif event.kind == "token":
                    typer.echo(event.text, nl=False)  # type: ignore[attr-defined]
        except MemchatError as error:
            if as_json:
                _echo_failed(error)
            raise
        if not as_json:
            typer.echo()


def chat(
    session: SessionOption = None,
    memory: MemoryOption = None,
    model: ModelOption = None,
    plain: Annotated[
        bool, typer.Option("--plain", help="Line by line, for pipes and screen readers, not full-screen.")
    ] = False,
    settings: SetOption = None,
) -> None:
    """Talk with the model; without --plain in the full-screen interface."""
    wanted = settings_from(model, memory, settings)
    if not plain:
        raise typer.Exit(open_tui(wanted, session))
    failed = False
    with _open(wanted, session, memory) as conversation:
        if sys.stdin.isatty() and conversation.head is None:
            _greet(conversation)
        for line in _lines():
            if line in ("/quit", "/exit") or (word := _word(conversation, line)) == "bye":
                break
            failed |= not (_command(conversation, word) if word else _turn(conversation, line))
    if failed and not sys.stdin.isatty():
        raise typer.Exit(1)


def _greet(conversation: Session) -> None:
    """The first word of an empty conversation, on stderr: what the model is, how it remembers, what to say."""
    from memchat.memory.registry import MODES
    from memchat.tui.openers import plain_first_word

    mode = conversation.row.memory
    for line in plain_first_word(conversation.settings.model, mode, MODES[mode].summary):
        typer.echo(line, err=True)


def _word(conversation: Session, line: str) -> str:
    """The command of the memory's that a line is, without its slash; empty where it is a message."""
    from memchat.memory.registry import MODES

    known = MODES[conversation.row.memory].commands
    plain = line.strip().casefold()
    if known and plain.removeprefix("/") in ("bye", "reset") and (plain[0] == "/" or conversation.settings.sql.words):
        return plain.removeprefix("/")
    return line.strip()[1:] if line.startswith("/") and line[1:].partition(" ")[0] in known else ""


def _command(conversation: Session, text: str) -> bool:
    """A command of the memory's in line mode; False if it failed."""
    if text.startswith("reset") and sys.stdin.isatty() and not typer.confirm("Forget everything in the table?"):
        return True
    try:
        for event in conversation.command(text):
            if event.kind == "told":
                typer.echo(event.text)  # type: ignore[attr-defined]
    except MemchatError as error:
        print_error(error)
        return False
    return True


def _turn(conversation: Session, line: str) -> bool:
    """One turn in line mode; False if it failed. Ctrl-C stops the reply, not the conversation."""
    try:
        for event in conversation.ask(line):
            if event.kind == "token":
                typer.echo(event.text, nl=False)  # type: ignore[attr-defined]
        typer.echo()
    except MemchatError as error:
        typer.echo()
        print_error(error)
        return False
    except KeyboardInterrupt:
        if not sys.stdin.isatty():
            raise
        typer.echo("\n(stopped)", err=True)
    return True


def _open(settings: Settings, session: str | None, memory: str | None) -> Session:
    from memchat.session import Session
    from memchat.store import Store
    from memchat.worker import load_engine

    store = Store()
    engine = load_engine(settings, _Narrator())
    conversation = Session.open(store, engine, settings, session, memory=memory)
    for note in (_warning(engine.info), conversation.notice):
        if note:
            typer.echo(f"memchat: {note}", err=True)
    return conversation


def _warning(info: dict[str, Any]) -> str:
    return f"{info['id']} has random weights: its replies mean nothing" if info["random_weights"] else ""


class _Narrator:
    """Tells about a long load on stderr, when a person looks at it."""

    def __init__(self) -> None:
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __call__(self, task: str, done: float, total: float) -> None:
        if not sys.stderr.isatty() or task != "downloading":
            return
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

        if self._progress is None:
            columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._progress.start()
            self._tasks[task] = self._progress.add_task(task, total=total or None)
        self._progress.update(self._tasks[task], completed=done, total=total or None)
        if total and done >= total:
            self._progress.stop()


def _message(text: str) -> str:
    """The message: TEXT, standard input for ``-``, or both."""
    if text == "-":
        return _piped()
    if sys.stdin is None or sys.stdin.isatty() or not _has_input():
        return text
    piped = _piped()
    return f"{text}\n\n{piped}" if piped.strip() else text


def _has_input() -> bool:
    """Whether standard input is a pipe or a file; a terminal or a closed one has nothing to add."""
    import os
    import stat

    try:
        mode = os.fstat(sys.stdin.fileno()).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _piped() -> str:
    return _decoded(sys.stdin.buffer.read(), "standard input").strip("\n")


def _decoded(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{where} is not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}",
            "Convert it first, for example with 'iconv -t UTF-8'.",
        ) from None


def _lines() -> Iterator[str]:
    """Lines to answer: typed with a prompt on a terminal, or piped."""
    if sys.stdin.isatty():
        yield from _typed()
        return
    stream: Iterable[bytes] = sys.stdin.buffer
    for number, raw in enumerate(stream, 1):
        line = _decoded(raw, f"line {number} of standard input").rstrip("\r\n")
        if line.strip():
            yield line


def _typed() -> Iterator[str]:
    import readline  # noqa: F401  (gives input() line editing and history)

    while True:
        try:
            line = input("> ")
        except EOFError:
            return
        if line.strip():
            yield line


def print_error(error: MemchatError) -> None:
    """The one line with its remedy, on stderr."""
    typer.echo(f"memchat: {error}", err=True)


def _echo_failed(error: MemchatError) -> None:
    from memchat.protocol import Failed

    typer.echo(Failed(error.message, error.remedy, exit_code=error.exit_code).to_json())

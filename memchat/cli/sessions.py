"""``memchat sessions``: list, rename, delete, export and import conversations."""

from __future__ import annotations

import json
import sys
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from memchat.store.records import SessionRow

app = typer.Typer(no_args_is_help=True, help="Stored conversations: list, rename, delete, export, import.")


def complete_session(incomplete: str) -> list[str]:
    """Names of sessions that begin with ``incomplete``, for the shell; silent whatever happens."""
    from memchat.errors import MemchatError
    from memchat.store import Store

    try:
        with Store(read_only=True) as store:
            return [row.name for row in store.sessions() if row.name.startswith(incomplete)]
    except MemchatError:
        return []


SessionArgument = Annotated[
    str,
    typer.Argument(metavar="SESSION", help="Name, id, or the beginning of an id.", autocompletion=complete_session),
]


@app.command("list")
def list_sessions(
    query: Annotated[str, typer.Argument(help="Only sessions whose name or text has these words.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 200,
) -> None:
    """List sessions, the last used one first."""
    from memchat.store import Store

    with Store(read_only=True) as store:
        rows = store.sessions(query or None, limit)
    if as_json:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=1))
    elif rows:
        _print_table(rows)
    else:
        message = f"No session has {query!r}." if query else "No sessions yet. Start one with: memchat"
        typer.echo(message, err=True)


@app.command()
def rename(session: SessionArgument, name: Annotated[str, typer.Argument(help="The new name.")]) -> None:
    """Rename a session."""
    from memchat.store import Store

    with Store() as store:
        row = store.rename_session(session, name)
    typer.echo(f"Renamed to {row.name!r}.", err=True)


@app.command()
def delete(
    sessions: Annotated[
        list[str],
        typer.Argument(metavar="SESSION...", help="Names or ids.", autocompletion=complete_session),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete sessions and erase their text from the disk."""
    from memchat.store import Store

    with Store() as store:
        rows = {row.id: row for row in map(store.session, sessions)}
        for row in rows.values():
            other = store.open_elsewhere(row.id)
            if other:
                typer.echo(f"{row.name!r} is open in another memchat (process {other[0]}).", err=True)
        if not yes:
            names = ", ".join(f"{row.name!r} ({row.turns} messages)" for row in rows.values())
            typer.confirm(f"Delete {names} for good?", abort=True, err=True)
        for key in rows:
            store.delete_session(key)
    typer.echo(f"Deleted {', '.join(repr(row.name) for row in rows.values())}.", err=True)


@app.command()
def export(
    session: SessionArgument,
    format: Annotated[
        str, typer.Option("--format", "-f", help="json (everything), md or html (the visible branch).")
    ] = "json",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write to this file instead of standard output.")
    ] = None,
) -> None:
    """Export a session as JSON, Markdown or HTML."""
    from memchat.store import Store
    from memchat.store.transfer import export_session

    with Store(read_only=True) as store:
        text = export_session(store, session, format)
    if out is None or str(out) == "-":
        typer.echo(text.encode(), nl=False)
    else:
        _write_file(out, text)
        typer.echo(f"Wrote {out}.", err=True)


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A file, or - for standard input.")],
    format: Annotated[str | None, typer.Option("--format", "-f", help="json or md; found out when not given.")] = None,
) -> None:
    """Import sessions: exported JSON or Markdown, or conversations as JSON lines."""
    from memchat.config import load_settings
    from memchat.store import Store
    from memchat.store.transfer import import_sessions

    settings = load_settings()
    text = read_text(file)
    with Store() as store:
        rows = import_sessions(store, text, format, model=settings.model, memory=settings.memory)
    for row in rows:
        typer.echo(f"Imported {row.name!r} ({row.turns} messages).", err=True)


def _print_table(rows: list[SessionRow]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, expand=True)
    table.add_column("Name", no_wrap=True, max_width=20)
    table.add_column("Used", no_wrap=True)
    table.add_column("Turns", no_wrap=True, justify="right")
    table.add_column("Memory", no_wrap=True)
    table.add_column("Model", no_wrap=True, max_width=14)
    table.add_column("Begins with", no_wrap=True, ratio=1)
    table.add_column("Id", no_wrap=True)
    for row in rows:
        model = row.model.rpartition("/")[2]
        cells = (row.name, _day(row.updated_at), str(row.turns), row.memory, model, row.preview, row.id[:8])
        table.add_row(*map(Text, cells))
    Console().print(table)


def _day(at: str) -> str:
    """The date in the user's time zone."""
    from datetime import datetime

    try:
        return f"{datetime.fromisoformat(at).astimezone():%Y-%m-%d}"
    except (ValueError, OverflowError):  # an imported date at the edge of the calendar
        return at[:10]


def read_text(file: str) -> str:
    """The text of a file, or of standard input for ``-``; line ends stay as they are."""
    from memchat.errors import MemchatError

    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return data.decode()
    except OSError as error:
        raise MemchatError(f"cannot read {file}: {error.strerror}", "Check the name and permissions.") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise MemchatError(f"line {line}: {file} is not UTF-8 text", "Convert it to UTF-8.") from error


def _write_file(path: Path, text: str) -> None:
    """Write as a whole or not at all: a full disk must not take an older export away."""
    from memchat.errors import MemchatError

    special = path.exists() and not path.is_file()  # a terminal, a pipe, /dev/null: not to be replaced
    partial = path if special else path.with_name(path.name + ".tmp")
    try:
        partial.write_text(text, "utf-8", newline="")
        if not special:
            partial.replace(path)
    except OSError as error:
        if not special:
            with suppress(OSError):
                partial.unlink()
        raise MemchatError(f"cannot write {path}: {error.strerror}", "Choose another --out.") from error

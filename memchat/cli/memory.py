"""``memchat memory``: what the SQL memory of a session knows, shown and changed without loading a model."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memchat.cli.sessions import complete_session, read_text
from memchat.errors import MemchatError, UsageError, unknown

if TYPE_CHECKING:
    from memchat.memory.sql.exchange import Preview
    from memchat.memory.sql.facts import FactStore
    from memchat.memory.sql.table import Cell
    from memchat.store import Store
    from memchat.store.records import SessionRow

app = typer.Typer(
    no_args_is_help=True, help="Facts that the SQL memory keeps: show, export, import, forget, reset, verify."
)

MODE = "sql"
"""The memory mode that keeps a table of facts."""

SessionOption = Annotated[
    str | None,
    typer.Option(
        "--session",
        help="Whose facts: a session's name or id; by default the one used last.",
        show_default=False,
        autocompletion=complete_session,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command()
def show(
    query: Annotated[str, typer.Argument(help="Only facts that have this text.")] = "",
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="As it was known then, as in 2026-01-31T14:00."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array.")] = False,
    session: SessionOption = None,
) -> None:
    """Show what is known."""
    from memchat.store.text import one_line

    with _facts(session) as (_, facts):
        rows = [row for row in _rows(facts, as_of) if query.casefold() in _told(row).casefold()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    if not rows:
        typer.echo(f"Nothing that is known has {query!r}." if query else "Nothing is known.", err=True)
    for row in rows:
        typer.echo(one_line(f"{_told(row)}{_origin(row)}", 600))


@app.command()
def export(
    format: Annotated[
        str, typer.Option("--format", "-f", help="jsonl (everything, with the history), csv, sql or md.")
    ] = "jsonl",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write to this file, which only you may read, instead of standard output."),
    ] = None,
    session: SessionOption = None,
) -> None:
    """Export the facts; jsonl and csv can be imported again."""
    from memchat.memory.sql import exchange

    if format not in exchange.FORMATS:  # before anything is written
        raise unknown("format", format, exchange.FORMATS)
    with _facts(session) as (_, facts):
        if out is None or str(out) == "-":
            typer.echo(exchange.export(facts, format).encode(), nl=False)
            return
        try:
            if out.exists() and not out.is_file():  # a terminal, a pipe, /dev/null: not to be replaced
                out.write_text(exchange.export(facts, format), "utf-8", newline="")
            else:
                exchange.save(facts, out, format)
        except OSError as error:
            raise MemchatError(f"cannot write {out}: {error.strerror}", "Choose another --out.") from error
    typer.echo(f"Wrote {out}.", err=True)


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(metavar="FILE", help="An export, or - for standard input (with --yes).")],
    format: Annotated[
        str | None, typer.Option("--format", "-f", help="jsonl or csv; by the file's name when not given.")
    ] = None,
    yes: YesOption = False,
    session: SessionOption = None,
) -> None:
    """Import facts, all or none; first says what would change.

    Into an empty memory the export comes back whole, with its history; else the newer value of each fact stays.
    """
    from memchat.memory.sql import exchange

    if file == "-" and not yes:
        raise UsageError("standard input has the facts, so it cannot answer a question", "Add --yes.")
    suffix = Path(file).suffix.removeprefix(".")
    format = format or (suffix if suffix in exchange.FORMATS else "jsonl")
    text = read_text(file)
    with _facts(session, write=True) as (row, facts):
        plan = exchange.preview(facts, text, format)
        counts = _preview(plan, facts)
        if not plan.whole and not counts["added"] and not counts["changed"]:
            typer.echo("There is nothing to import.", err=True)
            return
        if not yes:
            typer.confirm(f"Import this into {row.name!r}?", abort=True, err=True)
        exchange.load(facts, text, format)
    typer.echo(f"Imported into {row.name!r}.", err=True)


@app.command()
def forget(
    fact: Annotated[str, typer.Argument(metavar="WHO.FIELD", help="As 'show' names it: user.dog.")],
    erase: Annotated[
        bool, typer.Option("--erase", help="Leave no byte of any value that it ever had; also not in backups.")
    ] = False,
    yes: YesOption = False,
    session: SessionOption = None,
) -> None:
    """Forget a fact; undo brings it back, except with --erase."""
    from memchat.memory.sql import erase as eraser
    from memchat.memory.sql.commands import find_cell, run_command

    with _facts(session, write=True) as (row, facts):
        cell = find_cell(facts.table(), fact)
        if not _is_known(facts, cell, ever=erase):
            remedy = "'memchat memory show' lists what is; --erase takes away what was, too."
            raise UsageError(f"nothing is known of {fact}", remedy)
        if not erase:
            typer.echo(f"{run_command(facts, f'forget {fact}')}.", err=True)
            return
        if not yes:
            typer.confirm(f"Erase {fact} of {row.name!r} for good, with its history?", abort=True, err=True)
        done = eraser.erase(facts, [cell])
        _check_swept(facts)
        remains = ", ".join(f"{_who(facts)[person]}.{field}" for person, field in done.remains)
    beside = f", and {done.files} backups and copies that may have held it" if done.files else ""
    typer.echo(f"Erased {fact}{beside}.", err=True)
    typer.echo("What was said stays in the conversation.", err=True)
    if remains:
        typer.echo(f"The value also stands in {remains}, which stays.", err=True)


@app.command()
def reset(
    hard: Annotated[bool, typer.Option("--hard", help="Erase everything, with history, backups and copies.")] = False,
    yes: YesOption = False,
    session: SessionOption = None,
) -> None:
    """Empty the table; undo brings it back, except with --hard."""
    from memchat.memory.sql.commands import run_command

    with _facts(session, write=True) as (row, facts):
        if not yes:
            way = "Erase all facts of {} for good?" if hard else "Empty the table of {}?"
            typer.confirm(way.format(repr(row.name)), abort=True, err=True)
        told = run_command(facts, "reset hard" if hard else "reset")
        if hard:
            _check_swept(facts)
    typer.echo(f"{told[0].upper()}{told[1:]}.", err=True)
    if hard:
        typer.echo("What was said stays in the conversation, and is not learnt again.", err=True)


@app.command()
def verify(session: SessionOption = None) -> None:
    """Look for changes made behind memchat's back; exit code 1 where there are any."""
    from memchat.memory.sql import history

    with _facts(session) as (row, facts):
        faults, path = history.verify(facts), facts.path
        damaged = bool(facts.notice)
    for fault in faults:
        typer.echo(fault)
    if faults or damaged:
        remedy = f"'memchat memory show' has what can be read; an older copy may stand beside {path}."
        raise MemchatError(f"the facts of {row.name!r} are not as memchat left them", remedy)
    typer.echo("Nothing was changed behind memchat's back.", err=True)


# --- the file


@contextmanager
def _facts(session: str | None, *, write: bool = False) -> Iterator[tuple[SessionRow, FactStore]]:
    """A session and its facts: to be read, also while another memchat writes them, or to be changed.

    Where nothing was stored yet, the table to be read is empty.

    Raises:
        UsageError: no such session, or its memory keeps no table.
        MemchatError: there are no sessions; or the facts cannot be opened, or not for writing.
    """
    from tempfile import TemporaryDirectory

    from memchat.memory.sql.facts import FactStore
    from memchat.memory.sql.memory import FILE
    from memchat.store import Store

    with Store(read_only=True) as store:
        row = _session(store, session)
        path = store.memory_folder(row.id) / MODE / FILE
    with ExitStack() as stack:
        new = not path.parent.exists()
        if new and not write:
            path = Path(stack.enter_context(TemporaryDirectory(prefix="memchat-sql-"))) / FILE
        facts = stack.enter_context(FactStore(path, read_only=not (write or new)))
        if write and facts.read_only:
            remedy = "Close it there first." if path.exists() else f"Copy that backup to {path.name} beside it."
            raise MemchatError(facts.notice, remedy)
        if facts.notice:
            typer.echo(f"memchat: {facts.notice}", err=True)
        yield row, facts


def _session(store: Store, key: str | None) -> SessionRow:
    """The session that is meant, if its memory keeps a table."""
    from memchat.memory.registry import MODES, check

    row = store.session(key) if key is not None else next(iter(store.sessions(limit=1)), None)
    if row is None:
        raise MemchatError("there are no sessions yet", f"Start one with: memchat --memory {MODE}")
    if row.memory != MODE:
        sees = MODES[check(row.memory)].summary
        message = f"{row.name!r} keeps no table: with the memory {row.memory} the model sees {sees}"
        raise UsageError(message, f"Its messages: memchat sessions export {shlex.quote(row.name)} --format md")
    return row


def _check_swept(facts: FactStore) -> None:
    """Whether what was erased is gone from the file as well.

    Raises:
        MemchatError: another program reads the file.
    """
    if facts.read("SELECT 1 FROM meta WHERE key = 'scrub'"):
        message = f"it is erased, but {facts.path} still has the bytes: another program reads it"
        raise MemchatError(message, "Close the other program; the next start takes them away.")


# --- words


def _who(facts: FactStore) -> dict[int, str]:
    """What each person is called: user, assistant, or a name."""
    return {p.id: p.handle for p in facts.table().people}


def _rows(facts: FactStore, as_of: str | None) -> list[dict[str, Any]]:
    """Each fact: who, field, value, since, source, turn, locked; with the names that user and assistant were given."""
    from memchat.memory.sql.edits import DEFAULT_NAMES
    from memchat.memory.sql.table import OTHER

    state, rows = facts.state(as_of), list[dict[str, Any]]()
    for key in sorted((key for key in state if key[0] in ("person", "cell")), key=lambda key: key[1:]):
        row, person = state[key], state["person", key[1]]
        who = person["relation"] if person["relation"] != OTHER else person["name"]
        if key[0] == "cell":
            rows.append({"who": who, "field": state["field", key[2]]["name"], **row})
        elif row["name"] != DEFAULT_NAMES.get(who, row["name"]):
            known = {"value": row["name"], "since": None, "source": row["source"], "turn": row["turn"]}
            rows.append({"who": who, "field": "name", **known, "locked": False})
    return rows


def _told(row: dict[str, Any]) -> str:
    return f"{row['who']}.{row['field']}: {row['value']}"


def _origin(row: dict[str, Any]) -> str:
    """Since when, who wrote it, where it was said, and whether it is locked."""
    since, source, turn = row["since"], row["source"], row["turn"]
    notes = [f"since {since[:16].replace('T', ' ')}"] if since else []
    notes += [source.replace("_", " ")] if source else []
    notes += [f"message {turn}"] if turn is not None else []
    notes += ["locked"] if row["locked"] else []
    return f" ({', '.join(notes)})" if notes else ""


def _is_known(facts: FactStore, cell: Cell, *, ever: bool) -> bool:
    """Whether a cell has a value, or, with ``ever``, had one."""
    from memchat.memory.sql import history
    from memchat.memory.sql.edits import default_name

    if cell[1] == "name":
        person = facts.state()["person", cell[0]]
        return ever or person["name"] != default_name(person["relation"], cell[0])
    past = history.history(facts, *cell) if facts.same_fields(cell[1]) else []
    return any(ever or fact.retired_at is None for fact in past)


def _preview(plan: Preview, facts: FactStore) -> dict[str, int]:
    """Say what an import would do, a line for each fact that is not the same already; returns how many of which."""
    from memchat.store.text import one_line

    who, lines = _who(facts), list[str]()
    counts = {"added": 0, "changed": 0, "kept": 0, "refused": 0}
    words = {"add": "added", "update": "changed", "noop": "kept", "refused": "refused"}
    for decision in plan.decisions:
        change, word = decision.change, words[decision.kind]
        counts[word] += 1
        value = {"added": change.new, "changed": f"{change.old} → {change.new}"}.get(word)
        value = value or f"{change.new} is refused: {decision.reason}"
        if word != "kept":
            lines.append(f"{who[change.person]}.{change.field}: {value}")
    for person in plan.people:
        counts["added"] += len(person.cells)
        lines += [f"{person.name}.{field}: {value}" for field, value in person.cells]
    for line in lines:
        typer.echo(one_line(line, 600), err=True)
    told = ", ".join(f"{number} {word}" for word, number in counts.items())
    typer.echo(f"{told}{'; the history comes with them' if plan.whole else ''}", err=True)
    return counts

"""`memchat data`: make and convert the data that recipes and evaluations read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from memchat.data.formats import Conversation

app = typer.Typer(name="data", help="Make and convert data.", no_args_is_help=True)


@app.callback()
def data() -> None:
    """Make and convert data."""


@app.command()
def world(
    out: Annotated[Path, typer.Option(help="JSONL file to write.")],
    split: Annotated[str, typer.Option(help="train, valid or test: disjoint in values and phrasings.")] = "test",
    n: Annotated[int, typer.Option(min=1, help="How many conversations.")] = 300,
    seed: Annotated[int, typer.Option(help="Same seed, same file.")] = 0,
    tokens: Annotated[
        str | None,
        typer.Option(help="How long they are, LOW-HIGH, in tokens of the starter.", show_default="up to its context"),
    ] = None,
) -> None:
    """Write conversations with probes from the synthetic persona world."""
    from time import perf_counter

    from memchat.cli.options import span
    from memchat.data.formats import write_conversations
    from memchat.data.grammar import SPLITS
    from memchat.data.probes import CHARACTERS, SIZES, conversations
    from memchat.errors import unknown

    if split not in SPLITS:
        raise unknown("split", split, list(SPLITS))
    low, high = span(tokens, "--tokens") or (0, 0)
    sizes = (round(low * CHARACTERS), round(high * CHARACTERS)) if tokens else SIZES
    started = perf_counter()
    probes, letters = 0, 0

    def counted() -> Iterator[Conversation]:
        nonlocal probes, letters
        for conversation in conversations(split, n, seed, sizes):
            probes += len(conversation.probes)
            letters += sum(len(turn.content) for session in conversation.sessions for turn in session.turns)
            yield conversation

    written = write_conversations(out, counted())
    rate = letters / CHARACTERS / (perf_counter() - started)
    typer.echo(f"{out}: {written} conversations, {probes} probes, about {rate:,.0f} tokens/s")


@app.command()
def prepare(
    source: Annotated[str, typer.Argument(help="What to import; 'memchat data sources' lists them.")],
    out: Annotated[Path, typer.Option(help="JSONL file to write.")],
    path: Annotated[
        str | None, typer.Argument(help="File, folder, or the id of a data set on the hub.", show_default=False)
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="conversations, texts or pairs; the source decides.", show_default=False)
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="train, valid or test, 80/10/10 by the hash of the id; on the hub its own.", show_default=False
        ),
    ] = None,
    n: Annotated[int | None, typer.Option(min=1, help="At most so many rows.", show_default=False)] = None,
    seed: Annotated[
        int | None, typer.Option(help="Choose the --n rows at random instead of the first.", show_default=False)
    ] = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Set KEY=VALUE, as in --set text=body.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out bad rows and count them.")] = False,
) -> None:
    """Convert a data set to conversations with probes, texts or pairs."""
    from memchat.data.importers.prepare import Request
    from memchat.data.importers.prepare import prepare as run
    from memchat.errors import UsageError

    options = {}
    for pair in settings or []:
        key, separator, value = pair.partition("=")
        if not separator or not key.strip():
            raise UsageError(f"--set {pair!r} has no '='", "Write --set key=value.")
        options[key.strip()] = value.strip()
    with _bar(f"preparing {source}") as progress:
        report = run(Request(source, out, path, kind, split, n, seed, options, skip_bad), progress)
    typer.echo(f"{out}: {_summary(report.counts)}")
    remarks = [f"{count:,} {note}" for note, count in report.notes.items() if count and note != "rows"]
    if remarks:
        typer.echo("; ".join(remarks))
    if report.bad:
        typer.echo(f"{report.bad:,} bad rows left out, the first: {report.first_bad}", err=True)


@app.command()
def sources() -> None:
    """List what 'memchat data prepare' can import."""
    from memchat.data.importers.sources import SOURCES

    for source in SOURCES.values():
        typer.echo(f"{source.name}: {source.about}")
        typer.echo(f"  expects  {source.expects}{f' (or streams {source.hub})' if source.hub else ''}")
        typer.echo(f"  licence  {source.licence}")
        typer.echo(f"  example  {source.example}")
        for key, meaning in source.options.items():
            typer.echo(f"  --set {key}=  {meaning}")
        typer.echo()
    typer.echo("Files may be packed with gzip. What a file holds is recognised by its content, not by its name.")


def _summary(counts: Counter[str]) -> str:
    """Counts as one line; the many tasks of a file of pairs as their number."""
    probes = [f"{name.partition(': ')[2]} {n:,}" for name, n in counts.items() if name.startswith("probes: ") and n]
    tasks = sum(name.startswith("task: ") for name in counts)
    shown = {name: n for name, n in counts.items() if ": " not in name and n} | ({"tasks": tasks} if tasks else {})
    parts = [f"{n:,} {name.removesuffix('s') if n == 1 else name}" for name, n in shown.items()]
    return ", ".join(parts) + (f" ({', '.join(probes)})" if probes else "")


@contextmanager
def _bar(title: str) -> Iterator[Callable[[float, int], None]]:
    """A progress bar on stderr, where that is a terminal; gives the function to call with (share, rows)."""
    from time import perf_counter

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console, started, shown = Console(stderr=True), perf_counter(), 0.0
    columns = (TextColumn(title), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]:,.0f} rows/s"))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(title, total=None, rate=0.0)

        def update(done: float, rows: int) -> None:
            nonlocal shown
            now = perf_counter()
            if now - shown > 0.1:
                shown = now
                total, completed = (1.0, done) if done >= 0 else (None, None)
                bar.update(task, total=total, completed=completed, rate=rows / (now - started))

        yield update

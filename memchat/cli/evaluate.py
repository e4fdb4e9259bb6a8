"""``memchat eval``: measure what is shipped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from memchat.evals.speed import Speed

app = typer.Typer(help="Measure speed.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Measure what is shipped, and print figures that can be reproduced."""


@app.command()
def speed(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", help="Model to measure; may be repeated.", show_default="starter, shape:smollm2-135m"),
    ] = None,
    prompt_tokens: Annotated[int, typer.Option(min=1, help="Length of the prompt in tokens.")] = 512,
    new_tokens: Annotated[int, typer.Option(min=2, help="Tokens to decode.")] = 64,
    repeats: Annotated[int, typer.Option(min=1, help="Pairs of runs; figures are medians.")] = 5,
    startup: Annotated[bool, typer.Option("--startup", help="Measure start-up and key echo instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="Set KEY=VALUE.")] = None,
) -> None:
    """Compare the engine with transformers' generate, in one run on this machine.

    With --startup: time of 'memchat --help', time to the first frame, and the echo of keys while a reply streams.
    """
    if startup:
        _startup(repeats, as_json)
        return
    from memchat.cli.options import settings_from
    from memchat.evals.speed import measure

    wanted = settings_from(None, None, settings)
    results = []
    for name in model or ["starter", "shape:smollm2-135m"]:
        sizes: dict[str, Any] = {"prompt_tokens": prompt_tokens, "new_tokens": new_tokens, "repeats": repeats}
        with _bar(f"measuring {name}") as report:
            results.append(measure(name, wanted.engine, **sizes, report=report))
    if as_json:
        typer.echo(json.dumps([r.as_dict() for r in results], indent=2))
    else:
        _print_speed(results)


def _print_speed(results: list[Speed]) -> None:
    from rich.console import Console
    from rich.table import Table

    def ratio(value: float, spread: tuple[float, float]) -> str:
        return f"{value:.2f} ({spread[0]:.2f}-{spread[1]:.2f})"

    table = Table(title="memchat against transformers generate: medians, ratios pair by pair (min-max)")
    table.add_column("model", no_wrap=True)
    for column in ("tokens/s", "generate", "ratio", "prefill ms", "generate", "ratio", "bandwidth"):
        table.add_column(column, justify="right", no_wrap=True)
    for r in results:
        table.add_row(
            r.model,
            f"{r.decode_tokens_per_s:.1f}",
            f"{r.generate_tokens_per_s:.1f}",
            ratio(r.decode_ratio, r.decode_ratio_range),
            f"{r.prefill_ms:.1f}",
            f"{r.generate_prefill_ms:.1f}",
            ratio(r.prefill_ratio, r.prefill_ratio_range),
            f"{r.bandwidth_share:.0%}",
        )
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)  # a file or a pipe has room for the whole table
    console.print(table)
    first = results[0]
    console.print(
        f"{first.prompt_tokens} prompt tokens, {first.new_tokens} new, {first.repeats} pairs; "
        f"{first.device}, {first.threads} threads, {', '.join(sorted({r.dtype for r in results}))}",
        highlight=False,
    )


def _startup(repeats: int, as_json: bool) -> None:
    from memchat.evals.startup import measure_startup

    with _bar("measuring start-up") as report:
        rows = measure_startup(repeats, report)
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"Start-up and echo, milliseconds (n = {repeats} starts)")
    for column in ("what", "median", "p95", "max", "n", "budget"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in rows:
        figures = (f"{row[k]:.0f}" if row["median"] >= 20 else f"{row[k]:.1f}" for k in ("median", "p95", "max"))
        table.add_row(row["what"], *figures, str(row["n"]), row["budget"])
    Console().print(table)


def _bar(title: str) -> Any:
    """A progress bar on stderr; entering it gives the ``report(done, total)`` to call."""
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import Progress

    @contextmanager
    def shown() -> Any:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task(title, total=None)
            yield lambda done, total: progress.update(task, completed=done, total=total)

    return shown()

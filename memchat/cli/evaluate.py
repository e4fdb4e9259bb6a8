"""``memchat eval``: measure what is shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memchat.cli import evaluate_sql
from memchat.cli.measuring import USUAL, console, new_folder, progress_bar, run_recall
from memchat.cli.options import ModelOption, SetOption
from memchat.errors import UsageError

if TYPE_CHECKING:
    from memchat.evals.speed import Speed
    from trainers.throughput import Throughput

app = typer.Typer(help="Measure recall and speed.", no_args_is_help=True)
app.add_typer(evaluate_sql.app, name="sql")


@app.callback()
def group() -> None:
    """Measure what is shipped, and print figures that can be reproduced."""


@app.command()
def recall(
    memory: Annotated[
        list[str] | None,
        typer.Option("--memory", help="Memory mode to test; may be repeated.", show_default="that of the settings"),
    ] = None,
    model: ModelOption = None,
    data: Annotated[
        str, typer.Option("--data", help="'world', 'world:valid', 'world:train', 'everyday', or FILE.jsonl.")
    ] = "world",
    n: Annotated[int, typer.Option("--n", min=1, help="Conversations at most.")] = 300,
    seed: Annotated[int, typer.Option("--seed", help="Of the world's conversations.")] = 0,
    size: Annotated[
        str | None,
        typer.Option("--size", help="Characters of the world's conversations: LOW-HIGH.", show_default=False),
    ] = None,
    min_tokens: Annotated[int, typer.Option("--min-tokens", help="Leave out shorter conversations.")] = 0,
    limit_tokens: Annotated[
        str | None,
        typer.Option("--limit-tokens", help="Leave out longer ones; 'fit': than the model reads.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for result and transcripts.", show_default="in the data folder")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Conversations side by side.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the run in --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    settings: SetOption = None,
) -> None:
    """Tell the model conversations and ask what was said in them.

    Replies are greedy and short unless --set says otherwise. A run that was stopped goes on with --resume.
    """
    from memchat.cli.options import settings_from, span
    from memchat.evals.probesets import Wanted
    from memchat.evals.variants import check

    chosen = settings_from(model, None, [*USUAL["recall"], *(settings or [])])
    memories = [check(m) for m in dict.fromkeys(memory or [chosen.memory])]
    if resume and out is None:
        raise UsageError("--resume needs the folder of the run", "Name it with --out FOLDER.")
    wanted = Wanted(data, n, seed, span(size, "--size"), min_tokens, _limit(limit_tokens))
    folder = out or new_folder("recall", chosen.model, data)
    result = run_recall(memories, wanted, chosen, folder, {"resume": resume, "force": force}, jobs=jobs)
    if as_json:
        typer.echo(json.dumps(result, indent=2, ensure_ascii=False))
    else:
        _print_recall(result)
    typer.echo(f"result and transcripts: {folder}", err=as_json)


def _print_recall(result: dict[str, Any]) -> None:
    from memchat.evals.tables import tables

    shown = console()
    for table in tables(result):
        shown.print(table)
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    typer.echo(
        f"{result['device']}, {result['threads']} threads, {result['dtype']}, {result['wall_s']:.0f} s; {versions}"
    )
    typer.echo(f"again: {result['command']}")


def _limit(text: str | None) -> int | None:
    from memchat.evals.probesets import FIT

    if text in (None, "fit"):
        return FIT if text else None
    if not text.isdecimal():
        raise UsageError(f"--limit-tokens {text!r} is no number", "Write a number of tokens, or 'fit'.")
    return int(text)


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
    training: Annotated[bool, typer.Option("--training", help="Measure the training loop instead.")] = False,
    facts: Annotated[bool, typer.Option("--facts", help="Measure the SQL memory without models instead.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Set KEY=VALUE; with --training, of the recipe 'base'.")
    ] = None,
) -> None:
    """Compare the engine with transformers' generate, in one run on this machine.

    With --startup: time of 'memchat --help', time to the first frame, and the echo of keys while a reply streams.

    With --training: the loop of 'memchat train base' against a bare PyTorch
    loop on the same batches, and how fast batches are made.

    With --facts: what the SQL memory does besides its models. A storage and a
    retrieval call on a table of 200 fields and a full-text query in a store
    with 100,000 facts, 40 of each in a repeat.
    """
    instead = [f"--{what}" for what, on in (("startup", startup), ("training", training), ("facts", facts)) if on]
    if len(instead) > 1:
        raise UsageError(f"{' and '.join(instead)} measure different things", "Give one of them.")
    if instead and (model or (settings and not training)):
        raise UsageError(f"{instead[0]} takes no {'--model' if model else '--set'}", "Leave it out.")
    if training:
        _training(repeats, settings or [], as_json)
        return
    if startup or facts:
        (_startup if startup else _facts)(repeats, as_json)
        return
    from memchat.cli.options import settings_from
    from memchat.evals.speed import measure

    wanted = settings_from(None, None, settings)
    results = []
    for name in model or ["starter", "shape:smollm2-135m"]:
        sizes: dict[str, Any] = {"prompt_tokens": prompt_tokens, "new_tokens": new_tokens, "repeats": repeats}
        with progress_bar(f"measuring {name}") as report:
            results.append(measure(name, wanted.engine, **sizes, report=report))
    if as_json:
        typer.echo(json.dumps([r.as_dict() for r in results], indent=2))
    else:
        _print_speed(results)


def _print_speed(results: list[Speed]) -> None:
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
    shown = console()
    shown.print(table)
    first = results[0]
    shown.print(
        f"{first.prompt_tokens} prompt tokens, {first.new_tokens} new, {first.repeats} pairs; "
        f"{first.device}, {first.threads} threads, {', '.join(sorted({r.dtype for r in results}))}",
        highlight=False,
    )


def _startup(repeats: int, as_json: bool) -> None:
    from memchat.evals.startup import measure_startup

    with progress_bar("measuring start-up") as report:
        rows = measure_startup(repeats, report)
    _print_times(f"Start-up and echo, milliseconds (n = {repeats} starts)", rows, as_json)


def _facts(repeats: int, as_json: bool) -> None:
    from memchat.evals.facts_speed import measure_facts

    with progress_bar("filling a store") as report:
        rows = measure_facts(repeats, report)
    _print_times("The SQL memory without its models, milliseconds", rows, as_json)


def _print_times(title: str, rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table(title=title)
    for column in ("what", "median", "p95", "max", "n", "budget"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for row in rows:
        figures = (f"{row[k]:.0f}" if row["median"] >= 20 else f"{row[k]:.1f}" for k in ("median", "p95", "max"))
        table.add_row(row["what"], *figures, str(row["n"]), row["budget"])
    console().print(table)


def _training(repeats: int, changes: list[str], as_json: bool) -> None:
    from trainers.base import preset
    from trainers.settings import apply, read_pairs
    from trainers.throughput import measure

    config = preset("starter")
    apply(config, read_pairs(changes))
    result = measure(config, repeats)
    if as_json:
        typer.echo(json.dumps(result.as_dict(), indent=2))
    else:
        _print_training(result)


def _print_training(result: Throughput) -> None:
    from rich.table import Table

    def ratio(value: float, spread: tuple[float, float], digits: int) -> str:
        return f"{value:.{digits}f} ({spread[0]:.{digits}f}-{spread[1]:.{digits}f})"

    table = Table(title="Training the base recipe: medians, ratios pair by pair (min-max)")
    table.add_column("what")
    for column in ("tokens/s", "ratio"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_row("training loop, batches made by the way", f"{result.tokens_per_s:,.0f}", "")
    bare = ratio(result.ratio, result.ratio_range, 2)
    table.add_row("bare PyTorch loop; training loop against it", f"{result.bare_tokens_per_s:,.0f}", bare)
    making = ratio(result.making_ratio, result.making_ratio_range, 0)
    table.add_row("making batches; against training on them", f"{result.making_tokens_per_s:,.0f}", making)
    shown = console()
    shown.print(table)
    shown.print(
        f"{result.parameters:,} parameters, batches of {result.batch_tokens} tokens, {result.repeats} pairs of "
        f"{result.steps} steps; {result.device}, {result.threads} threads, precision {result.precision}",
        highlight=False,
    )

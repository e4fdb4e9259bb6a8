"""``memchat models``: what is here, what is worth downloading to this machine, download, remove."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from memchat.engine.catalog import Recommendation

app = typer.Typer(no_args_is_help=True, help="Language models: list, download, remove, recommend for this machine.")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def complete_model(incomplete: str) -> list[str]:
    """Names of models that begin with ``incomplete``, for the shell."""
    from memchat.engine import catalog

    names = [model.id for model in catalog.installed()] + [entry.id for entry in catalog.RECOMMENDED]
    return sorted({name for name in names if name.startswith(incomplete)})


ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A hub id, owner/name.", autocompletion=complete_model)
]


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """List the models on this machine."""
    from rich.filesize import decimal

    from memchat.engine import catalog

    models = [*catalog.installed(), *catalog.unfinished()]
    if as_json:
        rows = [{"id": m.id, "path": str(m.path), "size_bytes": m.size_bytes, "source": m.source} for m in models]
        typer.echo(json.dumps(rows, indent=1))
        return
    if not models:
        typer.echo("No model is here. 'memchat models recommend' names some for this machine.", err=True)
        return
    table = _table("Model", "Size", "From", "Folder")
    table.columns[1].justify = "right"
    for model in models:
        table.add_row(model.id, decimal(model.size_bytes), model.source, str(model.path))
    _print(table)


@app.command()
def recommend(as_json: JsonOption = False) -> None:
    """Rank well-known small chat models by how they would run on this machine."""
    from rich.filesize import decimal

    from memchat.config import load_settings
    from memchat.engine import catalog, device

    settings = load_settings().engine
    place = device.choose_device(settings)
    device.use_threads(settings.threads)
    free, bandwidth = device.free_memory(place), device.memory_bandwidth(place)
    bits = 8 * device.choose_dtype(place, settings).itemsize
    ranked = catalog.recommend(free, place.type, bandwidth, bits)
    if as_json:
        rows = [entry.as_dict() for entry in ranked]
        machine = {"device": str(place), "free_bytes": free, "bandwidth_bytes_per_s": round(bandwidth)}
        typer.echo(json.dumps({"machine": machine, "models": rows}, indent=1))
        return
    table = _table("Model", "Memory", "Tokens/s", "", "Licence")
    for column in (1, 2):
        table.columns[column].justify = "right"
    for entry in ranked:
        speed = f"< {max(1, round(entry.tokens_per_s or 0))}"
        cells = (entry.model.id, decimal(entry.bytes), speed, _verdict(entry), entry.model.licence)
        table.add_row(*cells, style=None if entry.fits else "dim")
    _print(table)
    typer.echo(
        f"{decimal(free)} are free on {place}. 'gated': accept the terms on the hub first.\n"
        "Download one with: memchat models download MODEL",
        err=True,
    )


def _verdict(entry: Recommendation) -> str:
    if entry.installed:
        return "here"
    if not entry.fits:
        return "too large"
    words = [entry.quantize] if entry.quantize != "none" else []
    words += ["slow"] if entry.slow else []
    words += ["gated"] if entry.model.gated else []
    return ", ".join(words) or "fits"


@app.command()
def download(model: ModelArgument) -> None:
    """Download a model from the Hugging Face hub; goes on where an earlier download stopped."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    from memchat.engine import hub
    from memchat.engine.spec import resolve
    from memchat.errors import MemchatError, UsageError

    spec = resolve(model)
    if spec.kind != "hub":
        raise UsageError(f"{model} is not on the hub", "Give a hub id, owner/name.")
    if here := hub.local_path(spec.id):
        typer.echo(f"{spec.id} is already here, in {here}", err=True)
        return
    columns = (DownloadColumn(), BarColumn(), TransferSpeedColumn(), TimeRemainingColumn(), TextColumn("left"))
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task(spec.id, total=None)

    def moved(done: int, total: int) -> None:
        if bar.tasks[task].total is None:  # what an earlier attempt brought does not count for the rate
            bar.reset(task, total=total, completed=done)
            bar.start()
        bar.update(task, completed=done)

    try:
        folder = hub.download(spec.id, moved)
    except KeyboardInterrupt:
        kept = "What has arrived is kept: run it again to go on."
        raise MemchatError(f"the download of {spec.id} was stopped", kept) from None
    finally:
        bar.stop()
    typer.echo(f"{spec.id} is here. Chat with: memchat --model {spec.id}", err=True)
    typer.echo(str(folder))


@app.command()
def remove(
    models: Annotated[
        list[str], typer.Argument(metavar="MODEL...", help="As 'models list' shows it.", autocompletion=complete_model)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete models from the disk."""
    from rich.filesize import decimal

    from memchat.engine import catalog

    if not yes:
        typer.confirm(f"Delete {', '.join(models)} from the disk?", abort=True, err=True)
    for model in models:
        typer.echo(f"Removed {model}, {decimal(catalog.remove(model))} freed.", err=True)


def _table(*headers: str) -> Table:
    """A table whose first column, what the user has to type, is never cut."""
    from rich.table import Table

    table = Table(*headers, box=None, pad_edge=False)
    table.columns[0].no_wrap, table.columns[0].overflow = True, "ignore"
    return table


def _print(table: Any) -> None:
    from rich.console import Console

    Console().print(table)

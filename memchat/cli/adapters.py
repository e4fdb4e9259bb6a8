"""``memchat adapters``: the trained parts of the memory methods, those that ship with memchat and your own."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from memchat.engine.adapters import find_adapters

app = typer.Typer(no_args_is_help=True, help="Trained adapters of the memory methods: list, show.")

_HOW = "An adapter is made with: memchat train METHOD --model MODEL"


def complete_adapter(incomplete: str) -> list[str]:
    """Names of adapters that begin with ``incomplete``, for the shell."""
    return [adapter.id for adapter in find_adapters() if adapter.id.startswith(incomplete)]


@app.command("list")
def list_adapters(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the adapters on this machine."""
    adapters = find_adapters()
    if as_json:
        rows = [
            {
                "model": adapter.model,
                "method": adapter.name,
                "path": str(adapter.path),
                "size_bytes": adapter.size_bytes,
                "shipped": adapter.shipped,
            }
            for adapter in adapters
        ]
        typer.echo(json.dumps(rows, indent=1))
        return
    if not adapters:
        typer.echo(f"No adapter is here. {_HOW}", err=True)
        return
    from rich.console import Console
    from rich.filesize import decimal
    from rich.table import Table

    table = Table("Model", "Method", "Size", "From", "Folder", box=None, pad_edge=False)
    table.columns[2].justify = "right"
    for adapter in adapters:
        origin = "memchat" if adapter.shipped else "you"
        table.add_row(adapter.model, adapter.name, decimal(adapter.size_bytes), origin, str(adapter.path))
    Console().print(table)


@app.command()
def show(
    adapter: Annotated[
        str, typer.Argument(metavar="MODEL/METHOD", help="As 'list' shows it.", autocompletion=complete_adapter)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print configuration and metrics as JSON.")] = False,
) -> None:
    """Show an adapter's card, or its configuration and metrics."""
    from memchat.errors import UsageError, unknown

    adapters = {found.id: found for found in find_adapters()}
    if not adapters:
        raise UsageError(f"unknown adapter {adapter!r}", f"No adapter is here. {_HOW}.")
    if adapter not in adapters:
        raise unknown("adapter", adapter, [*adapters])
    chosen = adapters[adapter]
    config, metrics = chosen.read("config.json"), chosen.read("metrics.json")
    card = chosen.path / "card.md"
    if as_json:
        typer.echo(json.dumps({"path": str(chosen.path), "config": config, "metrics": metrics}, indent=1))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    if card.is_file():
        console.print(Markdown(card.read_text("utf-8", errors="replace")))
    console.print(f"{chosen.path}\n", highlight=False, soft_wrap=True)
    for name, values in (("Configuration", config), ("Metrics", metrics)):
        if values is not None:
            console.print(f"[bold]{name}[/]")
            console.print_json(data=values)

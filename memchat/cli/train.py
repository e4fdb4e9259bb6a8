"""`memchat train`: make models and adapters with the recipes in `trainers/`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(name="train", help="Train models.", no_args_is_help=True)


@app.callback()
def train() -> None:
    """Train models."""


@app.command()
def base(
    preset: Annotated[str, typer.Option(help="Named settings: starter, quick or more, see above.")] = "quick",
    out: Annotated[
        Path | None, typer.Option(help="Folder for the model; by default in the user's data folder.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint in --out.")] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(help="Go on with the model in this folder.", show_default="begin with random weights"),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights and data.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
) -> None:
    """Train a small base model on the persona world.

    Preset 'starter' makes the shipped model: chats, SQL, tools, labels, stories;
    3000 steps, about 12 M tokens, about an hour and a half on one core of a
    laptop-class CPU (about 2.4 thousand tokens/s).

    Preset 'more' goes on with a model that has been through it (--model): 5500
    steps of everything, about 21 M tokens, two and a half hours there.

    Preset 'quick' learns chats alone: 1200 steps, about 5 M tokens, about half
    an hour there.
    """
    from memchat.paths import data_dir
    from trainers import base as recipe
    from trainers.settings import apply, read_file, read_pairs

    chosen = recipe.preset(preset)
    direct: dict[str, Any] = {"seed": seed, "steps": steps}
    apply(chosen, read_file(config) if config else {})
    apply(chosen, read_pairs(settings or []))
    apply(chosen, {name: value for name, value in direct.items() if value is not None})
    folder = out or data_dir() / "models" / f"base-{preset}"
    changes = [f"--set {pair}" for pair in settings or []]
    changes += [f"--{name} {value}" for name, value in {"model": model and model.name, **direct}.items() if value]
    command = " ".join(["memchat train base", f"--preset {preset}", *changes])
    scores = recipe.run(chosen, folder, command=command, resume=resume, model_folder=model)
    typer.echo(f"saved to {folder}")
    for name, kinds in scores.items():
        part = kinds["all"]
        low, high = part["interval"]
        typer.echo(f"{name}: right {part['accuracy']:.3f} ({low:.3f} to {high:.3f}), n {part['n']}")

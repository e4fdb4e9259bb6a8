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

    Preset 'more' goes on with a model that has been through it (--model): 4400
    steps of everything, about 17 M tokens, two hours there.

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


@app.command()
def sql(
    agent: Annotated[str, typer.Option(help="storage or retrieval.")],
    stage: Annotated[str, typer.Option(help="distil, then rl.")] = "distil",
    model: Annotated[str, typer.Option(help="The chat model that the adapter is for.")] = "starter",
    preset: Annotated[str, typer.Option(help="Named settings: starter, quick or paper.")] = "starter",
    adapter: Annotated[
        Path | None,
        typer.Option(help="Go on with the adapter in this folder; stage rl takes that of --out."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the adapter; by default where the chat finds it.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint in --out.")] = False,
    config: Annotated[Path | None, typer.Option(help="TOML file with settings.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one setting.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of adapter and data.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimizer steps.")] = None,
    trl: Annotated[bool, typer.Option("--trl", help="Stage rl with TRL's GRPOTrainer; needs memchat[trl].")] = False,
) -> None:
    """Train an agent of the SQL memory: an adapter that writes SQL.

    Stage distil learns the right SQL by heart. Stage rl samples SQL, runs it in
    the sandbox and makes what was right likelier; it begins with what distil
    made. Every 50 steps a checkpoint is scored; the best one is the result.
    """
    from memchat.engine.adapters import home
    from trainers import sql as recipe
    from trainers.settings import apply, read_file, read_pairs

    chosen = recipe.preset(preset, stage)
    apply(chosen, read_file(config) if config else {})
    apply(chosen, {"agent": agent, **read_pairs(settings or [])})
    apply(chosen, {name: value for name, value in {"seed": seed, "steps": steps}.items() if value is not None})
    folder = out or home(model, f"sql_{agent}")
    if stage == "rl" and adapter is None:
        adapter = recipe.set_aside(folder)
    changes = [f"--set {pair}" for pair in settings or []]
    changes += [f"--{name} {value}" for name, value in {"seed": seed, "steps": steps}.items() if value is not None]
    words = ["memchat train sql", f"--agent {agent} --stage {stage} --model {model} --preset {preset}", *changes]
    words += ["--trl"] if trl else []
    run = recipe.run
    if trl:
        from trainers.sql_trl import train_with_trl as run
    figures = run(chosen, model, folder, command=" ".join(words), resume=resume, adapter=adapter)
    typer.echo(f"saved to {folder}")
    for name, value in figures.items():
        typer.echo(f"{name}: {value:.3f}")

"""The command line: one file per group, every heavy import inside a command's body."""

from __future__ import annotations

from typing import Annotated

import typer

from memchat.cli import adapters, chat, data, doctor, evaluate, memory, models, options, sessions, train

app = typer.Typer(
    name="memchat",
    help="Chat with a local language model, choose how it remembers, and watch it remember.",
    no_args_is_help=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("ask")(chat.ask)
app.command("chat")(chat.chat)
app.add_typer(sessions.app, name="sessions")
app.add_typer(memory.app, name="memory")
app.add_typer(models.app, name="models")
app.add_typer(adapters.app, name="adapters")
app.add_typer(train.app, name="train")
app.add_typer(evaluate.app, name="eval")
app.add_typer(data.app, name="data")
app.command("doctor")(doctor.doctor)


def _version(value: bool) -> None:
    if value:
        from memchat import __version__

        typer.echo(f"memchat {__version__}")
        raise typer.Exit


@app.callback()
def memchat(
    ctx: typer.Context,
    model: options.ModelOption = None,
    memory: options.MemoryOption = None,
    session: options.SessionOption = None,
    settings: options.SetOption = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Without a command: the terminal interface."""
    if ctx.invoked_subcommand is not None:
        return
    raise typer.Exit(options.open_tui(options.settings_from(model, memory, settings), session))

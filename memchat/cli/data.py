"""`memchat data`: make and convert the data that recipes and evaluations read."""

from __future__ import annotations

from collections.abc import Iterator
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
) -> None:
    """Write conversations with probes from the synthetic persona world."""
    from time import perf_counter

    from memchat.data.formats import write_conversations
    from memchat.data.probes import conversations
    from memchat.data.values import SPLITS
    from memchat.errors import unknown

    if split not in SPLITS:
        raise unknown("split", split, list(SPLITS))
    started = perf_counter()
    probes, letters = 0, 0

    def counted() -> Iterator[Conversation]:
        nonlocal probes, letters
        for conversation in conversations(split, n, seed):
            probes += len(conversation.probes)
            letters += sum(len(turn.content) for session in conversation.sessions for turn in session.turns)
            yield conversation

    written = write_conversations(out, counted())
    rate = letters / 2.4 / (perf_counter() - started)  # the starter's tokenizer: about 2.4 characters a token
    typer.echo(f"{out}: {written} conversations, {probes} probes, about {rate:,.0f} tokens/s")

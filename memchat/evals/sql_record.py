"""``eval_record.txt``: the predictions of an SQL evaluation for reading, and for a judge that knows nothing else.

One block a probe: the question, the right answer, the reply, the SQL that was written for it and the rows it brought.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from memchat.errors import MemchatError
from memchat.evals.sql_figures import rung
from memchat.evals.transcripts import PROBES, Row, read_lines, write_whole

RECORD = "eval_record.txt"


def write_record(folder: Path, settings: Row, probes: Sequence[Row]) -> Path:
    """Write the record beside the lines it is made of."""
    head = [f"{key}: {settings[key]}" for key in ("model", "weight_hash", "data", "seed", "prompts") if key in settings]
    return write_whole(folder / RECORD, "\n".join([*head, "", *_blocks(probes)]) + "\n")


def _blocks(probes: Iterable[Row]) -> Iterator[str]:
    for probe in probes:
        answers = " | ".join(probe["answers"]) or "(was never told)"
        lines = [
            f"== {probe['memory']}  {probe['conversation']}  {probe['probe']}  {probe['kind']}",
            f"question:   {probe['question']}",
            f"gold:       {answers}",
            f"prediction: {probe['reply']}",
            f"right:      {'yes' if probe['right'] else 'no'}",
        ]
        lines += [f"sql:        {_line(item['text'])}" for item in probe["recalled"] if item["kind"] == "sql"]
        lines += [f"row:        {_line(item['text'])}" for item in probe["recalled"] if item["kind"] == "row"]
        lines += [f"found by:   {rung(probe)}"] if any(i["kind"] == "sql" for i in probe["recalled"]) else []
        yield "\n".join([*lines, ""])


def _line(text: str) -> str:
    return " ⏎ ".join(text.splitlines())


def read_probes(folder: Path) -> list[Row]:
    """The predictions of a folder.

    Raises:
        MemchatError: it holds none.
    """
    path = folder / PROBES
    found = read_lines(path)
    if not found:
        raise MemchatError(f"{folder} holds no predictions", "Run `memchat eval sql predict --out FOLDER` first.")
    return found

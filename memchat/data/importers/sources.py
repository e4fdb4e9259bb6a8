"""The list of sources: what each one is, expects and allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memchat.data.importers import dialogues, fields, msc, plain, reading
from memchat.data.importers.reading import Row

Convert = Callable[[dict[str, Any], Counter[str], Mapping[str, str]], Iterator[Any]]
"""A row, a counter of remarks (its "rows" is the row's number) and the options make conversations, texts or pairs."""
Rows = Callable[[Path, Mapping[str, str]], Iterator[Row]]


def _any_rows(path: Path, options: Mapping[str, str]) -> Iterator[Row]:
    return reading.rows(path)


@dataclass(frozen=True)
class Source:
    """A source of data; `kind` is what it makes, `hub` the data set to stream where no file is given."""

    name: str
    about: str
    expects: str
    licence: str
    example: str
    convert: Convert
    kind: str = "conversations"
    rows: Rows = _any_rows
    options: Mapping[str, str] = field(default_factory=dict)
    hub: str = ""


NOW = {"now": "the ISO time of the last session; without it sessions have no time", "last": "no leaves out the last"}
SOURCES = {
    source.name: source
    for source in (
        Source(
            "locomo", "LoCoMo: two people by name, up to 32 sessions with dates, questions in five categories",
            "locomo10.json, or rows {id, speakers, sessions, qa}", "CC BY-NC 4.0: not for commercial use",
            "memchat data prepare locomo locomo10.json --out locomo.jsonl", dialogues.locomo,
        ),
        Source(
            "msc", "Multi-Session Chat: two people, up to five sessions; no questions",
            "msc_dialogue/session_*/*.txt of ParlAI, or rows {id, personas}", "see ParlAI's page of the task",
            "memchat data prepare msc msc_dialogue/session_4/valid.txt --out msc.jsonl", msc.msc, options=NOW,
        ),
        Source(
            "msc-self-instruct", "MSC-Self-Instruct: five sessions and one question each (deep memory retrieval)",
            "msc_self_instruct.jsonl, 500 rows; the last session is included", "Apache-2.0 as declared on the hub",
            "memchat data prepare msc-self-instruct msc_self_instruct.jsonl --split test --out dmr.jsonl",
            msc.self_instruct, options=NOW, hub="MemGPT/MSC-Self-Instruct",
        ),
        Source(
            "bfcl-memory", "The memory part of BFCL v4: facts told by the user, questions with short answers",
            "the folder bfcl_eval/data, or rows {id, sessions, qa}", "Apache-2.0",
            "memchat data prepare bfcl-memory bfcl_eval/data --out bfcl.jsonl", dialogues.bfcl_memory,
            rows=lambda path, options: dialogues.bfcl_rows(path),
        ),
        Source(
            "dailydialog", "DailyDialog: small talk between two people",
            "dialogues_text.txt, a line a dialogue with __eou__, or rows {id, turns}",
            "CC BY-NC-SA 4.0: not for commercial use, share alike",
            "memchat data prepare dailydialog dialogues_text.txt --split train --out daily.jsonl",
            dialogues.dailydialog,
            rows=lambda path, options: dialogues.dailydialog_rows(path),
        ),
        Source(
            "soda", "SODA: a million short dialogues between named people",
            "train.parquet, or JSONL rows {dialogue, speakers}", "CC BY 4.0",
            "memchat data prepare soda train.parquet --n 10000 --out soda.jsonl", dialogues.soda, hub="allenai/soda",
        ),
        Source(
            "metaicl", "MetaICL: labelled examples of many tasks, to be learned in context",
            "its *.jsonl, rows {task, input, output, options}", "differs by task: see each task's own",
            "memchat data prepare metaicl data/ --out tasks.jsonl", plain.pair, kind="pairs",
        ),
        Source(
            "text", "Books and other text, split at chapters",
            "txt or md, or JSONL rows with text or chapters", "the text's own",
            "memchat data prepare text books/ --out books.jsonl", plain.texts, kind="texts", rows=plain.text_rows,
            options={"chars": "the longest text; longer ones are split at an empty line (1000000)"},
        ),
        Source(
            "table", "Any local table; fields are named with --set",
            "JSONL, JSON, CSV, TSV or Parquet", "the file's own",
            "memchat data prepare table chats.csv --set user=question --set assistant=reply --out chats.jsonl",
            fields.mapped, kind="", options=fields.KEYS,
        ),
        Source(
            "hub", "Any data set on the Hugging Face hub, streamed; fields are named as for table",
            "the data set's id, OWNER/NAME", "the data set's own: read its card",
            "memchat data prepare hub OWNER/NAME --split train --set turns=messages --n 1000 --out chats.jsonl",
            fields.mapped, kind="",
            options={**fields.KEYS, "config": "the data set's configuration", "revision": "branch, tag or commit"},
        ),
    )
}  # fmt: skip

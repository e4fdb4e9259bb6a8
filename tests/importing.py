"""What the tests of the importers share: files to write, imports to run, and a small conversation."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from memchat.data.formats import Conversation, read_conversations
from memchat.data.importers.prepare import Report, Request, prepare

LOCOMO: dict[str, Any] = {
    "sample_id": "conv-1",
    "conversation": {
        "speaker_a": "Ana",
        "speaker_b": "Ben",
        "session_1_date_time": "1:56 pm on 8 May, 2023",
        "session_1": [
            {"speaker": "Ben", "dia_id": "D1:1", "text": "Hi Ana!"},
            {"speaker": "Ana", "dia_id": "D1:2", "text": "I adopted Kiwi.", "blip_caption": "a beagle", "img_url": []},
        ],
        "session_2_date_time": "12:05 am on 20 December, 2023",
        "session_2": [
            {"speaker": "Ana", "dia_id": "D2:1", "text": "Kiwi ate a shoe."},
            {"speaker": "Ben", "dia_id": "D2:2", "text": "  "},
            {"speaker": "Ben", "dia_id": "D2:3", "text": "Poor shoe."},
        ],
        "session_10": [{"speaker": "Ben", "dia_id": "D10:1", "text": "Bye."}],
        "session_11_date_time": "1:00 pm on 21 December, 2023",
    },
    "qa": [
        {"question": "Who is Kiwi?", "answer": "a dog", "evidence": ["D1:2; D2:3", "D:10:01"], "category": 1},
        {"question": "When was Kiwi adopted?", "answer": 2023, "evidence": ["D1:2"], "category": 2},
        {"question": "Does Ana like pets?", "answer": "Yes; she has one", "evidence": "['D1:2']", "category": 3},
        {"question": "How many shoes?", "answer": 1, "evidence": ["D2:1", "D", "D9:9"], "category": "4"},
        {"question": "What is Ben's dog called?", "adversarial_answer": "Kiwi", "evidence": [], "category": 5},
        {"question": "Unanswered?", "evidence": [], "category": 4},
    ],
}


def write(path: Path, *rows: Any) -> Path:
    text = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n"
    packed = path.suffix == ".gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def run(source: str, path: Path | str | None, out: Path, **options: Any) -> tuple[list[Any], Report]:
    report = prepare(Request(source, out, None if path is None else str(path), **options))
    return [json.loads(line) for line in out.read_text().splitlines()], report


def talk(source: str, path: Path, out: Path, **options: Any) -> list[Conversation]:
    """The conversations as evaluations read them, which checks their shape too."""
    run(source, path, out, **options)
    return list(read_conversations(out))


def spoken(conversation: Conversation) -> list[list[tuple[str, str, str]]]:
    return [[(t.role, t.name, t.content) for t in s.turns] for s in conversation.sessions]

"""The formats of data files, one JSON object a line.

Conversation with probes, sessions of turns and questions about them:
{"id", "sessions": [{"at", "turns": [{"role", "content", "name"?}]}],
 "probes": [{"question", "answers", "kind", "evidence": [[session, turn]], "superseded"?}]}
Text: {"id", "text", "meta"?}. Pair, for tasks learned in context: {"task", "input", "output", "options"?}.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memchat.errors import MemchatError

KINDS = ("fact", "update", "date", "count", "quote", "abstain", "forget")


@dataclass
class Turn:
    """One line of a conversation; `name` is the speaker's, where a source knows it."""

    role: str  # user or assistant
    content: str
    name: str = ""


@dataclass
class Session:
    """Turns spoken in one sitting; `at` is an ISO time or None."""

    turns: list[Turn]
    at: str | None = None


@dataclass
class Probe:
    """A question about the sessions, the answers that count as right, and where they stand."""

    question: str
    answers: list[str]
    kind: str
    evidence: list[tuple[int, int]] = field(default_factory=list)  # (session, turn)
    superseded: list[str] = field(default_factory=list)  # values that held before


@dataclass
class Conversation:
    """Sessions and the probes about them."""

    id: str
    sessions: list[Session]
    probes: list[Probe]


def to_json(conversation: Conversation) -> dict[str, Any]:
    """The conversation as the object of one line; empty optional fields are left out."""

    def turn(t: Turn) -> dict[str, Any]:
        return {"role": t.role, "content": t.content, **({"name": t.name} if t.name else {})}

    def probe(p: Probe) -> dict[str, Any]:
        required = {
            "question": p.question,
            "answers": p.answers,
            "kind": p.kind,
            "evidence": [list(e) for e in p.evidence],
        }
        return {**required, **({"superseded": p.superseded} if p.superseded else {})}

    return {
        "id": conversation.id,
        "sessions": [{"at": s.at, "turns": [turn(t) for t in s.turns]} for s in conversation.sessions],
        "probes": [probe(p) for p in conversation.probes],
    }


def from_json(value: dict[str, Any]) -> Conversation:
    """A conversation from the object of one line.

    Raises:
        KeyError, TypeError, ValueError: the object has not the format's shape.
    """
    sessions = [
        Session([Turn(t["role"], t["content"], t.get("name", "")) for t in s["turns"]], s.get("at"))
        for s in value["sessions"]
    ]
    probes = []
    for p in value["probes"]:
        if p["kind"] not in KINDS:
            raise ValueError(f"unknown kind {p['kind']!r}")
        evidence = [(int(session), int(turn)) for session, turn in p.get("evidence", [])]
        for session, turn in evidence:
            if not 0 <= session < len(sessions) or not 0 <= turn < len(sessions[session].turns):
                raise ValueError(f"evidence [{session}, {turn}] does not exist")
        probes.append(Probe(p["question"], list(p["answers"]), p["kind"], evidence, list(p.get("superseded", []))))
    if any(t.role not in ("user", "assistant") for s in sessions for t in s.turns):
        raise ValueError("a turn's role is neither user nor assistant")
    return Conversation(str(value["id"]), sessions, probes)


def read_conversations(path: Path) -> Iterator[Conversation]:
    """The conversations of a JSONL file, one by one; blank lines are skipped.

    Raises:
        MemchatError: the file cannot be read, or a line has not the format (its number is named).
    """
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _parse(line, path, number)
    except OSError as error:
        raise MemchatError(f"cannot read {path}: {error.strerror}", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise MemchatError(f"{path} is not UTF-8 text", "Save the file as UTF-8.") from error


def _parse(line: str, path: Path, number: int) -> Conversation:
    try:
        return from_json(json.loads(line))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        remedy = "Each line is one conversation with probes; `memchat data world` writes examples."
        raise MemchatError(f"{path}, line {number} is no conversation: {reason}", remedy) from error


def write_conversations(path: Path, conversations: Iterable[Conversation]) -> int:
    """Write a JSONL file of conversations, as `write_rows` does."""
    return write_rows(path, map(to_json, conversations))


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write a JSONL file; it appears under its name only when it is complete. Returns how many rows were written.

    Raises:
        MemchatError: the file cannot be written.
    """
    partial = path.with_name(path.name + ".part")
    count = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                count += 1
        partial.replace(path)
    except OSError as error:
        raise MemchatError(f"cannot write {path}: {error.strerror}", "Choose another --out.") from error
    finally:
        partial.unlink(missing_ok=True)
    return count

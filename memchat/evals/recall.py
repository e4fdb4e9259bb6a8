"""`memchat eval recall`: tell a session what was said, then ask about it, in every memory mode that is compared.

What is measured is what is shipped: conversations go through `Session.add`, questions through `Session.probe`, which
recalls and generates as `ask` does and leaves no trace. Neighbouring questions share the engine's cache. Several
conversations can run side by side, each in a process with a model of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import signal
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from memchat import __version__
from memchat.config import Settings
from memchat.data.accuracy import exact_match, right, token_f1
from memchat.data.formats import Conversation, Probe
from memchat.engine.adapters import Adapter, find_adapters
from memchat.errors import MemchatError
from memchat.evals.figures import summary
from memchat.evals.probesets import FIT, Selection, Wanted, select
from memchat.evals.transcripts import Row, Transcripts
from memchat.evals.variants import applied
from memchat.memory.base import Message, Receipt
from memchat.protocol import Recalled, Stats, Token
from memchat.session import Session
from memchat.store import Store

if TYPE_CHECKING:
    from memchat.engine.engine import Engine

Report = Callable[[int, str, int], None]
"""Gets: probes in all, the memory mode under test, probes asked."""
Told = dict[tuple[int, int], int]
"""(session, turn) of a conversation -> turn of the log."""


@dataclass(frozen=True)
class Task:
    """One run: the modes to compare and the conversations to compare them on."""

    memories: list[str]
    wanted: Wanted = field(default_factory=Wanted)
    command: str = ""
    """The command line that does it again; goes into the result."""
    jobs: int = 1
    """Conversations side by side."""


def run(
    task: Task,
    engine: Engine,
    settings: Settings,
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    report: Report = lambda total, memory, done: None,
) -> Row:
    """Ask every probe in every memory mode; the result, which is also written to ``folder``.

    Raises:
        MemchatError: the data or the folder cannot be used.
        KeyboardInterrupt: stopped; the same call with ``resume`` goes on.
    """
    wanted = _with_limit(task.wanted, engine, settings)
    chosen = select(wanted, lambda c: full_prompt(engine, settings, c))
    modes = {applied(memory, settings)[0] for memory in task.memories}
    worn = [adapter for adapter in _worn_by(engine) if adapter.name.partition("_")[0] in modes]
    check_unseen(wanted, chosen.conversations, worn)
    total = chosen.probes * len(task.memories)
    described = describe(task.memories, wanted, engine, settings, chosen)
    with Transcripts.opened(folder, described, resume=resume, force=force) as files:
        for memory, row in _rows(task, engine, settings, files, chosen.conversations):
            if row is not None:
                (files.add_probe if "probe" in row else files.add_conversation)(row)
            report(total, memory, len(files.probes))
        result = _result(task, engine, described, chosen, files)
        files.write_result(result)
    return result


def check_unseen(wanted: Wanted, conversations: Collection[Conversation], adapters: Collection[Adapter]) -> None:
    """Refuse to measure an adapter on what it was trained on: its `config.json` lists splits and conversations.

    Raises:
        MemchatError: it was.
    """
    data = f"{wanted.data}:test" if wanted.data == "world" else wanted.data
    tested = {data, *(conversation.id for conversation in conversations)}
    for adapter in adapters:
        seen = tested.intersection((adapter.read("config.json") or {}).get("trained_on", ()))
        if seen:
            raise MemchatError(
                f"the adapter {adapter.id} was trained on {min(seen)}", "Measure it on a split that it has not seen."
            )


def full_prompt(engine: Engine, settings: Settings, conversation: Conversation) -> int:
    """Tokens of the prompt that holds the whole conversation and its longest question."""
    told = [Message(t.role, t.content) for s in conversation.sessions for t in s.turns if t.content.strip()]
    questions = [Message("user", p.question) for p in conversation.probes]
    longest = max(questions, key=lambda question: len(engine.render([question]).ids))
    return len(engine.render([*told, longest], settings.system).ids)


def describe(memories: list[str], wanted: Wanted, engine: Engine, settings: Settings, chosen: Selection) -> Row:
    """Everything that decides the replies; a run is continued only under the same."""
    info = engine.info
    return {
        "task": "recall",
        "memories": memories,
        "model": info["id"],
        "weight_hash": info["weight_hash"],
        "tokenizer_hash": info["tokenizer_hash"],
        "dtype": info["dtype"],
        "device": info["device"],
        **asdict(wanted),
        "sizes": list(wanted.sizes) if wanted.sizes else None,
        "data_hash": chosen.digest,
        "system": settings.system,
        "generation": asdict(settings.generation),
        "remember": asdict(settings.remember),
        **({"sql": asdict(settings.sql)} if any(applied(m, settings)[0] == "sql" for m in memories) else {}),
    }


def _rows(
    task: Task, engine: Engine, settings: Settings, files: Transcripts, conversations: list[Conversation]
) -> Iterator[tuple[str, Row | None]]:
    """The lines that are missing, memory by memory, each with the memory's name; None where one is under way."""
    finished = {(row["memory"], row["conversation"]) for row in files.conversations}
    asked = {(row["memory"], row["conversation"], row["probe"]) for row in files.probes}
    todo = [(m, c) for m in task.memories for c in conversations if (m, c.id) not in finished]
    parts = [(m, c, {n for n in range(len(c.probes)) if (m, c.id, n) in asked}) for m, c in todo]
    if task.jobs == 1 or len(todo) < 2:
        for memory, conversation, skip in parts:
            yield memory, None
            for row in told_and_asked(memory, engine, settings, conversation, skip):
                yield memory, row
        return
    threads = max(1, (os.cpu_count() or 1) // task.jobs)
    shared = replace(settings, engine=replace(settings.engine, threads=threads))
    pool = ProcessPoolExecutor(task.jobs, multiprocessing.get_context("spawn"), _begin, (shared,))
    try:
        futures = [(memory, pool.submit(_work, memory, shared, c, skip)) for memory, c, skip in parts]
        for memory, future in futures:
            yield memory, None
            for row in future.result():
                yield memory, row
    finally:
        pool.shutdown(cancel_futures=True)


_engine: Any = None
"""The model of a process beside this one."""


def _begin(settings: Settings) -> None:
    from memchat.engine.engine import Engine

    global _engine
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one decides when to stop
    _engine = Engine.load(settings.model, settings.engine)


def _work(memory: str, settings: Settings, conversation: Conversation, skip: Collection[int]) -> list[Row]:
    return list(told_and_asked(memory, _engine, settings, conversation, skip))


def told_and_asked(
    memory: str, engine: Engine, settings: Settings, conversation: Conversation, skip: Collection[int] = ()
) -> Iterator[Row]:
    """Tell a conversation to one memory and ask its probes, over a store of its own: nothing comes from elsewhere.

    Args:
        skip: numbers of probes that need not be asked.

    Yields:
        A line for each probe, then one for the conversation.
    """
    started = time.perf_counter()
    mode, settings = applied(memory, settings)
    key = {"memory": memory, "conversation": conversation.id}
    with (
        tempfile.TemporaryDirectory(prefix="memchat-eval-") as scratch,
        Store(Path(scratch) / "eval.db") as store,
        Session.open(store, engine, settings, memory=mode) as session,
    ):
        told, receipts = tell(session, conversation)
        for number, probe in enumerate(conversation.probes):
            if number not in skip:
                yield key | {"probe": number} | ask(session, probe, told)
        size = session.memory.nbytes()
        held = [item.as_dict() for item in session.memory.items() if item.kind != "turn"]
    roles = {number: conversation.sessions[s].turns[t].role for (s, t), number in told.items()}
    yield key | {
        "bytes": asdict(size),
        "write_ms": [receipt.ms for receipt in receipts],
        "wrote": [item.as_dict() for receipt in receipts for item in receipt.detail],
        "held": [item | {"said_by": [roles.get(turn) for turn in item["turns"]]} for item in held],
        "wall_s": time.perf_counter() - started,
    }


def tell(session: Session, conversation: Conversation) -> tuple[Told, list[Receipt]]:
    """Tell one sitting after the other; where each turn is in the log, and what each write did."""
    told: Told = {}
    writes: list[Receipt] = []
    for s, sitting in enumerate(conversation.sessions):
        for t, turn in enumerate(sitting.turns):
            if turn.content.strip():  # a line that was only a picture has no text
                writes.append(session.add(turn.role, turn.content, name=turn.name or None, at=sitting.at))
                assert session.head is not None
                told[s, t] = session.head
    return told, writes


def ask(session: Session, probe: Probe, told: Told) -> Row:
    """One probe: the reply, what it is worth, and what it cost."""
    started = time.perf_counter()
    reply, recalled, stats = "", None, None
    for event in session.probe(probe.question):
        if isinstance(event, Token):
            reply += event.text
        elif isinstance(event, Recalled):
            recalled = event
        elif isinstance(event, Stats):
            stats = event
    assert recalled is not None and stats is not None
    answerable = bool(probe.answers) and probe.kind != "forget"
    return {
        "kind": probe.kind,
        "question": probe.question,
        "answers": probe.answers,
        "superseded": probe.superseded,
        "reply": reply,
        "right": right(reply, probe),
        "exact": exact_match(reply, probe.answers) if answerable else None,
        "f1": token_f1(reply, probe.answers) if answerable else None,
        "in_view": in_view(probe, told, recalled),
        "recalled": [item for item in recalled.items if item["kind"] != "turn"],
        "prompt_tokens": recalled.prompt_tokens,
        "new_tokens": stats.new_tokens,
        "recall_ms": recalled.ms,
        "ttft_ms": stats.ttft_ms,
        "tokens_per_s": stats.tokens_per_s,
        "ms": (time.perf_counter() - started) * 1000,
    }


def in_view(probe: Probe, told: Told, recalled: Recalled) -> float | None:
    """Share of the evidence that stood in the prompt word for word; None where no evidence is named."""
    if not probe.evidence:
        return None
    seen = {turn for item in recalled.items if item["kind"] == "turn" and item["used"] for turn in item["turns"]}
    return fmean(told.get(place) in seen for place in probe.evidence)


def _with_limit(wanted: Wanted, engine: Engine, settings: Settings) -> Wanted:
    if wanted.limit_tokens != FIT:
        return wanted
    reserve = min(settings.generation.max_new_tokens, engine.context // 4)
    return replace(wanted, limit_tokens=engine.context - reserve)


def _result(task: Task, engine: Engine, described: Row, chosen: Selection, files: Transcripts) -> Row:
    length = dict(zip((c.id for c in chosen.conversations), chosen.tokens, strict=True))
    rows = [
        {
            "memory": memory,
            **summary(
                [row for row in files.probes if row["memory"] == memory],
                [row for row in files.conversations if row["memory"] == memory],
                length,
            ),
        }
        for memory in task.memories
    ]
    return {
        **described,
        "command": task.command,
        "conversations": len(chosen.conversations),
        "left_out": chosen.left_out,
        "adapters": _adapters(engine),
        "context": engine.context,
        "threads": _threads(),
        "versions": _versions(),
        "wall_s": sum(row["wall_s"] for row in files.conversations),
        "rows": rows,
    }


def _adapters(engine: Engine) -> dict[str, str]:
    """The adapters that this model's memories wear: name -> hash of their files."""
    return {adapter.name: adapter.hash for adapter in _worn_by(engine)}


def _worn_by(engine: Engine) -> list[Adapter]:
    weights = str(engine.info["weight_hash"])
    return [a for a in find_adapters() if (a.read("config.json") or {}).get("weights") == weights]


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _versions() -> dict[str, str]:
    installed = {name: version(name) for name in ("torch", "transformers")}
    return {"memchat": __version__, "python": platform.python_version(), **installed}

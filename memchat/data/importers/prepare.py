"""One import from start to end: choose the rows, convert them, count, write."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from memchat.data import formats
from memchat.data.formats import Conversation
from memchat.data.importers import fields, reading
from memchat.data.importers.convert import as_text, part_of
from memchat.data.importers.reading import Row
from memchat.data.importers.sources import SOURCES, Source
from memchat.errors import MemchatError, UsageError, unknown

KINDS = ("conversations", "texts", "pairs")
PARTS = ("train", "valid", "test")
BAD = (KeyError, TypeError, ValueError, AttributeError, IndexError)
"""What a row of an unexpected shape raises while it is converted."""


@dataclass
class Request:
    """What to import and how much of it.

    `split` is one of train, valid and test by the hash of the row's name, or, on the hub, the data set's own split.
    `n` rows from the start are written, with a `seed` a random choice of `n`.
    """

    source: str
    out: Path
    path: str | None = None
    kind: str | None = None
    split: str | None = None
    n: int | None = None
    seed: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    skip_bad: bool = False


@dataclass
class Report:
    """What was written (`counts`: rows, turns, probes by kind ...), left out (`bad`) and remarked (`notes`)."""

    counts: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    bad: int = 0
    first_bad: str = ""


def prepare(request: Request, progress: Callable[[float, int], None] | None = None) -> Report:
    """Import; the file appears under its name only when it is complete. `progress` gets (share read, rows read).

    Raises:
        UsageError: an unknown source or option, or options that do not fit together.
        MemchatError: a file cannot be read or written, a row is bad and may not be skipped, or nothing is left.
    """
    source = _checked(request)
    report = Report()
    options = {**request.options, "name": fields.source_name(request.path or source.hub)}
    items = _items(source, request, options, report, progress or (lambda done, count: None))
    if request.kind == "texts":
        items = (as_text(item) if isinstance(item, Conversation) else item for item in items)
    if request.n is not None:
        items = _first(items, request.n) if request.seed is None else _sample(items, request.n, request.seed)
    formats.write_rows(request.out, _counted(items, request, report))
    return report


def _checked(request: Request) -> Source:
    if request.source not in SOURCES:
        raise unknown("source", request.source, list(SOURCES))
    source = SOURCES[request.source]
    for key in request.options:
        if key not in source.options:
            known = list(source.options)
            if not known:
                raise UsageError(f"{source.name} takes no --set", f"Leave out --set {key}=...")
            raise unknown("option", key, known)
    made = source.kind or fields.kind_of(request.options)
    if request.kind not in (None, made) and (request.kind, made) != ("texts", "conversations"):
        if request.kind not in KINDS:
            raise unknown("kind", str(request.kind), list(KINDS))
        raise UsageError(f"{source.name} makes {made}, not {request.kind}", f"Leave out --kind {request.kind}.")
    if request.path is None and not source.hub:
        raise UsageError(f"{source.name} needs a path: {source.expects}", f"Example: {source.example}")
    on_hub = source.name == "hub" or request.path is None
    if request.split and not on_hub and request.split not in PARTS:
        raise unknown("split", request.split, list(PARTS))
    if request.seed is not None and request.n is None:
        raise UsageError("--seed chooses rows at random and needs a number of them", "Give --n as well.")
    if request.out.is_dir():
        raise UsageError(f"{request.out} is a folder", "Give --out the name of a file.")
    if request.path and not on_hub and request.out.resolve() == Path(request.path).resolve():
        raise UsageError(f"{request.out} is the input", "Choose another --out.")
    return source


def _items(
    source: Source, request: Request, options: Mapping[str, str], report: Report, progress: Callable[[float, int], None]
) -> Iterator[Any]:
    """Everything the source gives, of the wanted split; bad rows end the import or are counted."""
    on_hub = source.name == "hub" or request.path is None
    if on_hub:
        name = request.path or source.hub
        found = reading.hub(name, request.split or "train", options.get("config"), options.get("revision"))
    else:
        found = source.rows(Path(str(request.path)), options)
    for count, row in enumerate(found, 1):
        progress(row.done, count)
        report.notes["rows"] = count
        try:
            if row.fault:
                raise ValueError(row.fault)
            items = list(source.convert(row.value, report.notes, options))
        except BAD as error:
            _bad(error, row, request, report)
            continue
        for item in items:
            if on_hub or not request.split or part_of(_key(item)) == request.split:
                yield item


def _bad(error: Exception, row: Row, request: Request, report: Report) -> None:
    """Count a bad row, or raise the error that names file, place and reason."""
    reason = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
    where = f"{row.file or request.path}, {row.place}: {reason}"
    if not request.skip_bad:
        raise MemchatError(where, "Mend it, or leave out bad rows with --skip-bad.") from error
    report.bad += 1
    report.first_bad = report.first_bad or where


def _key(item: Any) -> str:
    """What decides the split: the conversation, the whole book, the task's input."""
    if isinstance(item, Conversation):
        return item.id
    return str(item.get("meta", {}).get("book") or item.get("id") or item.get("input"))


def _first(items: Iterator[Any], n: int) -> Iterator[Any]:
    """The first `n`; no row more is read than they need."""
    for count, item in enumerate(items, 1):
        yield item
        if count >= n:
            return


def _sample(items: Iterator[Any], n: int, seed: int) -> Iterator[Any]:
    """`n` of them at random, each as likely as any other, in the order of the source; only `n` are held."""
    chance = random.Random(seed)
    kept: list[tuple[int, Any]] = []
    for number, item in enumerate(items):
        if len(kept) < n:
            kept.append((number, item))
        elif (place := chance.randrange(number + 1)) < n:
            kept[place] = (number, item)
    yield from (item for _, item in sorted(kept, key=lambda pair: pair[0]))


def _counted(items: Iterator[Any], request: Request, report: Report) -> Iterator[dict[str, Any]]:
    """The rows to write; names that come again get a number, so that each row has its own.

    Raises:
        MemchatError: there is nothing to write.
    """
    seen: Counter[str] = Counter()
    for item in items:
        row = formats.to_json(item) if isinstance(item, Conversation) else item
        if "id" in row:
            seen[row["id"]] += 1
            if seen[row["id"]] > 1:
                row["id"] = f"{row['id']}-{seen[row['id']]}"
        _count(row, report.counts)
        yield row
    if not report.counts:
        part = f" in the split {request.split}" if request.split else ""
        raise MemchatError(f"nothing to write{part}: {report.bad} bad rows", "Check the file and the options.")


def _count(row: dict[str, Any], counts: Counter[str]) -> None:
    if "sessions" in row:
        counts["conversations"] += 1
        counts["sessions"] += len(row["sessions"])
        counts["turns"] += sum(len(session["turns"]) for session in row["sessions"])
        counts["probes"] += len(row["probes"])
        for probe in row["probes"]:
            counts[f"probes: {probe['kind']}"] += 1
            counts["probes with evidence"] += bool(probe["evidence"])
    elif "text" in row:
        counts["texts"] += 1
        counts["characters"] += len(row["text"])
    else:
        counts["pairs"] += 1
        counts[f"task: {row['task']}"] += 1

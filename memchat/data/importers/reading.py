"""Files as rows: gzip, JSON lines, JSON, CSV, TSV, Parquet and text, told apart by content and read bit by bit."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from memchat.errors import MemchatError, UsageError

EXTRA = "pip install 'memchat[data]'"
CHUNK = 1 << 16
UNREADABLE = (OSError, EOFError, zlib.error)  # a cut gzip file ends in EOFError or zlib.error


@dataclass
class Row:
    """One row of a source: its value, or why it has none.

    `place` says where it stands ("line 3"), `done` how much of the source is read (0 to 1, or -1 where unknown),
    `file` which file it is from.
    """

    value: Any
    place: str
    done: float = -1.0
    fault: str = ""
    file: str = ""


def files(path: Path, pattern: str = "*") -> list[Path]:
    """The file, or the files under a folder, in order; hidden ones are left out.

    Raises:
        UsageError: there is none.
    """
    if path.is_dir():
        found = [
            p for p in sorted(path.rglob(pattern)) if p.is_file() and "/." not in f"/{p.relative_to(path).as_posix()}"
        ]
        if not found:
            raise UsageError(f"no file {pattern} in {path}", "Give the path of a file, or of the folder that holds it.")
        return found
    if not path.exists():
        raise UsageError(f"{path} does not exist", "Check the path; 'memchat data sources' says what is expected.")
    return [path]


@contextmanager
def opened(path: Path) -> Iterator[tuple[IO[bytes], Callable[[], float]]]:
    """The bytes of a file, unpacked where gzip packed them, and a function for the share that is read.

    Raises:
        MemchatError: the file cannot be read, also later, while it is being read.
    """
    try:
        with path.open("rb") as raw:
            size = max(1, path.stat().st_size)
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            file: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            yield file, lambda: min(1.0, raw.tell() / size)
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error) or "it ends too early"
        raise MemchatError(f"cannot read {path}: {reason}", "Check the path, or fetch the file again.") from error


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file or of a folder's files, whatever their format.

    Raises:
        MemchatError: a file cannot be read, is not UTF-8, or is Parquet and its reader is missing.
    """
    for file in files(path):
        for row in _rows(file):
            row.file = str(file)
            yield row


def lines(path: Path) -> Iterator[Row]:
    """The lines of a text file, without their ends; `value` is text."""
    with opened(path) as (file, done):
        for number, raw in enumerate(file, 1):
            if number == 1:
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                yield Row(raw.decode("utf-8").rstrip("\r\n"), f"line {number}", done(), file=str(path))
            except UnicodeDecodeError:
                yield Row(None, f"line {number}", done(), "it is not UTF-8 text", str(path))


def shape(path: Path) -> str:
    """What a file holds, by its content: "parquet", "jsonl", "json" or "text"."""
    with opened(path) as (file, _):
        head = file.read(CHUNK)
    if head[:4] == b"PAR1":
        return "parquet"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    first = text.split(b"\n", 1)[0].strip()
    if text[:1] == b"[":  # a footnote "[1] ..." is text
        return "json" if text[1:].lstrip()[:1] in (b"{", b"[", b"]") else "text"
    if text[:1] == b"{":  # an object that is spread over lines begins with a brace alone
        return "json" if first == b"{" else "jsonl"
    return "text"


def _rows(path: Path) -> Iterator[Row]:
    match shape(path):
        case "parquet":
            yield from _parquet(path)
        case "jsonl":
            yield from _json_lines(path)
        case "json":
            yield from _json(path)
        case _:
            yield from _table(path)


def _json_lines(path: Path) -> Iterator[Row]:
    for row in lines(path):
        if row.fault or not row.value.strip():
            if row.fault:
                yield row
            continue
        try:
            row.value = json.loads(row.value)
        except ValueError as error:
            row.fault = f"it is not JSON ({error})"
        else:
            row.fault = "" if isinstance(row.value, dict) else "it is not a JSON object"
        yield row


def _json(path: Path) -> Iterator[Row]:
    """The elements of a JSON list, or JSON objects one after another, without holding more than one."""
    decoder = json.JSONDecoder()
    with opened(path) as (raw, done):
        file = io.TextIOWrapper(raw, encoding="utf-8-sig")
        try:
            buffer, line, size = file.read(CHUNK).lstrip(), 1, CHUNK
            listed = buffer.startswith("[")
            buffer = buffer[1:] if listed else buffer
            while True:
                rest = buffer.lstrip().removeprefix(",").lstrip() if listed else buffer.lstrip()
                line += buffer.count("\n", 0, len(buffer) - len(rest))
                buffer = rest
                if listed and buffer.startswith("]"):
                    return
                try:
                    value, end = decoder.raw_decode(buffer)
                except ValueError as error:
                    more = file.read(size)
                    size *= 2  # an element longer than the buffer is parsed again: so only a few times
                    if more:
                        buffer += more
                        continue
                    if buffer or listed:
                        yield Row(None, f"line {line}", 1.0, f"it is not JSON ({error}); nothing behind it can be read")
                    return
                line, size = line + buffer.count("\n", 0, end), CHUNK
                fault = "" if isinstance(value, dict) else "it is not a JSON object"
                yield Row(value, f"the element that ends in line {line}", done(), fault)
                buffer = buffer[end:]
        except UnicodeDecodeError as error:
            raise MemchatError(f"{path} is not UTF-8 text", "Save the file as UTF-8.") from error


def _table(path: Path) -> Iterator[Row]:
    """Rows of a CSV or TSV file; its first line names the columns."""
    csv.field_size_limit(1 << 30)
    with opened(path) as (raw, done):
        file = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
        try:
            header = file.readline()
            marks = max("\t,;", key=header.count)
            names = next(csv.reader([header], delimiter=marks), [])
            if not names:
                raise MemchatError(f"{path} is empty", "Give a file with rows.")
            table = csv.reader(file, delimiter=marks)
            for cells in table:
                if not cells:
                    continue
                fits = len(cells) == len(names)
                fault = "" if fits else f"it has {len(cells)} columns, the first line has {len(names)}"
                yield Row(dict(zip(names, cells, strict=False)), f"line {table.line_num + 1}", done(), fault)
        except UnicodeDecodeError as error:
            raise MemchatError(f"{path} is not UTF-8 text", "Save the file as UTF-8.") from error
        except csv.Error as error:
            raise MemchatError(f"{path} is no CSV file: {error}", "Save the table again.") from error


def _parquet(path: Path) -> Iterator[Row]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MemchatError(f"reading the Parquet file {path} needs pyarrow", f"Install it: {EXTRA}") from error
    with opened(path) as (raw, _):
        try:
            table = pyarrow.parquet.ParquetFile(raw)
            total, number = max(1, table.metadata.num_rows), 0
            for batch in table.iter_batches(batch_size=256):
                for value in batch.to_pylist():
                    number += 1
                    yield Row(value, f"row {number}", number / total)
        except pyarrow.ArrowException as error:
            raise MemchatError(f"{path} is no whole Parquet file: {error}", "Fetch it again.") from error


def hub(name: str, split: str, config: str | None = None, revision: str | None = None) -> Iterator[Row]:
    """The rows of a data set on the Hugging Face hub, streamed.

    Raises:
        MemchatError: the library `datasets` is missing, or the hub does not give the data.
    """
    try:
        import datasets
    except ImportError as error:
        raise MemchatError("reading the hub needs the library 'datasets'", f"Install it: {EXTRA}") from error
    datasets.utils.logging.set_verbosity_error()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # each retry would be a line of its own
    try:
        stream: Iterable[Any] = datasets.load_dataset(name, config, split=split, revision=revision, streaming=True)
        for number, value in enumerate(stream, 1):
            yield Row(value, f"row {number}", file=name)
    except Exception as error:  # the library raises what its many back ends raise
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        remedy = "Check the name, --split and --set config=NAME, and that the hub can be reached."
        raise MemchatError(f"cannot read the data set {name}: {reason.rstrip('.')}", remedy) from error

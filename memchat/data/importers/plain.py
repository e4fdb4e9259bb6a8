"""Books and other plain text, and MetaICL's labelled examples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memchat.data.importers import reading
from memchat.data.importers.convert import field
from memchat.data.importers.reading import Row
from memchat.errors import UsageError

NUMBER = r"(\d+|[ivxlc]+|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|the)"
HEADING = re.compile(
    rf"#{{1,3}}\s+(?P<marked>\S.*?)\s*#*$"  # markdown
    rf"|=\s(?P<wiki>[^=]+)\s=$"  # WikiText's articles
    rf"|(?P<plain>(chapter|part|book|canto|act|scene|letter|volume)\s+{NUMBER}\b.{{0,80}})$",
    re.IGNORECASE,
)
LONGEST = 1_000_000


def texts(row: dict[str, Any], notes: Counter[str], options: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of text: from a chapter, from a row with `text`, or, one each, from a row with `chapters`."""
    title, name = str(row.get("title") or ""), str(row.get("id") or "")
    if "chapters" not in row:
        text, meta = field(row, "text", str).strip(), {}
        if not text:
            raise ValueError("'text' is empty")
        meta = {key: row[key] for key in ("title", "author", "year", "book", "source") if row.get(key)}
        yield {"id": name, "text": text, **({"meta": meta} if meta else {})}
        return
    for number, chapter in enumerate(field(row, "chapters", list), 1):
        if text := field(chapter, "text", str).strip():
            meta = {"book": title or name, "title": chapter.get("title") or "", "author": row.get("author") or ""}
            kept = {key: value for key, value in meta.items() if value}
            yield {"id": f"{name}-{number:03d}", "text": text, "meta": kept}


def text_rows(path: Path, options: Mapping[str, str]) -> Iterator[Row]:
    """Chapters of plain text files (txt, md, gzip), rows of JSON files with `text` or `chapters`.

    Raises:
        UsageError: the option `chars` is no positive whole number.
    """
    given = options.get("chars", str(LONGEST))
    if not given.isdigit() or int(given) < 1:
        raise UsageError(f"chars={given!r} is no positive whole number", f"Write --set chars={LONGEST}.")
    for file in reading.files(path):
        if reading.shape(file) == "text":
            yield from _chapters(file, int(given), book=_stem(file) if path.is_dir() else "")
            continue
        for number, row in enumerate(reading.rows(file), 1):
            if isinstance(row.value, dict):
                row.value.setdefault("id", f"{_stem(file)}-{number:06d}")
            yield row


def _stem(file: Path) -> str:
    return file.name.split(".")[0]


def _chapters(file: Path, longest: int, book: str) -> Iterator[Row]:
    """A file's chapters: split at headings that stand alone after an empty line, and where one grows too long.

    With a `book`, all of them go to the same split; of a single file some chapters are for training, some for tests.
    What a Project Gutenberg file says before and after the book is left out, and so are headings without text.
    """
    title, size, number, blank = "", 0, 0, True
    body: list[str] = []
    row = Row(None, "line 0")

    def done() -> Iterator[Row]:
        nonlocal body, size, number
        text = "\n".join(body).strip()
        body, size = [], 0
        if text:
            number += 1
            value = {"id": f"{_stem(file)}-{number:03d}", "title": title, "book": book, "text": text}
            yield Row(value, f"the text that ends before {row.place}", row.done, file=str(file))

    for row in reading.lines(file):
        if row.fault:
            yield row
            continue
        line = row.value.strip()
        if line.startswith("*** START OF"):
            body, size, title = [], 0, ""
            continue
        if line.startswith("*** END OF"):
            break
        heading = HEADING.match(line) if blank else None
        if heading or (size >= longest and not line):
            yield from done()
        if heading:
            title = (heading["marked"] or heading["wiki"] or heading["plain"]).strip()
        else:
            body.append(row.value.rstrip())
            size += len(row.value) + 1
        blank = not line or bool(heading)
    yield from done()


def pair(row: dict[str, Any], notes: Counter[str], options: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """One labelled example, MetaICL's {task, input, output, options}."""
    given = row.get("options") or []
    if not isinstance(given, list):
        raise ValueError("'options' is no list")
    output = field(row, "output", str)
    if given and output not in given:
        raise ValueError(f"the output {output!r} is not among the options")
    value = {"task": field(row, "task", str), "input": field(row, "input", str), "output": output}
    yield {**value, **({"options": [str(option) for option in given]} if given else {})}

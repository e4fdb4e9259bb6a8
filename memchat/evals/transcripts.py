"""The folder of one evaluation: settings, a line for every probe, a line for every finished conversation, the result.

Lines are written as they come, so that an interrupted run loses one probe and continues behind the last.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from memchat.errors import MemchatError, UsageError

Row = dict[str, Any]

SETTINGS, PROBES, CONVERSATIONS, RESULT = "settings.json", "transcripts.jsonl", "conversations.jsonl", "result.json"
FILES = (SETTINGS, PROBES, CONVERSATIONS, RESULT)


class Transcripts:
    """The files of a run; ``probes`` and ``conversations`` are their lines in order, those of an earlier run first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.probes: list[Row] = []
        self.conversations: list[Row] = []
        self._open: dict[str, IO[str]] = {}

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, settings: Row, *, resume: bool = False, force: bool = False) -> Iterator[Transcripts]:
        """Begin in an empty folder, or continue in one that holds a run with the same settings.

        Args:
            settings: what decides the replies, in JSON's types.
            force: overwrite the files of an earlier run.

        Raises:
            UsageError: the folder is not empty, or the settings differ.
            MemchatError: the folder cannot be written, or its files are damaged.
        """
        files = cls(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if resume and (folder / SETTINGS).exists():
                files._continue(settings)
            else:
                files._begin(settings, force)
            for name in (PROBES, CONVERSATIONS):
                files._open[name] = (folder / name).open("a", encoding="utf-8")
        except OSError as error:
            raise MemchatError(f"cannot write {folder}: {error.strerror}", "Choose another --out.") from error
        try:
            yield files
        finally:
            for file in files._open.values():
                file.close()

    def add_probe(self, row: Row) -> None:
        self.probes.append(row)
        self._append(PROBES, row)

    def add_conversation(self, row: Row) -> None:
        self.conversations.append(row)
        self._append(CONVERSATIONS, row)

    def write_result(self, result: Row) -> Path:
        """Write the result; it appears complete or not at all."""
        return write_whole(self.folder / RESULT, json.dumps(result, indent=2, ensure_ascii=False) + "\n")

    def _append(self, name: str, row: Row) -> None:
        file = self._open[name]
        try:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            file.flush()
        except OSError as error:
            raise MemchatError(
                f"cannot write {self.folder / name}: {error.strerror}", "Free some space, then go on with --resume."
            ) from error

    def _begin(self, settings: Row, force: bool) -> None:
        if not force and any(self.folder.iterdir()):
            raise UsageError(
                f"{self.folder} is not empty", "Go on with --resume, overwrite with --force, or change --out."
            )
        for name in FILES:
            (self.folder / name).unlink(missing_ok=True)
        write_whole(self.folder / SETTINGS, json.dumps(settings, indent=2, ensure_ascii=False) + "\n")

    def _continue(self, settings: Row) -> None:
        try:
            before: Row = json.loads((self.folder / SETTINGS).read_text("utf-8"))
        except ValueError as error:
            raise MemchatError(f"{self.folder / SETTINGS} is damaged", "Start anew with --force.") from error
        changed = [key for key in {**before, **settings} if before.get(key) != settings.get(key)]
        if changed:
            what = ", ".join(f"{key} was {_short(before.get(key))}, is {_short(settings.get(key))}" for key in changed)
            raise UsageError(f"{self.folder} was made with other settings: {what}", "Use the same, or another --out.")
        self.probes = read_lines(self.folder / PROBES)
        self.conversations = read_lines(self.folder / CONVERSATIONS)


def read_lines(path: Path) -> list[Row]:
    """The lines of a file, if there is one; what a crash left of a last line is cut off.

    Raises:
        MemchatError: a line is damaged.
    """
    text = path.read_text("utf-8", errors="replace") if path.exists() else ""
    *whole, rest = text.split("\n")
    try:
        rows = [json.loads(line) for line in whole]
    except ValueError as error:
        raise MemchatError(f"{path} is damaged", "Start anew with --force.") from error
    if rest:
        write_whole(path, text.removesuffix(rest))
    return rows


def write_whole(path: Path, text: str) -> Path:
    """Write a file so that it appears complete or not at all."""
    partial = path.with_name(path.name + ".part")
    partial.write_text(text, "utf-8")
    return partial.replace(path)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else f"{text[:37]}..."

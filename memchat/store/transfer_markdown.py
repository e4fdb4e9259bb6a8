"""The visible branch as Markdown: one heading a message, readable anywhere, and read back exactly.

What Markdown does not show stands in HTML comments: dates, model, status. A line inside a message that looks like
a message heading gets a backslash, which the reader takes away again; a code fence that a message leaves open is
closed, so that it does not swallow the rest of the page.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any, get_args

from memchat.errors import MemchatError
from memchat.store.records import Incoming, SessionRow, Status, TurnRow
from memchat.store.text import is_time, one_line
from memchat.store.turns import ROLES

_TITLES = "|".join(role.capitalize() for role in ROLES)
_HEADING = re.compile(rf"## ({_TITLES})(?: \((.*)\))?\s*$")
_LOOKS_LIKE_HEADING = re.compile(rf"^(\\*## (?:{_TITLES})\b)", re.MULTILINE)
_ESCAPED_HEADING = re.compile(rf"^\\(\\*## (?:{_TITLES})\b)", re.MULTILINE)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_COMMENT = re.compile(r"<!-- (?:memchat: )?(\{.*\}) -->\s*$")

_REMEDY = "Nothing was imported; each message begins with a line such as: ## User"


def dump(session: SessionRow, turns: list[TurnRow]) -> str:
    """A Markdown document."""
    about = {
        "model": session.model,
        "memory": session.memory,
        "system": session.system,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
    }
    blocks = [f"# {session.name}\n\n<!-- memchat: {_comment(about)} -->\n\n", *map(_message, turns)]
    return "".join(blocks)[:-1]


def load(text: str) -> list[Incoming]:
    """The session in a Markdown document, also in one written by hand.

    Raises:
        MemchatError: naming the line of the first fault.
    """
    if re.match(r"[^\n]*\r\n", text):  # an editor turned all line ends into those of Windows
        text = text.replace("\r\n", "\n")
    lines = text.split("\n")
    starts = [number for number, line in enumerate(lines) if _HEADING.match(line)]
    session = _session(lines[: starts[0]] if starts else lines)
    if not starts:
        raise MemchatError("line 1: there is no message in it", _REMEDY)
    turns: list[TurnRow] = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        turns.append(_turn(lines, start, end, len(turns) + 1))
    return [(replace(session, head=len(turns)), turns)]


def _comment(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False).replace(">", "\\u003e")  # so that no value ends the comment


def _message(turn: TurnRow) -> str:
    about: dict[str, Any] = {"at": turn.at}
    if turn.status != "complete":
        about["status"] = "interrupted" if turn.status == "streaming" else turn.status
    if turn.name:
        about["name"] = turn.name
    content = _LOOKS_LIKE_HEADING.sub(r"\\\1", turn.content)
    fence = _open_fence(turn.content)
    if fence:
        about["closed"] = fence
        content += f"\n{fence}"
    who = f" ({one_line(turn.name, 60)})" if turn.name else ""
    return f"## {turn.role.capitalize()}{who}\n<!-- {_comment(about)} -->\n\n{content}\n\n"


def _open_fence(text: str) -> str:
    """The fence that would close the code block which ``text`` leaves open; empty if it leaves none."""
    fence = ""
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if not match:
            continue
        mark, rest = match.groups()
        if not fence and not (mark[0] == "`" and "`" in rest):
            fence = mark
        elif fence and mark.startswith(fence) and not rest.strip():
            fence = ""
    return fence


def _session(lines: list[str]) -> SessionRow:
    """What stands before the first message: a title, the comment, blank lines, nothing else."""
    name, about = "imported", {}
    for number, line in enumerate(lines, 1):
        if line.startswith("# ") and name == "imported":
            name = line[2:].strip() or name
        elif line.startswith("<!-- memchat: "):
            about = _parse(line)
            times = (about.get("created_at", ""), about.get("updated_at", ""))
            if not about or not all(isinstance(v, str) for v in about.values()):
                raise MemchatError(f"line {number}: the memchat comment is damaged", "Mend or remove it.")
            if not all(not time or is_time(time) for time in times):
                raise MemchatError(f"line {number}: not an ISO 8601 time", "Mend or remove it.")
        elif line.strip():
            raise MemchatError(f"line {number}: text before the first message", _REMEDY)
    known = {key: about.get(key, "") for key in ("model", "memory", "system", "created_at", "updated_at")}
    return SessionRow(id="", name=name, **known)


def _parse(line: str) -> dict[str, Any]:
    match = _COMMENT.match(line)
    try:
        data = json.loads(match.group(1)) if match else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _turn(lines: list[str], start: int, end: int, key: int) -> TurnRow:
    """The message whose heading is ``lines[start]``; the next one begins at ``lines[end]``."""
    heading = _HEADING.match(lines[start])
    assert heading is not None
    role, name = heading.group(1).lower(), heading.group(2)
    about = _parse(lines[start + 1]) if start + 1 < end else {}
    status, at = about.get("status", "complete"), about.get("at", "")
    if about:
        name = about.get("name")
        body = lines[start + 2 : end]
        body = body[1:] if body[:1] == [""] else body
        body = body[:-1] if body[-1:] == [""] else body
        closed = about.get("closed")
        content = "\n".join(body).removesuffix(f"\n{closed}" if isinstance(closed, str) else "")
    else:
        content = "\n".join(lines[start + 1 : end]).strip()
    if status not in get_args(Status) or not isinstance(at, str) or (at and not is_time(at)):
        raise MemchatError(f"line {start + 2}: the comment is damaged", "Mend or remove it.")
    return TurnRow(
        id=key,
        session="",
        parent=key - 1 or None,
        role=role,
        content=_ESCAPED_HEADING.sub(r"\1", content),
        at=at,
        status=status,
        name=name if isinstance(name, str) else None,
    )

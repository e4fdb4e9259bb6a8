"""Sessions as JSON: the whole tree with everything that is stored. Reads conversation lines as well.

Turns are numbered from 1 within a file, because ids of one store mean nothing in another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from typing import Any, get_args

from memchat.errors import MemchatError
from memchat.store.records import Incoming, SessionRow, Status, TurnRow
from memchat.store.text import is_time
from memchat.store.turns import ROLES

FORMAT = "memchat-session"
VERSION = 1

_REMEDY = "Nothing was imported; mend the file and try again."


def dump(session: SessionRow, turns: list[TurnRow]) -> str:
    """A JSON object, one turn a line."""
    number = {turn.id: index for index, turn in enumerate(turns, 1)}
    head = {
        "id": session.id,
        "name": session.name,
        "created_at": session.created_at,
        "updated_at": session.updated_at,
        "model": session.model,
        "memory": session.memory,
        "system": session.system,
        "parent": session.parent,
        "head": number.get(session.head or 0),
    }
    lines = []
    for turn in turns:
        line: dict[str, Any] = {
            "id": number[turn.id],
            "parent": number[turn.parent] if turn.parent else None,
            "role": turn.role,
            "content": turn.content,
            "at": turn.at,
            "status": "interrupted" if turn.status == "streaming" else turn.status,
        }
        lines.append(line | ({"name": turn.name} if turn.name else {}) | ({"meta": turn.meta} if turn.meta else {}))
    body = ",\n".join(f"  {_json(line)}" for line in lines)
    return f"""{{
 "format": "{FORMAT}",
 "version": {VERSION},
 "session": {_json(head)},
 "turns": [
{body}
 ]
}}
"""


def load(text: str) -> list[Incoming]:
    """The sessions in a JSON object, an array of them, or JSON lines.

    Raises:
        MemchatError: naming the line of the first fault.
    """
    found: list[Incoming] = []
    for line, piece in _pieces(text):
        try:
            found += _read_piece(piece, json.JSONDecoder())
        except _FaultError as fault:
            where = line + piece.count("\n", 0, _start_of_fault(piece))
            raise MemchatError(f"line {where}: {fault.reason}", _REMEDY) from None
    if not found:
        raise MemchatError("line 1: there is no conversation in it", _REMEDY)
    return found


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    """(number of its first line, text) of each JSON value: the whole text, or line by line."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Extra data"):
            raise MemchatError(f"line {error.lineno}: not JSON: {error.msg}", _REMEDY) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets 100,000 deep
        raise MemchatError(f"line 1: not readable as JSON: {error}", _REMEDY) from None
    else:
        yield 1, text
        return
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
                raise MemchatError(f"line {number}: not JSON: {reason}", _REMEDY) from None
            yield number, line


class _FaultError(Exception):
    """What is wrong, and the object in which it is."""

    def __init__(self, reason: str, where: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = where


class _Located(dict[str, Any]):
    """A JSON object that knows at which character it begins."""

    start = 0


def _start_of_fault(piece: str) -> int:
    """Where the faulty object begins: read once more, with a slow decoder that knows."""
    try:
        _read_piece(piece, _locating_decoder())
    except _FaultError as fault:
        return getattr(fault.where, "start", 0)
    except RecursionError:  # it cannot go as deep as the quick one
        pass
    return 0


def _locating_decoder() -> json.JSONDecoder:
    decoder: Any = json.JSONDecoder()
    plain: Callable[..., tuple[dict[str, Any], int]] = decoder.parse_object

    def parse_object(state: tuple[str, int], *rest: Any) -> tuple[_Located, int]:
        value, end = plain(state, *rest)
        located = _Located(value)
        located.start = state[1]
        return located, end

    decoder.parse_object = parse_object
    decoder.scan_once = py_make_scanner(decoder)
    return decoder


def _read_piece(piece: str, decoder: json.JSONDecoder) -> list[Incoming]:
    value = decoder.decode(piece)
    return [_read_session(item) for item in (value if isinstance(value, list) else [value])]


def _read_session(value: Any) -> Incoming:
    if not isinstance(value, dict):
        raise _FaultError("expected a JSON object", value)
    if value.get("format") == FORMAT:
        if _field(value, "version", int) > VERSION:
            raise _FaultError("written by a newer memchat", value)
        return _exported(value)
    if "sessions" in value:
        return _conversation(value)
    raise _FaultError("neither an exported session nor a conversation (it has no 'sessions')", value)


_NAMES = {str: "a text", int: "a whole number", dict: "an object", list: "a list"}
_REQUIRED: Any = object()


def _field(data: dict[str, Any], key: str, kind: type, default: Any = _REQUIRED) -> Any:
    value = data.get(key)
    if value is None and default is not _REQUIRED:
        return default
    if value is None:
        raise _FaultError(f"{key!r} is missing", data)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _FaultError(f"{key!r} is not {_NAMES[kind]}", data)
    return value


def _time(data: dict[str, Any], key: str, default: str = "") -> str:
    value = _field(data, key, str, default)
    if value and not is_time(value):
        raise _FaultError(f"{key!r} is not an ISO 8601 time", data)
    return str(value)


def _turn(data: Any, parent: object, key: int, back: int | None, at: str = "") -> TurnRow:
    """One turn; ``parent`` is the object that it stands in."""
    if not isinstance(data, dict):
        raise _FaultError("a turn is not an object", parent)
    role = _field(data, "role", str)
    status = _field(data, "status", str, "complete")
    if role not in ROLES:
        raise _FaultError(f"the role {role!r} is none of {', '.join(ROLES)}", data)
    if status not in get_args(Status):
        raise _FaultError(f"unknown status {status!r}", data)
    return TurnRow(
        id=key,
        session="",
        parent=back,
        role=role,
        content=_field(data, "content", str),
        at=_time(data, "at", at),
        status=status,
        name=_field(data, "name", str, None),
        meta=_field(data, "meta", dict, {}),
    )


def _exported(value: dict[str, Any]) -> Incoming:
    data = _field(value, "session", dict)
    turns: list[TurnRow] = []
    known: set[int | None] = {None}
    for item in _field(value, "turns", list):
        turn = _turn(item, value, 0, None)
        key, back = _field(item, "id", int), _field(item, "parent", int, None)
        if key in known or back not in known:
            raise _FaultError("a turn's id must be new and its parent must stand before it", item)
        known.add(key)
        turns.append(_turn(item, value, key, back, turn.at))
    head = _field(data, "head", int, None)
    if head not in known:
        raise _FaultError(f"'head' is {head}, which is no turn", data)
    return SessionRow(
        id=_field(data, "id", str, ""),
        name=_field(data, "name", str),
        created_at=_time(data, "created_at"),
        updated_at=_time(data, "updated_at"),
        model=_field(data, "model", str, ""),
        memory=_field(data, "memory", str, ""),
        system=_field(data, "system", str, ""),
        parent=_field(data, "parent", str, None),
        head=head,
    ), turns


def _conversation(value: dict[str, Any]) -> Incoming:
    """A conversation with probes: its sessions follow one another on one branch."""
    turns: list[TurnRow] = []
    for session in _field(value, "sessions", list):
        if not isinstance(session, dict):
            raise _FaultError("a session is not an object", value)
        at = _time(session, "at")
        for item in _field(session, "turns", list):
            turns.append(_turn(item, session, len(turns) + 1, len(turns) or None, at))
    name = _field(value, "id", str, "conversation")
    return SessionRow("", name, "", "", "", "", head=len(turns) or None), turns

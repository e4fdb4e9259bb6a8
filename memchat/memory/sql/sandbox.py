"""Running the models' SQL over a copy of the table, and what may leave it.

For storage, what the SQL did to the copy is its meaning: only that difference leaves this module. For retrieval, what
leaves are cells of the table given, never a value that SQL computed: which fields a SELECT read is told by SQLite's
authorizer, whose rows it found by running it over the rows one at a time.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from time import monotonic

from memchat.memory.sql import fields, repair
from memchat.memory.sql.box import SECONDS, Box, RefusedError
from memchat.memory.sql.table import ASSISTANT, OTHER, USER, Cell, Change, Difference, NewPerson, Table

STATEMENTS, SELECTS, ROWS, BYTES = 24, 12, 50, 8192
MAX_SQL, MAX_TEXT = 4096, 8192

_READS = ("SELECT", "WITH")
_WRITES = (*_READS, "ALTER", "INSERT", "REPLACE", "UPDATE")

_START = re.compile(r"\s*(?:ALTER|UPDATE\s+(?!SET\b)|INSERT|REPLACE|SELECT|DELETE|DROP|NOOP)\b", re.I)
_GOES_ON = re.compile(r"(?:[(,=]|\b(?:UNION|ALL|EXCEPT|INTERSECT|AS|DO|OR|PLAN|EXPLAIN))\s*\Z", re.I)


@dataclass(frozen=True)
class Statement:
    """What became of one statement. `outcome` is ok, repaired, refused (not allowed), failed (wrong) or dropped."""

    text: str
    outcome: str
    reason: str = ""


@dataclass(frozen=True)
class Execution:
    """A storage call: its statements, what they did together, and repairs of the whole answer (fences, prose)."""

    statements: tuple[Statement, ...]
    difference: Difference
    repairs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """One cell that was read; `value` is None where it is not known."""

    person: int
    field: str
    value: str | None
    since: str | None


@dataclass(frozen=True)
class Read:
    """A retrieval call: statements, all cells that were read, and those that fit into the caps, known ones first."""

    statements: tuple[Statement, ...]
    cells: frozenset[Cell]
    rows: tuple[Row, ...]
    repairs: tuple[str, ...] = ()


def split(text: str) -> list[str]:
    """Statements, without the word NOOP; a line that begins a statement begins one even where ``;`` was forgotten."""
    found, part = [], ""
    for line in text.splitlines(keepends=True):
        if _START.match(line) and part.strip() and _ends(part, line):
            found.append(part)
            part = ""
        for piece in re.findall(r"[^;]*;|[^;]+\Z", line):
            part += piece
            if piece.endswith(";") and len(part) <= MAX_SQL and sqlite3.complete_statement(part):
                found.append(part)
                part = ""
    stripped = (part.strip().rstrip(";").strip() for part in [*found, part])
    return [part for part in stripped if part and part.upper() != "NOOP"]


def _ends(part: str, line: str) -> bool:
    first, following = part.split(None, 1)[0].upper(), line.split(None, 1)[0].upper()
    if first in ("WITH", "EXPLAIN") or (first in ("INSERT", "REPLACE") and following == "SELECT"):
        return False
    return not _GOES_ON.search(part) and len(part) <= MAX_SQL and repair.complete(part)


def _words_for(table: Table, me: int, you: int) -> dict[str, int]:
    """Words a model uses for a person, and whom they mean: names first, then aliases, handles and pronouns."""
    people = sorted(table.people, key=lambda p: p.id != me)
    words = [(p.name, p.id) for p in people] + [(alias, p.id) for p in people for alias in p.aliases]
    words += [(relation, table.person(relation).id) for relation in (USER, ASSISTANT)]
    words += [(word, me) for word in ("i", "me", "my", "myself", "target")] + [(word, you) for word in ("you", "your")]
    found: dict[str, int] = {}
    for word, person in words:
        found.setdefault(word.casefold(), person)
    return found


def _outcome(text: str, original: str, did: list[str], reason: str = "") -> Statement:
    repaired = did or text not in original
    return Statement(text, "repaired" if repaired else "ok", ", ".join([*did, *([reason] if reason else [])]))


def _failed(text: str, error: Exception) -> Statement:
    if isinstance(error, RefusedError) or re.search(r"not authorized|prohibited", str(error)):
        return Statement(text, "refused", str(error))
    slow = str(error) == "interrupted"
    return Statement(text, "failed", f"took longer than {SECONDS * 1000:.0f} ms" if slow else str(error))


def _unfit(text: str, number: int, limit: int, verbs: tuple[str, ...]) -> Statement | None:
    verb = re.split(r"\W", text, maxsplit=1)[0].upper()
    if number >= limit:
        return Statement(text, "refused", f"more than {limit} statements")
    if verb not in verbs:
        return Statement(text, "refused", f"{verb or 'this'} is not allowed")
    return Statement(text, "refused", "too long") if len(text.encode()) > MAX_SQL else None


def _prepared(sql: str) -> tuple[list[str], tuple[str, ...]]:
    text, done = repair.clean(sql[:MAX_TEXT])
    return split(repair.close_lines(text)), done


def run_storage(sql: str, table: Table, target: int, aliases: Mapping[str, str] | None = None) -> Execution:
    """Run a storage agent's answer over a copy of the table.

    Args:
        sql: anything the model wrote; nothing in it can raise.
        target: id of the person whose line it was: whom "me" means.
        aliases: names of fields that were merged, and the field each means now.
    """
    parts, done = _prepared(sql)
    with closing(Box(table)) as box:
        people = _words_for(table, target, target)
        found = [
            _unfit(text, i, STATEMENTS, _WRITES) or _store(box, text, sql, people, aliases or {})
            for i, text in enumerate(parts)
        ]
        return Execution(tuple(found), _difference(box, target), done)


def _store(box: Box, text: str, original: str, people: Mapping[str, int], aliases: Mapping[str, str]) -> Statement:
    did: list[str] = []
    unique = ""
    box.deadline = monotonic() + SECONDS
    while True:
        try:
            names = repair.new_columns(text)
            if names is not None:
                return _outcome(text, original, [done for name in names[:8] if (done := _column(box, name, aliases))])
            changed = box.write(text, unique)
        except (sqlite3.Error, sqlite3.Warning, ValueError, RefusedError) as error:
            upsert = re.search(r"ON\s+CONFLICT\s*\(\s*(name|relation)\s*\)", text, re.I)
            if upsert and not unique and "ON CONFLICT" in str(error):
                unique = upsert[1]  # in the copy nothing is unique but the id
                continue
            mended = _mended(box, text, error, did, aliases)
            if mended is None:
                return _failed(text, error)
            text = mended
        else:
            named = text
            if changed == 0 and "person" not in did:
                named = repair.name_people(text, people)
                named = repair.add_person(text) if named == text else named
            if named == text:
                return _outcome(text, original, did, "no row changed" if changed == 0 else "")
            text = named
            did.append("person")


def _column(box: Box, name: str, aliases: Mapping[str, str]) -> str:
    """See that there is a column for a name the model made up; what had to be done differently, in words."""
    field = fields.match(name, box.columns, aliases) or fields.normalise(name)
    if field is None:
        raise RefusedError("a field's name needs Latin letters")
    if field in box.columns or name.casefold() in ("id", "name", "relation"):
        return f"there is a column {field if field in box.columns else name}"
    box.add(field)
    return "" if field == name else f"column {field}"


def _mended(box: Box, text: str, error: Exception, did: list[str], aliases: Mapping[str, str]) -> str | None:
    """The statement after the next repair that its error calls for, or None."""
    missing = re.search(r"no such column: (?:\w+\.)?(.+)|has no column named (.+)", str(error))
    if missing is None:
        return _mended_syntax(text, error, did)
    column = missing[1] or missing[2]
    field = fields.match(column, box.columns, aliases) or fields.normalise(column)
    what = f"column {column}" if column == field else f"column {column} as {field}"
    if field is None or what in did or len(did) >= 8 or (missing[1] and not repair.writes(text, column)):
        return None  # an unquoted value looks like a column too
    did.append(what)
    if field not in box.columns:
        box.add(field)
    return repair.rename(text, column, field)


def _mended_syntax(text: str, error: Exception, did: list[str]) -> str | None:
    if not re.search(r"syntax error|unrecognized token|incomplete input|one statement at a time", str(error)):
        return None
    mended, steps = repair.mend(text)
    if mended == text or any(step in did for step in steps):
        return None
    did.extend(steps)
    return mended


def _difference(box: Box, target: int) -> Difference:
    table, names = box.table, ["name", *box.columns]
    old = {(p.id, "name"): p.name for p in table.people} | dict(table.cells)
    changed: dict[Cell, str | None] = {}
    new: dict[str, dict[str, str]] = {}
    for row, (name, relation, *values) in box.rows().items():
        cells = {f: None if v == "" else v for f, v in zip(names, [name, *values], strict=True)}
        texts = {f: v for f, v in cells.items() if isinstance(v, str)}  # what is neither text nor NULL is no value
        person = row if any(p.id == row for p in table.people) else _same(table, name, relation, target)
        if person is None:
            new.setdefault(texts.pop("name", ""), {}).update(texts)
            continue
        if person == row:
            said: dict[str, str | None] = texts | {f: None for f, v in cells.items() if v is None}
        else:  # in a row that was added, the name says who is meant, and blanks say nothing
            said = {f: v for f, v in texts.items() if f != "name"}
        changed.update({(person, f): v for f, v in said.items() if v != old.get((person, f))})
    order = {name: i for i, name in enumerate(names)}
    changes = sorted(changed, key=lambda cell: (cell[0], order[cell[1]]))
    return Difference(
        tuple(box.columns[len(table.fields) :]),
        tuple(Change(*cell, old.get(cell), changed[cell]) for cell in changes),
        tuple(NewPerson(name, OTHER, tuple(cells.items())) for name, cells in new.items()),
    )


def _same(table: Table, name: object, relation: object, target: int) -> int | None:
    """Whom an added row means, where it is somebody the table has: nobody comes twice."""
    handle, called = str(relation or "").casefold(), str(name or "").casefold()
    if handle in (USER, ASSISTANT):
        return table.person(handle).id
    among = sorted(table.people, key=lambda p: p.id != target)
    among = [p for p in among if not handle or p.relation == OTHER]
    return next((p.id for p in among if called in (n.casefold() for n in (p.name, *p.aliases))), None)


def run_retrieval(sql: str, table: Table, aliases: Mapping[str, str] | None = None) -> Read:
    """Run a retrieval agent's answer; "me" is the user, "you" the assistant. Nothing in `sql` can raise."""
    parts, done = _prepared(sql)
    found: list[Statement] = []
    cells: dict[Cell, None] = {}
    with closing(Box(table)) as box:
        people = _words_for(table, table.person(USER).id, table.person(ASSISTANT).id)
        for i, text in enumerate(parts):
            statement, read = _unfit(text, i, SELECTS, _READS), list[Cell]()
            if statement is None:
                statement, read = _select(box, text, sql, people, aliases or {})
            found.append(statement)
            cells.update(dict.fromkeys(read))
    names = {p.id: p.name for p in table.people}
    values = {(p, f): names[p] if f == "name" else table.cells.get((p, f)) for p, f in cells}
    shown = sorted(values, key=lambda cell: values[cell] is None)[:ROWS]
    rows = [Row(*cell, values[cell], table.since.get(cell)) for cell in shown]
    return Read(tuple(found), frozenset(cells), _fitting(rows), done)


def _fitting(rows: list[Row]) -> tuple[Row, ...]:
    kept, size = [], 0
    for row in rows:
        size += len(f"{row.field}{row.value or ''}".encode())
        if size <= BYTES:
            kept.append(row)
    return tuple(kept)


def _select(
    box: Box, text: str, original: str, people: Mapping[str, int], aliases: Mapping[str, str]
) -> tuple[Statement, list[Cell]]:
    did: list[str] = []
    box.deadline = monotonic() + SECONDS
    while True:
        box.seen = set()
        try:
            rows, header = box.read(text)
            if not rows and "person" not in did:
                named = repair.name_people(text, people)
                if named != text:
                    text = named
                    did.append("person")
                    continue
            names = [name for name in box.table.fields if name in box.seen]
            names = (["name"] if "name" in box.seen and "name" in header else []) + names
            if not names:
                return Statement(text, "dropped", "reads no field"), []
            return _outcome(text, original, did), _cells(box, text, rows, names)
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            missing = re.search(r"no such column: (?:\w+\.)?(.+)", str(error))
            field = fields.match(missing[1], box.columns, aliases) if missing else None
            if missing and field in box.columns and "column name" not in did:
                did.append("column name")
                text = repair.rename(text, missing[1], str(field))
                continue
            mended = _mended_syntax(text, error, did)
            if mended is None:
                return _failed(text, error), []
            text = mended


def _cells(box: Box, text: str, rows: list[tuple[object, ...]], names: list[str]) -> list[Cell]:
    """The cells behind a result: of the people whose row alone, in a table of one row, gives part of it."""
    if not rows:
        return []
    people, read = box.table.people, [name for name in names if name != "name"]
    found = []
    with box.undone():
        box.fill((), ())
        empty = box.read_again(text)  # not empty where the SELECT counts, or makes rows up
        for person in people:
            box.fill((person,), read)
            alone = box.read_again(text)
            if alone != empty and (empty or any(row in rows for row in alone)):
                found.append(person.id)
    if found:
        return [(person, name) for person in found for name in names]
    values = {value for row in rows for value in row}  # rows of several people at once: told by their values
    return [(p.id, name) for p in people for name in names if box.table.cells.get((p.id, name)) in values - {None}]

r"""Repairs of SQL that a small model wrote: cheap, deterministic, in a fixed order, each at most once.

Some are for the whole answer before it is split into statements (`clean`, `close_lines`), the others for one statement
that failed (`mend`) or changed nothing (`name_people`, `add_person`). All are pure: text in, text out, and what was
done in words that the user sees.
The most frequent break is an apostrophe inside a value (``'I'm a coach'``): whether a quote ends its value is told
by what follows it, and where that is not plain the text stays as it was, because a statement that fails does less
harm than one that stores half of another statement as a value.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping

from memchat.memory.sql import fields

VERBS = (
    r"(?:ALTER|ANALYZE|ATTACH|BEGIN|COMMIT|CREATE|DELETE|DETACH|DROP|END|EXPLAIN|INSERT|NOOP|PRAGMA|REINDEX|RELEASE|"
    r"REPLACE|ROLLBACK|SAVEPOINT|SELECT|UPDATE|VACUUM|VALUES|WITH)\b"
)
_VERB = re.compile(rf"\s*{VERBS}", re.I)
_MORE = re.compile(
    r"\s*(?:SET|WHERE|VALUES|AND|OR|ON|DO|FROM|ORDER|GROUP|LIMIT|UNION|RETURNING|CASE|WHEN|THEN|ELSE|ADD|"
    r"\w+\s*=)\b|\s*(?:[(),;'\"]|\w+\s*=)",
    re.I,
)
_LEAD = re.compile(rf"\s*(?:[-*•>]\s+|\d+[.)]\s+)?\[?\s*(?:[A-Z ]*SQL[A-Z ]*:)?\s*([\"'`]?)\s*(?={VERBS})", re.I)
_FENCE = re.compile(r"^[ \t]*```(?:sql\w*)?\s*(.*?)(?:```|\Z)", re.I | re.S | re.M)
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_STRING = r"'(?:[^']|'')*'"
_AFTER = re.compile(
    r"\s*(?:\Z|[;)]|\|\||,\s*(?:[\"\[(]?\w[\w -]*[\"\]]?\s*=|[\"'(]|-?\d|NULL\b)"
    r"|(?:WHERE|AND|OR|where|and|or)\s+[\"\[(]?\w+[\"\]]?\s*(?:[=<>!]|(?i:IS|LIKE|IN|NOT)\b)"
    r"|(?:WHEN|THEN|ELSE|END|ON|RETURNING|AS|FROM|ORDER|LIMIT|UNION|COLLATE)\b)"
)
"""What follows a quote that ends its value."""

_ADD = re.compile(r"\s*ALTER\s+TABLE\s+[\"'`\[]?users[\"'`\]]?\s+ADD\b\s*(.*?)[\s;]*\Z", re.I | re.S)
_COLUMN = re.compile(
    r"(?:COLUMN\s+)?(?:IF\s+NOT\s+EXISTS\s+)?(?:([\"'`])(?P<quoted>.+?)\1|\[(?P<braced>[^\]]+)\]|"
    r"(?P<bare>\w[\w -]*?))(?:\s+(?:TEXT|(?:VAR|N)?CHAR|CLOB|STRING|INT|REAL|FLOAT|DOUBLE|NUM|BLOB|BOOL|DATE|TIME|"
    r"DEFAULT|NOT|NULL|UNIQUE|CHECK|REFERENCES|COLLATE|PRIMARY|GENERATED|AS\b|--).*)?\Z",
    re.I | re.S,
)
_LEFT = re.compile(r"(\bSET\s+|,\s*)([A-Za-z]\w*(?:[ -]+\w+)*)(?=\s*=)", re.I)
_INTO = re.compile(r"(\b(?:INSERT|REPLACE)\b[^(']*\()([^()]*)(?=\))", re.I)
_WHO = re.compile(rf"(?:\busers\s*\.\s*)?\b(?:name|relation)\s*(?:==?|\bIS\b|\bLIKE\b)\s*({_STRING}|\"[^\"]*\")", re.I)

_SET = re.compile(rf"UPDATE\s+users\s+SET\s+(\w+)\s*=\s*({_STRING})\s+WHERE\s+name\s*=\s*({_STRING})\s*;?\s*\Z", re.I)


def complete(text: str) -> bool:
    """Whether the text ends outside quotes and comments."""
    return sqlite3.complete_statement(f"{text}\n;")


def starts(line: str) -> bool:
    """Whether a line begins with a word that begins statements."""
    return _VERB.match(line) is not None


def clean(text: str) -> tuple[str, tuple[str, ...]]:
    """The answer of a model without what is not SQL: control characters, code fences, list marks, prose."""
    done = []
    for what, step in (
        ("control characters", lambda t: _CONTROL.sub("", t)),
        ("code fence", _unfence),
        ("list", _unlist),
        ("prose", _drop_prose),
    ):
        after = step(text)
        if after != text:
            text = after
            done.append(what)
    return text, tuple(done)


def _unfence(text: str) -> str:
    return "\n".join(block.strip() for block in _FENCE.findall(text)) if _FENCE.search(text) else text


def _unlist(text: str) -> str:
    """Statements out of a JSON or Python list, or out of a bulleted one."""
    if re.match(r"\s*\[\s*[\"'`]", text):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, list) and all(isinstance(part, str) for part in parsed):
            return ";\n".join(part.strip().rstrip(";") for part in parsed) + ";"
        text = re.sub(rf"([\"'`])\s*,\s*([\"'`])\s*(?={VERBS})", r"\1\n\2", text, flags=re.I)
    return "\n".join(_unmark(line) for line in text.split("\n"))


def _unmark(line: str) -> str:
    lead = _LEAD.match(line)
    if lead is None or not lead[0].strip():
        return line
    rest = line[lead.end() :]
    if lead[1]:
        rest = re.sub(rf"{lead[1]}[\s,\]]*\Z", "", rest)
    return rest if not lead[1] or rest.rstrip().endswith(";") else f"{rest};"


def _drop_prose(text: str) -> str:
    """Only the lines that begin a statement, or go on with one that has not ended."""
    kept: list[str] = []
    part = ""
    for line in text.split("\n"):
        if _VERB.match(line):
            part = line
        elif part and not part.rstrip().endswith(";") and (_MORE.match(line) or not complete(part)):
            part += f"\n{line}"
        else:
            part = ""
            continue
        kept.append(line)
    return "\n".join(kept)


def close_lines(text: str) -> str:
    """Mend the quotes of lines that end inside one while the next line begins a statement: they would swallow it."""
    lines = text.split("\n")
    for i, line in enumerate(lines):
        if starts(line) and not complete(line) and (i + 1 == len(lines) or starts(lines[i + 1])):
            lines[i] = mend(line)[0]
    return "\n".join(lines)


def mend(statement: str) -> tuple[str, tuple[str, ...]]:
    r"""Repair what can make the syntax of a statement wrong: ``\'``, an open quote, apostrophes, names of columns."""
    done = []
    for what, step in (
        ("backslash", lambda t: t.replace("\\'", "''")),
        ("open quote", _close),
        ("apostrophe", _double),
        ("column name", _names),
    ):
        after = step(statement)
        if after != statement:
            statement = after
            done.append(what)
    return statement, tuple(done)


def _apostrophes(text: str) -> tuple[list[int], bool] | None:
    """(Quotes that stand inside a value, whether a value is open at the end); None where it cannot be told."""
    inside: list[int] = []
    opened, i = -1, 0
    while i < len(text):
        here = i
        i += 1
        if opened < 0:
            if text[here] == '"':
                i = max(i, text.find('"', i) + 1)
            elif text[here] == "'":
                opened = here
        elif text[here] != "'":
            continue
        elif text[i : i + 1] == "'" and not (here == opened + 1 and _AFTER.match(text, i)):
            i += 1  # '' is one apostrophe
        elif _AFTER.match(text, i):
            opened = -1
        elif re.search(r"=\s*\Z", text[opened:here]):
            return None  # a quote that opens a value inside a value: the earlier one was never closed
        else:
            inside.append(here)
    return inside, opened >= 0


def _close(text: str) -> str:
    found = _apostrophes(text)
    if not found or not found[1]:
        return text
    body = text.rstrip().rstrip(";").rstrip()
    return f"{body}'{text[len(body) :]}"


def _double(text: str) -> str:
    found = _apostrophes(text)
    marks = set(found[0]) if found and not found[1] else set()
    return "".join("''" if i in marks else c for i, c in enumerate(text))


def _fit(name: str) -> str:
    """The name as a column that needs no quotes; plain names stay as they are."""
    bare = name.strip()
    wrong = re.search(r"[ -]", bare) or bare.casefold() in fields.KEYWORDS
    return name.replace(bare, fields.normalise(bare) or bare) if wrong and bare[:1].isalpha() else name


def _names(text: str) -> str:
    """Hyphens, spaces and reserved words in the columns that an UPDATE or INSERT writes become one plain name."""

    def listed(found: re.Match[str]) -> str:
        return found[1] + ",".join(_fit(name) for name in found[2].split(","))

    parts = re.split(rf"({_STRING})", text)
    parts[::2] = [_LEFT.sub(lambda m: m[1] + _fit(m[2]), part) for part in parts[::2]]
    return _INTO.sub(listed, "".join(parts), count=1)


def new_columns(statement: str) -> list[str] | None:
    """The names in ``ALTER TABLE users ADD COLUMN ..``, as they are written; None for any other statement."""
    found = _ADD.match(statement)
    if found is None:
        return None
    names = [_COLUMN.match(part.strip()) for part in re.split(r",\s*ADD\b", found[1], flags=re.I)]
    return [str(n["quoted"] or n["braced"] or n["bare"]) for n in names if n] or None


def writes(statement: str, column: str) -> bool:
    """Whether an UPDATE writes the column, rather than reading it (as an unquoted value would be read)."""
    masked = re.sub(_STRING, "''", statement)
    head = re.split(r"\bWHERE\b", masked, flags=re.I)[0]
    name = rf"[\"\[`]?{re.escape(column)}[\"\]`]?\s*"
    return re.search(rf"(?:\bSET\b|,)\s*{name}=|\bSET\s*\([^)]*\b{name}[,)]", head, re.I) is not None


def name_people(statement: str, people: Mapping[str, int]) -> str:
    """Conditions on a name that finds nobody (an alias, a handle, "me") become conditions on that person's id."""
    masked = re.sub(rf"{_STRING}|\"[^\"]*\"", lambda m: "_" * len(m[0]), statement)
    where = re.search(r"\bWHERE\b", masked, re.I)
    if where is None:
        return statement

    def known(found: re.Match[str]) -> str:
        literal = found[1][1:-1].replace("''", "'").strip().casefold()
        return f"id = {people[literal]}" if literal in people else found[0]

    return statement[: where.end()] + _WHO.sub(known, statement[where.end() :])


def add_person(statement: str) -> str:
    """An UPDATE that sets a field of somebody by name, as the INSERT for somebody new; anything else as it is."""
    form = r"INSERT INTO users (name, relation, \1) VALUES (\3, 'other', \2);"
    return _SET.sub(form, statement)


def rename(statement: str, old: str, new: str) -> str:
    """The statement with one column called otherwise; strings stay as they are."""
    parts = re.split(rf"({_STRING})", statement)
    name = rf"[\"`\[]{re.escape(old)}[\"`\]]|\b{re.escape(old)}\b"
    parts[::2] = [re.sub(name, new, part, flags=re.I) for part in parts[::2]]
    return "".join(parts)

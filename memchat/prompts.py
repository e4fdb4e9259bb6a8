"""The prompts of the SQL memory, as text: what its agents are asked and what the model answers from.

The memory sends them and the world trains on them, so both come here; the words stand in ``assets/prompts/sql.toml``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from memchat.paths import shipped
from memchat.shelf import texts


def storage(target: str, name: str, row: Mapping[str, str], others: Iterable[str], people: Iterable[str] | None) -> str:
    """The system text of the storage agent.

    Args:
        target: handle of the person whose line is marked: user or assistant. name: the display name.
        row: what is known of that person.
        others: names of other fields.
        people: names of other people who have rows; None where such rows are not kept.
    """
    form = _form("storage")
    lines = [form["system"].format(target=target, name=name)]
    lines += [form["row"].format(field=field, value=value) for field, value in row.items()]
    lines.append(form["fields"].format(fields=", ".join(others) or form["none"]))
    known = form["people_off"] if people is None else form["people_on"].format(people=", ".join(people) or form["none"])
    return "\n".join([*lines, known, form["form"]])


def near(lines: Sequence[tuple[str, str]], marked: int) -> str:
    """The user text of the storage agent: (role, text) of the target's line, `marked`, and of its neighbours."""
    form = _form("storage")
    forms = [form["marked" if i == marked else "line"] for i in range(len(lines))]
    return "\n".join(form.format(role=role, text=text) for form, (role, text) in zip(forms, lines, strict=True))


def retrieval(user: str, assistant: str, fields: Iterable[tuple[str, Iterable[str]]]) -> str:
    """The system text of the retrieval agent: display names, and every field with the people whose value is known."""
    form = _form("retrieval")
    lines = [form["system"].format(user=user, assistant=assistant)]
    lines += [form["field"].format(field=field, known=", ".join(known)).rstrip() for field, known in fields]
    return "\n".join([*lines, form["form"]])


def note(who: str, field: str, value: str | None, since: str = "", noted: str = "") -> str:
    """One row that the model answers from; None is a value that is not known.

    Args:
        noted: the row in plain words, as the agent noted it.
    """
    form = _form("notes")
    dated = form["since"].format(date=since) if since else ""
    said = form["noted"].format(text=noted) if noted else ""
    return form["row"].format(who=who, field=field, value=value or form["unknown"], since=dated, noted=said)


def notes(rows: Iterable[str]) -> str:
    """The block of rows in the model's system message."""
    return "\n".join([_form("notes")["heading"], *rows])


def fingerprint() -> str:
    """What an adapter and a prediction record of the prompts they were made with."""
    content = shipped("assets", "prompts", "sql.toml").read_bytes()
    return hashlib.sha256(content).hexdigest()[:16]


def _form(name: str) -> Mapping[str, str]:
    forms: Mapping[str, str] = texts("sql", "prompts")[name]
    return forms

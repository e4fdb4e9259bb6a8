"""The table ``users`` of the two agents that write SQL: its rows, its statements, and their prompts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from memchat import prompts
from memchat.data.tasks.shared import fill
from memchat.shelf import texts

SPEAKERS = ("user", "assistant")


@dataclass
class Table:
    """What ``users`` holds: cells of every row (key: relation, or the name of another person) and the field columns."""

    rows: dict[str, dict[str, str]]
    columns: list[str] = field(default_factory=list)

    def copy(self) -> Table:
        """A table that changes on its own."""
        return Table({key: dict(row) for key, row in self.rows.items()}, list(self.columns))

    def set(self, key: str, name: str, value: str) -> None:
        """Write one cell; a missing row or column comes into being."""
        if name != "name" and name not in self.columns:
            self.columns.append(name)
        self.rows.setdefault(key, {"name": key})[name] = value


def quoted(value: str) -> str:
    """The value as an SQL literal."""
    return "'" + value.replace("'", "''") + "'"


def where(key: str) -> str:
    """The condition that finds a row."""
    return f"relation = '{key}'" if key in SPEAKERS else f"name = {quoted(key)}"


def storage_sql(table: Table, edits: Iterable[tuple[str, str, str | None]]) -> str:
    """The statements that make `edits` in `table`, which is changed accordingly; NOOP where there are none."""
    form, said = texts("sql")["sql"], []
    for key, name, value in edits:
        if name != "name" and name not in table.columns:
            table.columns.append(name)
            said.append(fill(form["add"], field=name))
        if key not in table.rows:
            assert value is not None
            table.rows[key] = {"name": key}
            said.append(fill(form["insert"], field=name, name=quoted(key), value=quoted(value)))
        else:
            shown = "NULL" if value is None else quoted(value)
            said.append(fill(form["update"], field=name, who=where(key), value=shown))
        if value is None:
            table.rows[key].pop(name)
        else:
            table.rows[key][name] = value
    return "\n".join(said) or str(form["noop"])


def select_sql(reads: Iterable[tuple[str, str]]) -> str:
    """One SELECT for each cell, or NOOP."""
    form = texts("sql")["sql"]
    return "\n".join(fill(form["select"], field=name, who=where(key)) for key, name in reads) or str(form["noop"])


def storage_prompt(table: Table, target: str, people: bool) -> str:
    """The system text of the storage agent."""
    row = table.rows[target]
    known = {name: value for name, value in row.items() if name != "name"}
    others = [name for name in table.columns if name not in row]
    kept = [key for key in table.rows if key not in SPEAKERS] if people else None
    return prompts.storage(target, row["name"], known, others, kept)


def retrieval_prompt(table: Table) -> str:
    """The system text of the retrieval agent."""
    fields = [(name, [key for key, row in table.rows.items() if name in row]) for name in table.columns]
    return prompts.retrieval(table.rows["user"]["name"], table.rows["assistant"]["name"], fields)

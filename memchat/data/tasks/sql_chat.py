"""The SQL agents' calls in chats of the persona world, line by line as the memory makes them.

A chat knows which cells each of its lines changes and which hold the answer to it (`Line.edits`, `Line.reads`); played
from its beginning over a table, every line is a call of the storage agent and every line of the user one of the
retrieval agent. Most lines of the assistant say back what the user told, and nothing is to be kept of them.
"""

from __future__ import annotations

from random import Random

from memchat import prompts
from memchat.data.tasks.sql import Case, made_case
from memchat.data.tasks.sql_table import SPEAKERS, Table, retrieval_prompt, select_sql, storage_prompt, storage_sql
from memchat.data.world import dialogue
from memchat.data.world.facts import BOT
from memchat.data.world.pen import Line
from memchat.data.world.values import draw

NAMELESS = 0.5
"""How often the speakers have not said what they are called."""

QUIET = 0.3
"""Share kept of the calls for which there is nothing to do: most of a chat's lines."""


def chat_cases(agent: str, split: str, rng: Random, size: int) -> list[Case]:
    """Calls of one agent in one chat of about `size` characters, in their order; few of those with nothing to do."""
    chat = [line for line in dialogue(split, rng, size, 0.35).lines if line.role in SPEAKERS]
    nameless = rng.random() < NAMELESS
    names = {handle: handle.capitalize() if nameless else draw("person", split, rng) for handle in SPEAKERS}
    table = Table({handle: {"name": name} for handle, name in names.items()})
    people, found = rng.random() < 0.5, list[Case]()
    for before, line, after in zip([None, *chat], chat, [*chat[1:], None], strict=False):
        if agent == "retrieval" and line.role == "user" and (case := _asked(table, line)):
            found += [case] if case.reads or rng.random() < QUIET else []
        case = _told(table, (before, line, after if line.role == "user" else None), people)
        table = case.after
        if agent == "storage" and (case.before.rows != case.after.rows or rng.random() < QUIET):
            found.append(case)
    return found


def _told(table: Table, lines: tuple[Line | None, Line, Line | None], people: bool) -> Case:
    """The call of the storage agent for a line between two others; what follows is the reply to a user's."""
    line, after, edits, gist = lines[1], table.copy(), [], []
    for said, ((owner, field), value) in zip(line.gist.splitlines(), line.edits, strict=bool(line.edits)):
        key = _key(owner)
        if key not in SPEAKERS and not people:
            continue
        if value is not None or field in table.rows.get(key, {}).keys() - {"name"}:  # a name can only be changed
            edits.append((key, field, value))
            gist.append(said)
    system = storage_prompt(table, line.role, people)
    near = [one for one in lines if one is line or (one and one.role != line.role)]
    text = prompts.near([(one.role, one.text) for one in near], near.index(line))
    return made_case(table, after, system, text, storage_sql(after, edits), [], "\n".join(gist))


def _asked(table: Table, line: Line) -> Case | None:
    """The call of the retrieval agent for a line; there is none while the table is empty."""
    if not table.columns:
        return None
    cells = [(_key(owner), field) for owner, field in line.reads]
    reads = [(key, field) for key, field in cells if field in table.rows.get(key, {})]
    gist = line.gist if line.kind == "ask" else ""
    return made_case(table, table, retrieval_prompt(table), line.text, select_sql(reads), reads, gist)


def _key(owner: str) -> str:
    return {"": "user", BOT: "assistant"}.get(owner, owner)

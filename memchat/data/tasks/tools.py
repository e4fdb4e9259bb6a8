"""Tool calls: a few tools are defined, people ask for things, the assistant answers with calls.

The system line is one sentence on the form of a call, then one JSON object a line for each tool (name, description,
parameters with their JSON types). A call is one line: the tool's name, a blank, and its arguments as JSON with the
keys in the order of the definition and letters unescaped, e.g. ``set_alarm {"time": "07:30"}``. A request may need
two calls (two lines, in the order asked), or no tool at all (the assistant says so in words). Tools belong to one
split each, like argument values and phrasings; in some episodes the names are made up, so that only the
definition tells which tool does what.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

from memchat.data.grammar import expand, phrases
from memchat.data.tasks.shared import fill, pick, typed, value_of, word_of
from memchat.data.world.pen import Asked, Dialogue, Line
from memchat.shelf import texts


@dataclass(frozen=True)
class Tool:
    """A tool as one episode knows it; `parameters` maps the placeholder of a request to (name, pool)."""

    name: str
    does: str
    parameters: dict[str, tuple[str, str]]
    ask: tuple[str, ...]
    optional: frozenset[str]

    def definition(self) -> str:
        """The JSON line that tells the model about the tool."""
        types = texts("tools")["types"]
        parameters = {
            name: types.get(pool, "string") + (", optional" if key in self.optional else "")
            for key, (name, pool) in self.parameters.items()
        }
        return json.dumps({"name": self.name, "description": self.does, "parameters": parameters}, ensure_ascii=False)


@cache
def tools_of(split: str) -> tuple[dict[str, Any], ...]:
    """The tools of one split as they stand in the file, with their optional parameters."""
    listed = {tool["name"]: tool for tool in texts("tools")["tool"]}
    found = []
    for name in phrases(tuple(listed), split):
        tool = listed[name]
        requests = [text for pattern in tool["ask"] for text in expand(pattern)]
        missing = (key for key in tool["parameters"] if any("{" + key + "}" not in text for text in requests))
        found.append({**tool, "optional": frozenset(missing)})
    return tuple(found)


def _tool(entry: dict[str, Any], split: str, rng: Random, renamed: bool) -> Tool:
    """The tool with this episode's names."""
    names = texts("tools")["names"]
    name = entry["name"]
    if renamed:
        name = "_".join(word_of(split, rng) for _ in range(rng.randint(1, 2)))
    parameters: dict[str, tuple[str, str]] = {}
    for key, pool in entry["parameters"].items():
        taken = {used for used, _ in parameters.values()} | set(entry["parameters"])
        called = rng.choice(names.get(key, (key,))) if renamed else key
        parameters[key] = (key if called in taken else called, pool)
    return Tool(name, entry["does"], parameters, entry["ask"], entry["optional"])


def _json_value(text: str, kind: str) -> str | int | float:
    if kind == "string":
        return text
    return int(text) if kind == "integer" or "." not in text else float(text)


class _Desk:
    """Writes the requests of one episode and the calls that answer them."""

    def __init__(self, split: str, rng: Random) -> None:
        self.split, self.rng, self.file = split, rng, texts("tools")

    def value(self, pool: str) -> str:
        closed = self.file["closed"]
        if pool in closed:
            return str(self.rng.choice(closed[pool]))
        return value_of(pool, self.split, self.rng, self.file["pools"])

    def request(self, tool: Tool) -> tuple[str, str]:
        """What a person says to have the tool used, and the call."""
        text = pick(tool.ask, self.split, self.rng)
        arguments: dict[str, str | int | float] = {}
        said: dict[str, str] = {}
        for key, (name, pool) in tool.parameters.items():
            if "{" + key + "}" not in text:
                continue
            said[key] = self.value(pool)
            while list(said.values()).count(said[key]) > 1:
                said[key] = self.value(pool)
            arguments[name] = _json_value(said[key], self.file["types"].get(pool, "string"))
        call = f"{tool.name} {json.dumps(arguments, ensure_ascii=False)}"
        return fill(text, **said), call

    def wrapped(self, request: str) -> str:
        wrap = pick(self.file["wraps"], self.split, self.rng) if self.rng.random() < 0.7 else "{r}"
        return typed(fill(wrap, r=request), self.rng)

    def turn(self, tools: list[Tool], others: list[dict[str, Any]]) -> tuple[str, str, str]:
        """(user text, assistant text, kind of the question: call or none)."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.1:
            missing = _tool(rng.choice(others), self.split, rng, False)
            return self.wrapped(self.request(missing)[0]), rng.choice(self.file["none"]), "none"
        if kind < 0.15:
            text = pick(self.file["chat"], self.split, rng)
            return typed(fill(text, t=self.value("hobby")), rng), rng.choice(self.file["chat_answers"]), "none"
        first, call = self.request(rng.choice(tools))
        if kind < 0.35:
            second, then = self.request(rng.choice(tools))
            both = fill(pick(self.file["joins"], self.split, rng), a=first, b=second)
            return self.wrapped(both), f"{call}\n{then}", "call"
        return self.wrapped(first), call, "call"


def tools_task(split: str, rng: Random, size: int) -> Dialogue:
    """Tool definitions (two to eight, by `size`) and requests up to about `size` characters, at least one.

    `Asked.answers` holds the whole reply: the calls, or the words if `kind` is ``none``.
    """
    entries = list(tools_of(split))
    rng.shuffle(entries)
    renamed = rng.random() < 0.4
    count = min(rng.randint(2, max(2, min(8, size // 250))), len(entries) - 1)
    tools = [_tool(entry, split, rng, renamed) for entry in entries[:count]]
    desk = _Desk(split, rng)
    head = rng.choice(desk.file["heads"])
    lines = [Line("system", "\n".join([head, *(tool.definition() for tool in tools)]), "system")]
    asked: list[Asked] = []
    used = len(lines[0].text)
    while not asked or used < size:
        said, reply, kind = desk.turn(tools, entries[count:])
        turn = len(lines)
        lines += [Line("user", said, "ask"), Line("assistant", reply, "answer")]
        asked.append(Asked(said, [reply], kind, turn, [turn], []))
        used += len(said) + len(reply)
    return Dialogue(lines, asked, 1)

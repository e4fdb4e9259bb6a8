"""Any table: which of its fields are the turns, the text, the question or the label is said with `--set`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from memchat.data.formats import Conversation, Probe, Session
from memchat.data.importers.convert import asked_kind, iso_time, turns
from memchat.errors import UsageError

KEYS = {
    "turns": "a list of texts, or of objects with speaker and text",
    "speakers": "a list of names, parallel to the turns",
    "user": "what the user says",
    "assistant": "what the assistant says",
    "question": "a question about the conversation, or a list of them",
    "answer": "its answer, or a list: of answers, or of one for each question",
    "at": "when it was said",
    "text": "plain text",
    "input": "what a task gives",
    "output": "what it wants",
    "options": "the outputs to choose from",
    "task": "the task's name",
    "id": "the row's name",
}
WHO, WHAT = ("role", "from", "speaker", "name"), ("content", "text", "value", "utterance")


def kind_of(options: Mapping[str, str]) -> str:
    """What the named fields make: conversations, texts or pairs.

    Raises:
        UsageError: they make nothing, or more than one of these.
    """
    found = [
        kind
        for kind, wanted in (
            ("conversations", [{"turns"}, {"user", "assistant"}, {"user"}]),
            ("texts", [{"text"}]),
            ("pairs", [{"input", "output"}]),
        )
        if any(names <= options.keys() for names in wanted)
    ]
    if len(found) != 1:
        raise UsageError(
            "the fields do not say what to make" if not found else f"the fields make {' and '.join(found)}",
            "Give one of: --set turns=FIELD; --set user=FIELD --set assistant=FIELD; --set text=FIELD; "
            "--set input=FIELD --set output=FIELD.",
        )
    return found[0]


def mapped(row: dict[str, Any], notes: Counter[str], options: Mapping[str, str]) -> Iterator[Any]:
    """What the named fields of a row make; `options["name"]` is the source's name."""
    kind = kind_of(options)
    name = str(_value(row, options["id"])) if "id" in options else f"{options['name']}-{notes['rows']:06d}"
    if kind == "texts":
        yield {"id": name, "text": _text(row, options["text"])}
    elif kind == "pairs":
        yield _pair(row, options)
    else:
        yield _conversation(row, name, options)


def _value(row: dict[str, Any], path: str) -> Any:
    """A field; "a.b" is the field b of the field a, "a+b" both with a line break between them.

    Raises:
        ValueError: the row has no such field.
    """
    if path in row:
        return row[path]
    if "+" in path:
        return "\n".join(text for part in path.split("+") if (text := str(_value(row, part)).strip()))
    value: Any = row
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            raise ValueError(f"{path!r} is missing; the row has {', '.join(map(str, row))}")
        value = value[part]
    return value


def _text(row: dict[str, Any], path: str) -> str:
    """A field as text, of a list its first element.

    Raises:
        ValueError: it is empty or neither a text nor a number.
    """
    value = _value(row, path)
    value = value[0] if isinstance(value, list) and value else value
    if not isinstance(value, str | int | float) or not str(value).strip():
        raise ValueError(f"{path!r} holds no text")
    return str(value)


def _pair(row: dict[str, Any], options: Mapping[str, str]) -> dict[str, Any]:
    task = _text(row, options["task"]) if "task" in options else options["name"]
    value = {"task": task, "input": _text(row, options["input"]), "output": _text(row, options["output"])}
    choices = _value(row, options["options"]) if "options" in options else []
    if not isinstance(choices, list):
        raise ValueError(f"{options['options']!r} is no list")
    return {**value, **({"options": [str(choice) for choice in choices]} if choices else {})}


def _conversation(row: dict[str, Any], name: str, options: Mapping[str, str]) -> Conversation:
    spoken = turns(_said(row, options))
    if not spoken:
        raise ValueError("there is no turn in it")
    when = _value(row, options["at"]) if "at" in options else None
    conversation = Conversation(name, [Session(spoken, iso_time(str(when)) if when else None)], [])
    if "question" in options:
        conversation.probes = _probes(_value(row, options["question"]), _value(row, options.get("answer", "answer")))
    return conversation


def _probes(question: Any, answer: Any) -> list[Probe]:
    """Probes of one question with its answers, or of lists with an answer, or answers, for each question."""
    questions = question if isinstance(question, list) else [question]
    answers = answer if isinstance(question, list) else [answer]
    if not isinstance(answers, list) or len(questions) != len(answers):
        raise ValueError("there are not as many answers as questions")
    found = []
    for asked, given in zip(questions, answers, strict=True):
        accepted = [str(one) for one in (given if isinstance(given, list) else [given]) if one not in (None, "")]
        kind = asked_kind(str(asked)) if accepted else "abstain"  # no answer: it cannot be known
        found.append(Probe(str(asked), accepted, kind))
    return found


def _said(row: dict[str, Any], options: Mapping[str, str]) -> list[tuple[str, str]]:
    """(speaker, text) pairs from the named fields."""
    if "turns" not in options:
        sides = [("user", _several(row, options["user"]))]
        if "assistant" in options:
            sides.append(("assistant", _several(row, options["assistant"])))
        if abs(len(sides[0][1]) - len(sides[-1][1])) > 1:
            raise ValueError("the user and the assistant do not speak in turn")
        longest = max(len(said) for _, said in sides)
        return [(who, said[number]) for number in range(longest) for who, said in sides if number < len(said)]
    listed = _value(row, options["turns"])
    if not isinstance(listed, list):
        raise ValueError(f"{options['turns']!r} is no list of turns")
    names = _value(row, options["speakers"]) if "speakers" in options else [""] * len(listed)
    if not isinstance(names, list) or len(names) != len(listed):
        raise ValueError("there are not as many speakers as turns")
    return [_turn(turn, str(name)) for turn, name in zip(listed, names, strict=True)]


def _several(row: dict[str, Any], path: str) -> list[str]:
    value = _value(row, path)
    return [str(one) for one in value] if isinstance(value, list) else [_text(row, path)]


def _turn(turn: Any, name: str) -> tuple[str, str]:
    """Speaker and text of a turn that is a text or an object."""
    if isinstance(turn, str):
        return name, turn
    if isinstance(turn, dict):
        what = next((turn[key] for key in WHAT if isinstance(turn.get(key), str)), None)
        who = next((str(turn[key]) for key in WHO if turn.get(key) is not None), "")
        if what is not None:
            return name or who, what
    raise ValueError(f"a turn is neither a text nor an object with {' or '.join(WHAT)}")


def source_name(path: str) -> str:
    """A short name for rows that have none: of a file its name without endings, of a data set the last part."""
    return Path(path).name.split(".")[0]

"""The parts of a chat of the persona world, and the pen that writes it line by line."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from memchat.data.world.values import draw

Cell = tuple[str, str]
"""(whose, field): a cell of the table of facts; whose is "" for the user, `BOT`, or a name."""


@dataclass
class Line:
    """One turn.

    Attributes:
        kind: what it is for (tell, talk, ask, ...). values: what in it was told before. The trainer weights by both.
        edits: cells that it changes, with the new value, or None for what holds no more or is to be forgotten.
        reads: cells that hold what it asks for; nothing where that is not known.
        gist: what it tells or asks, in the assistant's words, a line for each edit; nothing in small talk.
    """

    role: str
    text: str
    kind: str
    values: tuple[str, ...] = ()
    edits: tuple[tuple[Cell, str | None], ...] = ()
    reads: tuple[Cell, ...] = ()
    gist: str = ""


@dataclass
class Asked:
    """A question of the chat with the answer it should get."""

    question: str
    answers: list[str]
    kind: str  # of a probe: fact, update, date, count, quote, abstain, forget
    turn: int  # of the question
    evidence: list[int]  # turns in which the answer stands
    superseded: list[str]  # values that held before


@dataclass
class Dialogue:
    """A chat and the questions in it.

    Attributes:
        ask_from: the turn from which only questions follow.
        breaks: turns with which a later sitting begins.
    """

    lines: list[Line]
    asked: list[Asked]
    ask_from: int
    breaks: list[int] = field(default_factory=list)


def capital(text: str) -> str:
    """The text with a capital first letter and the rest as it is."""
    return text[:1].upper() + text[1:]


def sentence(text: str, value: str = "") -> str:
    """Capital and full stop; "i" alone becomes "I", except inside the value."""
    mark = "\0"
    text = text.replace(value, mark) if value else text
    text = f" {text} ".replace(" i ", " I ").replace(" i'", " I'").replace(" i,", " I,").strip()
    text = text.replace(mark, value) if value else text
    text = capital(text)
    return text if text[-1] in "?!." else text + "."


class Pen:
    """Writes lines in the phrasings and with the values of one split."""

    def __init__(self, split: str, rng: Random, size: int) -> None:
        self.split, self.rng, self.size = split, rng, size
        self.lines: list[Line] = []
        self.asked: list[Asked] = []
        self.used = 0
        self.values: set[str] = set()
        self.sloppy = rng.choice((0.0, 0.0, 0.15, 0.5, 0.95))

    def value(self, pool: str, not_this: str = "") -> str:
        """A value of the split that the chat has not used yet; an old one only where a short list has no more.

        It is never `not_this`, in whatever case.
        """
        found = ""
        for _ in range(40):
            value = draw(pool, self.split, self.rng)
            if value.casefold() not in self.values:
                found = value
                break
            found = value if value.casefold() != not_this.casefold() else found
        self.values.add(found.casefold())
        return found

    def style(self, text: str) -> tuple[str, bool]:
        """How a person may type it: spelling, dropped punctuation, lower case. True when all is lower case."""
        rng = self.rng
        if "avour" in text or "colour" in text:
            text = text.replace("avour", "avor").replace("colour", "color") if rng.random() < 0.35 else text
        if rng.random() >= self.sloppy:
            return text, False
        lower = rng.random() < 0.6
        text = text.lower() if lower else text
        if rng.random() < 0.6:
            text = text.rstrip(".?!")
        if rng.random() < 0.5:
            text = text.replace("'", "")
        return text, lower

    def say(self, role: str, text: str, kind: str, *values: str) -> int:
        """Add a line; returns its turn."""
        self.lines.append(Line(role, text, kind, values))
        self.used += len(text) + 6
        return len(self.lines) - 1

    @staticmethod
    def surface(text: str, value: str, lower: bool) -> str:
        """The value as it stands in the line."""
        value = value.lower() if lower else value
        for form in (value, capital(value)):
            american = form.replace("avour", "avor").replace("colour", "color")
            for spelt in (form, american):
                for shown in (spelt, spelt.replace("'", "")):
                    if shown in text:
                        return shown
        raise AssertionError(f"{value!r} does not stand in {text!r}")

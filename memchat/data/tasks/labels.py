"""Labels learnt from examples: pairs of an input and a made-up label, then inputs that want their label.

The rule behind the labels is one of: the category of a noun, the topic of a sentence, the feeling of a sentence,
the first letter, the ending, the length or the double letters of a word, odd and even or small and large numbers.
Labels are renamed in every episode, so that only the context tells the mapping. The examples come in one of three
forms: all in one user line (``fox -> zorb`` a line), one user line each with a short acknowledgement, or as turns in
which the assistant gives the labels (``Input: fox Output:`` / ``zorb``). A query has the form of the examples or is
a question; the reply is the label and nothing else. Categories, topics, adjectives, words and labels belong to one
split each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from random import Random

from memchat.data.grammar import expand, phrases
from memchat.data.tasks.shared import fill, finish, pick, word_of
from memchat.data.world.pen import Asked, Dialogue, Line
from memchat.data.world.values import draw
from memchat.shelf import texts

Groups = list[Callable[[], str]]
"""One function a group, that draws an input of it."""

MOST_EXAMPLES = 8  # of one label: the smallest category has twelve words, and some are kept for the queries

_VOWELS = "aeiou"


@dataclass
class _Rule:
    """The groups of one episode, each with its label, and what was used already."""

    groups: Groups
    labels: list[str]
    used: set[str] = field(default_factory=set)

    def draw(self, group: int) -> str:
        """A new input of the group; empty where the group seems to have no more."""
        for _ in range(12):
            text = self.groups[group]()
            if text not in self.used:
                self.used.add(text)
                return text
        return ""


def _word_where(split: str, rng: Random, test: Callable[[str], bool]) -> Callable[[], str]:
    def make() -> str:
        while True:
            word = word_of(split, rng)
            if test(word):
                return word

    return make


def _category(split: str, rng: Random, count: int) -> Groups:
    found = texts("labels")
    names = rng.sample(phrases(tuple(found["category"]), split), count)
    frame = pick(found["frames"]["word"], split, rng) if rng.random() < 0.3 else "{w}"
    return [lambda name=name: fill(frame, w=rng.choice(found["category"][name])) for name in names]  # type: ignore[misc]


@cache
def _sentences(topic: str) -> list[str]:
    """All sentences of a topic: the topic belongs to one split, so its sentences need not be parted."""
    return [text for pattern in texts("labels")["topic"][topic] for text in expand(pattern)]


def _topic(split: str, rng: Random, count: int) -> Groups:
    names = rng.sample(phrases(tuple(texts("labels")["topic"]), split), count)
    return [lambda name=name: rng.choice(_sentences(name)) for name in names]  # type: ignore[misc]


def _feeling(split: str, rng: Random, count: int) -> Groups:
    found = texts("labels")

    def make(kind: str) -> str:
        adjective, thing = pick(found["feeling"][kind], split, rng), pick(found["feeling"]["things"], split, rng)
        return fill(pick(found["frames"]["feeling"], split, rng), a=adjective, t=thing)

    kinds = ["good", "bad"]
    rng.shuffle(kinds)
    return [lambda kind=kind: make(kind) for kind in kinds]  # type: ignore[misc]


def _letter(split: str, rng: Random, count: int) -> Groups:
    letters = rng.sample("bcdfghklmnprstvw", count)
    return [lambda letter=letter: letter + word_of(split, rng) for letter in letters]  # type: ignore[misc]


def _ending(split: str, rng: Random, count: int) -> Groups:
    vowel = _word_where(split, rng, lambda word: word[-1] in _VOWELS)
    return [vowel, _word_where(split, rng, lambda word: word[-1] not in _VOWELS)]


def _start(split: str, rng: Random, count: int) -> Groups:
    def vowel() -> str:
        return rng.choice(_VOWELS) + consonant()

    consonant = _word_where(split, rng, lambda word: word[0] not in _VOWELS)
    return [vowel, consonant]


def _length(split: str, rng: Random, count: int) -> Groups:
    def long() -> str:
        return word_of(split, rng) + word_of(split, rng) + word_of(split, rng)

    return [_word_where(split, rng, lambda word: len(word) < 6), long]


def _capitals(split: str, rng: Random, count: int) -> Groups:
    shapes: list[Callable[[str], str]] = [
        str.lower,
        str.upper,
        str.capitalize,
        lambda word: f"{word}{rng.randint(2, 9)}",
    ]
    chosen = rng.sample(shapes, min(count, 4))
    return [lambda shape=shape: shape(word_of(split, rng)) for shape in chosen]  # type: ignore[misc]


def _number(split: str, rng: Random, count: int) -> Groups:
    frame = pick(texts("labels")["frames"]["number"], split, rng)
    odd = rng.random() < 0.5

    def make(group: int) -> str:
        while True:
            number = draw("number", split, rng)
            if len(number) < 4 and (int(number) % 2 if odd else len(number) == 3) == group:
                return fill(frame, w=number)

    return [lambda: make(0), lambda: make(1)]


_RULES: dict[Callable[[str, Random, int], Groups], int] = {
    _category: 10, _topic: 6, _feeling: 5, _letter: 2, _ending: 1, _start: 1, _length: 1, _capitals: 2, _number: 1,
}  # fmt: skip
_MOST = {"train": 5, "valid": 3, "test": 3}
"""Labels of an episode at most: the held-out splits have three topics each."""


def _label(split: str, rng: Random) -> str:
    word = word_of(split, rng)
    return word if rng.random() < 0.7 else word.capitalize() if rng.random() < 0.6 else word.upper()


def _rule(split: str, rng: Random) -> _Rule:
    make = rng.choices(list(_RULES), list(_RULES.values()))[0]
    groups = make(split, rng, rng.randint(2, _MOST[split]))
    labels: list[str] = []
    while len(labels) < len(groups):
        label = _label(split, rng)
        if label.casefold() not in {other.casefold() for other in labels}:
            labels.append(label)
    return _Rule(groups, labels)


class _Lesson:
    """Writes the examples and the queries of one episode."""

    def __init__(self, split: str, rng: Random, size: int) -> None:
        self.split, self.rng, self.size = split, rng, size
        self.file = texts("labels")
        self.rule = _rule(split, rng)
        chat = rng.random() < 0.7
        self.before: str = "" if chat else "Input: "
        self.link: str = rng.choice(self.file["links"]) if chat else " Output: "
        self.lines: list[Line] = []
        self.seen: dict[int, list[int]] = {}  # group -> turns of its examples
        self.used = 0

    def say(self, role: str, text: str, kind: str, *values: str) -> int:
        self.lines.append(Line(role, text, kind, values))
        self.used += len(text) + 6
        return len(self.lines) - 1

    def open_pair(self, text: str) -> str:
        return f"{self.before}{text}{self.link}".strip()

    def pairs(self) -> list[tuple[int, str]]:
        """(group, input) of the examples: every group at least once, as many as 30 to 70 % of the size hold."""
        groups = list(range(len(self.rule.groups)))
        self.rng.shuffle(groups)
        found: list[tuple[int, str]] = []
        counts = dict.fromkeys(groups, 0)
        length, room = 0, self.size * self.rng.uniform(0.3, 0.7)
        while len(found) < len(groups) or length < room:
            if len(found) < len(groups):
                group = groups[len(found)]
            elif not (open_groups := [g for g in groups if counts[g] < MOST_EXAMPLES]):
                break
            else:
                group = self.rng.choice(open_groups)
            text = self.rule.draw(group)
            if not text:
                break
            counts[group] += 1
            found.append((group, text))
            length += len(text) + len(self.open_pair("")) + len(self.rule.labels[group]) + 12
        self.rng.shuffle(found)
        return found

    def examples(self) -> str:
        """Write the examples in one of the three forms, which is returned."""
        rng, form = self.rng, self.rng.choice(("list", "list", "lines", "turns"))
        pairs = self.pairs()
        shown = [f"{self.before}{text}{self.link}{self.rule.labels[group]}" for group, text in pairs]
        if form == "list":
            turn = self.say("user", "\n".join([finish(pick(self.file["intro"], self.split, rng)), *shown]), "tell")
            self.seen = {group: [turn] for group, _ in pairs}
            self.say("assistant", rng.choice(self.file["ack"]), "ack")
            return form
        if form == "lines":
            self.say("user", finish(pick(self.file["intro_lines"], self.split, rng)), "talk")
            self.say("assistant", rng.choice(self.file["ack"]), "ack")
        for (group, text), whole in zip(pairs, shown, strict=True):
            if form == "lines":
                turn = self.say("user", whole, "tell")
                self.say("assistant", rng.choice(self.file["ack"]), "ack")
            else:  # nobody can know a label before its first example
                self.say("user", self.open_pair(text), "tell")
                turn = self.say("assistant", self.rule.labels[group], "talk" if group in self.seen else "ack")
            self.seen.setdefault(group, []).append(turn)
        return form

    def query(self, form: str) -> Asked | None:
        """Ask for the label of a new input; nothing where there is none."""
        groups = list(range(len(self.rule.groups)))
        self.rng.shuffle(groups)
        group, text = next(((g, text) for g in groups if (text := self.rule.draw(g))), (0, ""))
        if not text:
            return None
        plain = form == "turns" or self.rng.random() < 0.6
        said = self.open_pair(text) if plain else fill(pick(self.file["ask_word"], self.split, self.rng), x=text)
        turn = self.say("user", said, "ask")
        label = self.rule.labels[group]
        self.say("assistant", label, "answer", label)
        return Asked(said, [label], "label", turn, self.seen[group], [])


def labels_task(split: str, rng: Random, size: int) -> Dialogue:
    """Examples (at most eight a label), then queries up to about `size` characters, while there are new inputs."""
    lesson = _Lesson(split, rng, size)
    form = lesson.examples()
    ask_from = len(lesson.lines)
    asked: list[Asked] = []
    while len(asked) < 2 or lesson.used < size:
        query = lesson.query(form)
        if query is None:
            break
        asked.append(query)
    return Dialogue(lesson.lines, asked, ask_from)

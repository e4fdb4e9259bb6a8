"""What a fact of the persona world is: an attribute, its values, and how people tell it and ask for it.

The sentences stand in `assets/world` as bracket patterns (`grammar`), without a capital and without a full stop;
`{v}` is the value, `{o}` the one that held before, `{p}` a third person. Sentences of users belong to one split each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from memchat.data.grammar import expand, phrases
from memchat.data.world.pen import Cell
from memchat.shelf import texts

FILES = ("attributes_people", "attributes_things")
_DATES = frozenset(("date", "weekday", "month", "year", "time"))


def fill(text: str, parts: Mapping[str, str]) -> str:
    """`text` with `{name}` replaced by its part; a part may name another one that stands later in `parts`."""
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


@dataclass(frozen=True)
class Forms:
    """How one attribute of one kind of owner is spoken about; patterns, with what fills their braces."""

    tell: tuple[str, ...]  # the user states it
    ask: tuple[str, ...]  # the user asks for it
    clause: tuple[str, ...]  # the user's indirect question: "what my dog is called"
    noun: tuple[str, ...]  # a noun phrase for the value: "my dog's name"
    update: tuple[str, ...]  # a new value, and perhaps that the old one has ended
    deny: tuple[str, ...]  # the old value has ended
    answer: str  # the assistant states it
    unknown: str  # the indirect question in the assistant's mouth: "what your dog is called"
    user: Mapping[str, str] = field(default_factory=dict, hash=False)  # fills braces in the user's mouth
    assistant: Mapping[str, str] = field(default_factory=dict, hash=False)  # and in the assistant's

    def says(self, kind: str, split: str, rng: Random) -> str:
        """One of the user's sentences of a kind (tell, ask, update, deny) that the split may use."""
        return fill(rng.choice(phrases(getattr(self, kind), split)), self.user)

    def phrase(self, kind: str, rng: Random) -> str:
        """A clause or a noun phrase: pieces of sentences belong to all splits, what stands around them to one."""
        return fill(rng.choice(_pieces(getattr(self, kind))), self.user)


@cache
def _pieces(patterns: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(text for pattern in patterns for text in expand(pattern))


@dataclass(frozen=True)
class Attribute:
    """One thing that can be known about somebody.

    Attributes:
        key: its name, different from those of all others.
        pool: what its values are drawn from (`values`).
        topic: one word for what talk about it is about.
        own: when it is the user's. other: a third person's. bot: the assistant's own.
        near: the key of its family; attributes of one family are easily confused.
    """

    key: str
    pool: str
    topic: str
    own: Forms
    other: Forms | None = None
    bot: Forms | None = None
    near: str = ""

    @property
    def kind(self) -> str:
        """The kind of a probe for it."""
        return "date" if self.pool in _DATES else "fact"

    @property
    def field(self) -> str:
        """Its name as a column of a table: `dog`, `favourite_colour`, `keys_place`."""
        noun = self.key.removeprefix(f"{self.near} ") if self.near else self.key
        name = {"favourite": f"favourite {noun}", "place": f"{noun} place"}.get(self.near, noun)
        return name.replace(" ", "_")

    def forms(self, owner: str) -> Forms:
        """How it is spoken about for this owner ("": the user, `BOT`: the assistant, else a third person)."""
        forms = self.own if not owner else self.bot if owner == BOT else self.other
        if forms is None:
            raise ValueError(f"{self.key} is never told of {owner}")
        return forms


BOT = "assistant"
"""The owner of what the assistant says of itself."""


def _forms(table: Mapping[str, Any], answer: str, unknown: str) -> Forms:
    update, deny = (
        patterns if len(_pieces(patterns)) >= 3 else ()  # too few for three splits
        for patterns in (table.get("update", ()), table.get("deny", ()))
    )
    return Forms(table["tell"], table["ask"], table["clause"], table.get("noun", ()), update, deny, answer, unknown)


def _single(key: str, table: Mapping[str, Any]) -> Attribute:
    """An attribute with sentences of its own."""
    other = table.get("other")
    return Attribute(
        key, table["pool"], table["topic"], _forms(table, table["answer"], table["unknown"]),
        _forms(other, other["answer"], expand(other["clause"][0])[0]) if other else None,
    )  # fmt: skip


def family(name: str, noun: str, pool: str, topic: str, parts: Mapping[str, str]) -> Attribute:
    """An attribute of a family: pets and people by name, favourites, places of things, numbers."""
    table = texts("families")[name]

    def forms(extra: str, my: str, your: str) -> Forms:
        tell, ask = ((*table[kind], *table.get(f"{extra}_{kind}", ())) for kind in ("tell", "ask"))
        words = {**parts, "x": noun}
        return Forms(
            tell, ask, table["clause"], table["noun"], table["update"], table["deny"], table["answer"],
            table["unknown"], {"my": my, **words}, {"my": your, **words},
        )  # fmt: skip

    own, other, bot = forms("own", "my", "your"), forms("other", "{p}'s", "{p}'s"), forms("bot", "your", "my")
    return Attribute(f"{name} {noun}", pool, topic, own, other, bot, name)


def _families() -> Iterator[Attribute]:
    for name in ("named", "favourite", "place", "number"):
        for group in texts("families")[name]["group"]:
            parts = {k: group[k] for k in ("its", "it", "is") if k in group}
            parts |= {"Its": parts["its"].capitalize()} if "its" in parts else {}
            for entry in group["nouns"]:
                noun, _, pool = entry.partition(": ")
                yield family(name, noun, pool or group["pool"], group["topic"], parts)


@cache
def attributes() -> tuple[Attribute, ...]:
    """Everything that people of the world tell, except by nouns made up on the spot (`family`)."""
    singles = (
        _single(key, table)
        for file in FILES
        for key, table in texts(file).items()
        if key != "pools"
    )  # fmt: skip
    return (*singles, *_families())


@cache
def singles() -> tuple[Attribute, ...]:
    """The attributes with sentences of their own."""
    return tuple(a for a in attributes() if not a.near)


@dataclass
class Fact:
    """A fact as told: the surface form of its value, the turns it was told in, and values that no longer hold."""

    attribute: Attribute
    owner: str  # "" for the user, BOT for the assistant, else a name
    value: str
    turns: list[int]
    old: list[str] = field(default_factory=list)
    asked: bool = False
    state: str = ""  # "ended": the user said it holds no more; "forgotten": he asked to forget it

    @property
    def forms(self) -> Forms:
        return self.attribute.forms(self.owner)

    @property
    def cell(self) -> Cell:
        """Where it stands in the table of facts."""
        return self.owner, self.attribute.field

    @property
    def statement(self) -> str:
        """The fact in the assistant's words: "your dog is called Biscuit"."""
        return self.in_words(self.value)

    def in_words(self, value: str) -> str:
        """The statement with another value."""
        return fill(self.forms.answer, {**self.forms.assistant, "p": self.owner, "v": value})

    @property
    def unknown(self) -> str:
        """What the assistant does not know when it does not know this."""
        return fill(self.forms.unknown, {**self.forms.assistant, "p": self.owner})

    @property
    def kind(self) -> str:
        """The kind of a probe for it."""
        if self.state:
            return "forget" if self.state == "forgotten" else "abstain"
        return "update" if self.old else self.attribute.kind


def listed(values: Sequence[str]) -> str:
    """ "milk, eggs and bread"."""
    return " and ".join(part for part in (", ".join(values[:-1]), *values[-1:]) if part)

"""What a fact of the persona world is: an attribute, its values, and how people tell it and ask for it.

Sentences are written without a capital and without a full stop; `{v}` is the value, `{p}` a third person.
`{my}` becomes "my", "your" or "Ana's". The order inside a list matters: the last ones are held out
(`split_part`), so that the validation and test splits speak in phrasings that training never saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Forms:
    """How one attribute of one kind of owner is spoken about."""

    tell: tuple[str, ...]  # the user states it
    ask: tuple[str, ...]  # the user asks for it
    answer: str  # the assistant states it
    clause: tuple[str, ...]  # the user's indirect question: "what my dog is called"
    unknown: str  # the same seen by the assistant: "what your dog is called"
    noun: str = ""  # a noun phrase for the value: "my dog's name"


@dataclass(frozen=True)
class Attribute:
    """One thing that can be known about a person."""

    key: str
    pool: str
    own: Forms
    other: Forms | None = None


def split_part(options: Sequence[str], split: str) -> tuple[str, ...]:
    """The part of a template list that a split may use; the three parts are disjoint."""
    held = max(1, len(options) // 8)
    if split == "test":
        return tuple(options[-held:])
    if split == "valid":
        return tuple(options[-2 * held : -held])
    return tuple(options[: -2 * held])


def _listed(text: str, parts: dict[str, str]) -> tuple[str, ...]:
    """The sentences of a text with `|` between them, with the named parts filled in."""
    for name, value in parts.items():
        text = text.replace("{" + name + "}", value)
    return tuple(sentence.strip() for sentence in text.split("|") if sentence.strip())


def _mixed(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    """Interleave two lists, so that both kinds of sentence are held out."""
    longest = max(len(first), len(second))
    return tuple(text for i in range(longest) for texts in (first, second) for text in texts[i : i + 1])


def _owned(
    key: str, pool: str, parts: dict[str, str], *, tell: str, own_tell: str, ask: str, own_ask: str, answer: str,
    clause: str, noun: str, other_tell: str = "",
) -> Attribute:  # fmt: skip
    """An attribute of something owned: most sentences serve for the user and for a third person.

    Lists are one text with `|` between the sentences. The `own_` forms are the user's only, `other_tell` the others'.
    """

    def forms(my: str, your: str, extra_tell: str, extra_ask: str) -> Forms:
        mine, yours = {**parts, "my": my}, {**parts, "my": your}
        return Forms(
            tell=_mixed(_listed(tell, mine), _listed(extra_tell, mine)),
            ask=_mixed(_listed(ask, mine), _listed(extra_ask, mine)),
            answer=_listed(answer, yours)[0],
            clause=_listed(clause, mine),
            unknown=_listed(clause, yours)[0],
            noun="".join(_listed(noun, mine)),
        )

    return Attribute(key, pool, forms("my", "your", own_tell, own_ask), forms("{p}'s", "{p}'s", other_tell, ""))


def named(noun: str, pool: str, its: str = "its") -> Attribute:
    """Somebody or something with a name: a pet, a relative, a boat. `its` is the possessive: its, his, her."""
    return _owned(
        noun, pool, {"x": noun, "its": its, "Its": its.capitalize()},
        tell=(
            "{my} {x} is called {v} | {my} {x}'s name is {v} | the name of {my} {x} is {v} | "
            "{my} {x} is named {v} | {v} is {my} {x} | {v} is the name of {my} {x} | {my} {x} is {v} | "
            "{my} {x} goes by {v} | we call {my} {x} {v} | {my} {x} has the name {v} | "
            "everybody calls {my} {x} {v}"
        ),
        own_tell=(
            "i have a {x} called {v} | i have a {x} named {v} | i have a {x}, {v} | "
            "i've got a {x} called {v} | i have a {x} and the name is {v} | i call my {x} {v} | "
            "i have a {x} whose name is {v} | i have a {x}. {Its} name is {v} | "
            "i have a {x} and {its} name is {v} | i've got a {x}, {its} name is {v} | "
            "i have got a {x} named {v} | i've a {x}, the name is {v} | i have one {x}, called {v}"
        ),
        other_tell=(
            "{p} has a {x} called {v} | {p} has a {x} named {v} | {p} has got a {x} called {v} | "
            "{p} calls the {x} {v} | {p} has a {x}, {v}"
        ),
        ask=(
            "what is {my} {x} called? | what is {my} {x}'s name? | what is the name of {my} {x}? | "
            "what's {my} {x} called? | what's {my} {x}'s name? | what was {my} {x}'s name? | "
            "how is {my} {x} called? | what was the name of {my} {x}? | which name does {my} {x} have? | "
            "{my} {x} is called what? | what name does {my} {x} go by? | what's the name of {my} {x}? | "
            "what is {my} {x} named?"
        ),
        own_ask=(
            "what do i call my {x}? | how do i call my {x}? | what did i say my {x} is called? | "
            "who is my {x}? | what name did i tell you for my {x}? | what's the name of the {x} i have?"
        ),
        answer="{my} {x} is called {v}",
        clause=(
            "what {my} {x} is called | what {my} {x}'s name is | what the name of {my} {x} is | "
            "the name of {my} {x}"
        ),
        noun="{my} {x}'s name",
    )  # fmt: skip


def favourite(noun: str, pool: str) -> Attribute:
    """The thing of a kind that somebody likes best."""
    return _owned(
        f"favourite {noun}", pool, {"x": noun},
        tell=(
            "{my} favourite {x} is {v} | {v} is {my} favourite {x} | {my} top {x} is {v} | "
            "{my} best loved {x} is {v}"
        ),
        own_tell=(
            "the {x} i like best is {v} | the {x} i like most is {v} | i like {v} best of every {x} | "
            "the {x} i love is {v} | i like {v} more than any other {x} | for me the best {x} is {v} | "
            "no {x} is better than {v} for me"
        ),
        other_tell=(
            "the {x} {p} likes best is {v} | the {x} {p} likes most is {v} | "
            "{p} likes {v} more than any other {x} | {p} loves {v} most as a {x}"
        ),
        ask=(
            "what is {my} favourite {x}? | what's {my} favourite {x}? | which {x} is {my} favourite? | "
            "what was {my} favourite {x}? | {my} favourite {x} is what? | which is {my} favourite {x}?"
        ),
        own_ask=(
            "which {x} do i like best? | what {x} do i like most? | what is the {x} i like best? | "
            "which {x} do i love? | which {x} do i like most? | what {x} do i like best? | "
            "what {x} do i prefer?"
        ),
        answer="{my} favourite {x} is {v}",
        clause="what {my} favourite {x} is | which {x} is {my} favourite",
        noun="{my} favourite {x}",
    )  # fmt: skip


def place(thing: str, verb: str) -> Attribute:
    """Where a thing lies."""
    return _owned(
        f"place of {thing}", "place", {"x": thing, "is": verb},
        tell=(
            "{my} {x} {is} {v} | {my} {x} should be {v} | {my} {x} {is} lying {v} | you find {my} {x} {v} | "
            "{my} {x} {is} now {v} | {my} {x} can be found {v}"
        ),
        own_tell=(
            "i put my {x} {v} | i left my {x} {v} | i keep my {x} {v} | i have put my {x} {v} | "
            "i hid my {x} {v} | i placed my {x} {v} | i've left my {x} {v}"
        ),
        other_tell="{p} put the {x} {v} | {p} keeps the {x} {v} | {p} left the {x} {v}",
        ask=(
            "where {is} {my} {x}? | where can i find {my} {x}? | where do i find {my} {x}? | "
            "in what place {is} {my} {x}? | {my} {x} {is} where? | where should i look for {my} {x}?"
        ),
        own_ask=(
            "where did i put my {x}? | where did i leave my {x}? | where have i put my {x}? | "
            "where do i keep my {x}? | where have i left my {x}? | in which place did i put my {x}? | "
            "where did i hide my {x}? | where did i place my {x}?"
        ),
        answer="{my} {x} {is} {v}",
        clause="where {my} {x} {is} | where to find {my} {x}",
        noun="",
    )  # fmt: skip


def number(noun: str, pool: str) -> Attribute:
    """A number, a code or a date with a name of its own."""
    return _owned(
        noun, pool, {"x": noun},
        tell=(
            "{my} {x} is {v} | {v} is {my} {x} | {my} {x} is now {v} | {my} {x} will be {v} | "
            "for {my} {x} it is {v} | as for {my} {x}, it is {v}"
        ),
        own_tell=(
            "i have {v} as my {x} | i use {v} as my {x} | they gave me {v} as my {x} | i got {v} as my {x} | "
            "i was given {v} as my {x}"
        ),
        ask=(
            "what is {my} {x}? | what's {my} {x}? | what was {my} {x}? | which is {my} {x}? | "
            "{my} {x} is what? | what would be {my} {x}?"
        ),
        own_ask=(
            "what did i say my {x} is? | which {x} do i have? | what do i have as my {x}? | "
            "what is the {x} i have? | which {x} is mine?"
        ),
        answer="{my} {x} is {v}",
        clause="what {my} {x} is | what {my} {x} was",
        noun="{my} {x}",
    )  # fmt: skip


def simple(
    key: str, pool: str, *, tell: str, ask: str, answer: str, clause: str, noun: str,
    other_tell: str = "", other_ask: str = "", other_answer: str = "", other_clause: str = "",
) -> Attribute:  # fmt: skip
    """An attribute with sentences of its own; lists are one text with `|` between the sentences.

    The `other_` forms are about a third person `{p}`; without them it is told about the user alone.
    """

    you = _listed(clause, {})[0].replace("my ", "your ").replace("i am", "you are")
    you = f"{you} ".replace(" i ", " you ").strip()
    own = Forms(_listed(tell, {}), _listed(ask, {}), answer, _listed(clause, {}), you, noun)
    if not other_tell:
        return Attribute(key, pool, own)
    other = Forms(_listed(other_tell, {}), _listed(other_ask, {}), other_answer, (other_clause,), other_clause)
    return Attribute(key, pool, own, other)

"""What the tasks share: their shipped texts, values of one split, and how people type a line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from random import Random

from memchat.data.grammar import phrases
from memchat.data.world.pen import capital
from memchat.data.world.values import POOLS, draw, made_up, split_of

_VOWELS = tuple("aeiouAEIO")


def pick(patterns: Sequence[str], split: str, rng: Random) -> str:
    """A sentence of the patterns (or a word of a list) that `split` may use."""
    return rng.choice(phrases(patterns, split))


def fill(template: str, **values: str) -> str:
    """The template with every ``{name}`` replaced; "a {name}" becomes "an ..." before a vowel."""
    for name, value in values.items():
        hole = "{" + name + "}"
        if value[:1] in _VOWELS and f" a {hole}" in template:
            template = template.replace(f" a {hole}", f" an {hole}")
        template = template.replace(hole, value)
    return template


def unseen(make: Callable[[Random], str], split: str, rng: Random) -> str:
    """A value from `make` that belongs to `split`.

    Raises:
        ValueError: `make` offers none.
    """
    for _ in range(2000):
        value = make(rng)
        if split_of(value) == split:
            return value
    raise ValueError(f"no value belongs to split {split!r}")


def plain_word(rng: Random) -> str:
    """A made-up word of at least three letters a to z."""
    while True:
        word = made_up(rng)
        if len(word) > 2 and word.isascii():
            return word


@cache
def _held_words(split: str) -> tuple[str, ...]:
    """Made-up words of a held-out split, where drawing one at a time would mean many that do not belong to it."""
    rng = Random(f"words of {split}")
    return tuple(sorted({unseen(plain_word, split, rng) for _ in range(600)}))


def word_of(split: str, rng: Random) -> str:
    """A made-up word of the split: any of them in training, one of some hundreds in the held-out splits."""
    return unseen(plain_word, split, rng) if split == "train" else rng.choice(_held_words(split))


def _clock(rng: Random) -> str:
    hour, minute = rng.randint(0, 23), rng.choice((0, 15, 30, 45, rng.randint(0, 59)))
    if rng.random() < 0.7:
        return f"{hour:02}:{minute:02}"
    return f"{hour % 12 or 12} {'am' if hour < 12 else 'pm'}"


def _count(rng: Random) -> str:
    return str(rng.randint(2, rng.choice((12, 99, 999))))


def _amount(rng: Random) -> str:
    return f"{rng.randint(1, 400)}.{rng.randint(1, 9)}" if rng.random() < 0.4 else _count(rng)


MADE: dict[str, Callable[[Random], str]] = {"clock": _clock, "count": _count, "amount": _amount}


def value_of(pool: str, split: str, rng: Random, lists: dict[str, Sequence[str]] | None = None) -> str:
    """A value of a pool: one of the given lists (or patterns), of `MADE`, or of the persona world's pools."""
    if lists and pool in lists:
        return pick(lists[pool], split, rng)
    if pool == "word":
        return word_of(split, rng)
    return unseen(MADE[pool], split, rng) if pool in MADE else draw(pool, split, rng)


def known_pool(pool: str, lists: dict[str, Sequence[str]]) -> bool:
    """Whether `value_of` can draw from `pool`."""
    return pool in lists or pool in MADE or pool in POOLS or pool == "word"


def finish(text: str) -> str:
    """The text with a capital first letter and a mark at its end."""
    text = capital(text)
    return text if text[-1] in "?!.;:" else text + "."


def typed(text: str, rng: Random) -> str:
    """A finished sentence, now and then without its capital or its mark, as people type."""
    kind = rng.random()
    if kind < 0.1:
        return text.rstrip(".?!")
    return finish(text) if kind < 0.9 else text

"""Values that people in the persona world tell: real words from lists, and made-up ones.

About half of the names are made up from syllables, so that recalling one means copying it from the
conversation and not knowing it. Every value belongs to exactly one split, decided by a hash of its
letters: a value seen in training never stands in the validation or test split.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any

from memchat.shelf import texts

_WORDS = texts("words")
_HELD_OUT = {8: "valid", 9: "test"}

_ONSETS = (
    "b c d f g h j k l m n p r s t v w z " * 4
    + "ch sh th br cr dr fr gr kr pr tr bl fl gl kl pl sl st sk sp kn qu wh zh"
).split()
_VOWELS = ("a e i o u " * 10 + "ai au ea ee ei ia ie io oa oo ou ue y").split()
_CODAS = ("n r l s m t k x b d g p " * 2 + "ck ff ll nn rt st nd ng rk mp sh th z v").split()
_ENDS = (
    "a", "o", "y", "i", "ie", "us", "el", "er", "on", "is", "ina", "ito", "ex", "ix", "um", "ette", "le", "in", "ax",
    "oo", "ey", "io", "ara", "ber", "dor", "kin", "fy", "ster", "bert",
)  # fmt: skip
_ACCENTS = str.maketrans({"a": "á", "e": "é", "o": "ö", "u": "ü", "i": "í", "n": "ñ", "c": "ç"})
_TITLES = (
    "Captain", "Mister", "Mr.", "Mrs.", "Dr.", "Mr", "Miss", "Lady", "Sir", "Doctor", "Old", "Little", "Princess",
    "Professor", "King", "Big", "Saint",
)  # fmt: skip


_HOURS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_CLOSED: dict[str, tuple[str, ...]] = {
    "weekday": tuple(
        f"{day} {part}" for day in _DAYS for part in ("morning", "afternoon", "evening", "night", "noon", "lunchtime")
    ),
    "month": tuple(
        f"{part} {month}"
        for part in ("early", "mid", "late", "the end of", "the middle of")
        for month in _WORDS["months"]
    ),
    **{
        pool: values
        for file in ("attributes_people", "attributes_things")
        for pool, values in texts(file)["pools"].items()
    },
}
"""Pools that are short lists; all others have made-up values among theirs."""


def _ranked() -> dict[str, str]:
    """The splits of the values of short lists: by rank of the hash, so that each split has enough of each list."""
    splits: dict[str, str] = {}
    for values in _CLOSED.values():
        order = sorted({value.casefold() for value in values}, key=lambda value: zlib.crc32(value.encode()))
        held = max(4, len(order) // 8)
        for rank, value in enumerate(order):
            splits.setdefault(value, "test" if rank < held else "valid" if rank < 2 * held else "train")
    return splits


_RANKED = _ranked()


def split_of(value: str) -> str:
    """The split a value belongs to: about 80 % train, 10 % valid, 10 % test, by a hash of its letters."""
    letters = value.casefold()
    return _RANKED.get(letters) or _HELD_OUT.get(zlib.crc32(letters.encode()) % 10, "train")


def made_up(rng: Random) -> str:
    """A made-up word in lower case with varied spelling, one to three syllables."""
    if rng.random() < 0.06:  # letters at random: nothing but copying helps here
        return "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(rng.randint(2, 6)))
    word = "" if rng.random() < 0.15 else rng.choice(_ONSETS)
    word += rng.choice(_VOWELS)
    for _ in range(rng.choice((0, 0, 1, 1, 1, 2))):
        word += rng.choice(_CODAS) if rng.random() < 0.3 else ""
        word += rng.choice(_ONSETS) + rng.choice(_VOWELS)
    kind = rng.random()
    word += rng.choice(_ENDS) if kind < 0.4 else rng.choice(_CODAS) if kind < 0.75 else ""
    if len(word) < 2:
        word += rng.choice("nrlks")
    if rng.random() < 0.04:
        word = word.translate(_ACCENTS)
    return word


def made_up_name(rng: Random) -> str:
    """A made-up proper name: capitalised, now and then with a title, a hyphen or a second word."""
    name = made_up(rng).capitalize()
    kind = rng.random()
    if kind < 0.06:
        return f"{rng.choice(_TITLES)} {name}"
    if kind < 0.10:
        return f"{name} {made_up(rng).capitalize()}"
    if kind < 0.12:
        return f"{name}-{made_up(rng).capitalize()}"
    if kind < 0.13:
        return f"{name[0]}'{name[1:].capitalize()}"
    if kind < 0.14:
        return f"{name} {rng.randint(2, 99)}"
    if kind < 0.15:
        start, middle = f"{rng.choice('BDJKRTXZ')}{rng.randint(2, 9)}", rng.choice(("", "-", "x"))
        return f"{start}{middle}{rng.choice(('', 'B7', 'D2', 'Q'))}".rstrip("-")
    if kind < 0.17:
        return rng.choice(("Mc", "Mac", "De", "Di", "Bo", "Lu")) + name
    if kind < 0.185:
        return name.upper()
    if kind < 0.20:
        return name.lower()
    return name


def _listed(options: tuple[str, ...], made: Callable[[Random], str], share: float) -> Callable[[Random], str]:
    def draw(rng: Random) -> str:
        return made(rng) if rng.random() < share else rng.choice(options)

    return draw


def _person(rng: Random) -> str:
    if rng.random() < 0.5:
        return made_up_name(rng)
    name = rng.choice(_WORDS["first_names"])
    if rng.random() < 0.08:
        return f"{name} {rng.choice(_WORDS['first_names']) if rng.random() < 0.4 else made_up(rng).capitalize()}"
    return name


def _pet(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.5:
        return made_up_name(rng)
    if kind < 0.62:
        return rng.choice(_WORDS["first_names"])
    if kind < 0.72:
        return rng.choice(_WORDS["nouns"]).capitalize()
    if kind < 0.77:
        return f"{rng.choice(_TITLES)} {rng.choice(_WORDS['pet_names'])}"
    return rng.choice(_WORDS["pet_names"])


def _street(rng: Random) -> str:
    name = made_up(rng).capitalize() if rng.random() < 0.5 else rng.choice(_WORDS["nouns"]).capitalize()
    street = f"{name} {rng.choice(('Street', 'Road', 'Lane', 'Avenue', 'Way', 'Square', 'Hill'))}"
    return f"{rng.randint(1, 199)} {street}" if rng.random() < 0.3 else street


def _title(rng: Random) -> str:
    noun = made_up(rng).capitalize() if rng.random() < 0.4 else rng.choice(_WORDS["nouns"]).capitalize()
    adjective = rng.choice(_WORDS["adjectives"]).capitalize()
    return rng.choice((f"The {adjective} {noun}", f"{adjective} {noun}", f"The {noun}", noun))


def _food(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.55:
        return rng.choice(_WORDS["foods"])
    stuff = made_up(rng) if kind > 0.8 else rng.choice(_WORDS["fruits"])
    return f"{stuff} {rng.choice(('soup', 'pie', 'salad', 'cake', 'curry', 'stew', 'bread'))}"


def _colour(rng: Random) -> str:
    shade = rng.choice(("dark", "light", "pale", "bright", "deep")) + " " if rng.random() < 0.35 else ""
    return shade + (made_up(rng) if rng.random() < 0.1 else rng.choice(_WORDS["colours"]))


def _place(rng: Random) -> str:
    thing = made_up(rng) + " box" if rng.random() < 0.1 else rng.choice(_WORDS["furniture"])
    adjective = rng.choice(_WORDS["colours"] + _WORDS["adjectives"]) + " " if rng.random() < 0.5 else ""
    return f"{rng.choice(('in', 'under', 'behind', 'on', 'next to', 'near'))} the {adjective}{thing}"


def _date(rng: Random) -> str:
    month, day = rng.choice(_WORDS["months"]), rng.randint(1, 28)
    suffix = {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(day, "th")
    return rng.choice((f"{month} {day}", f"{day} {month}", f"the {day}{suffix} of {month}"))


def _number(rng: Random) -> str:
    return str(rng.randint(1, 10 ** rng.choice((2, 3, 4, 4, 5))))


def _code(rng: Random) -> str:
    if rng.random() < 0.4:
        return _number(rng)
    if rng.random() < 0.5:
        return made_up(rng) + str(rng.randint(1, 999))
    return "".join(rng.choice("ABCDEFGHKLMNPRSTUVWXYZ23456789") for _ in range(rng.randint(4, 6)))


def _time(rng: Random) -> str:
    if rng.random() < 0.5:
        return f"{rng.randint(0, 23)}:{rng.randrange(0, 60, 5):02d}"
    hour = rng.choice(_HOURS)
    return rng.choice((f"half past {hour}", f"quarter past {hour}", f"quarter to {hour}", f"{hour} o'clock"))


def _price(rng: Random) -> str:
    amount = rng.randint(2, 10 ** rng.choice((2, 3, 3, 4)))
    return f"{amount} {rng.choice(('pounds', 'euros', 'dollars'))}"


def _size(rng: Random) -> str:
    return f"{rng.randint(28, 60)}{rng.choice(('', '', '.5'))}"


def _year(rng: Random) -> str:
    return str(rng.randint(1930, 2030))


def _car(rng: Random) -> str:
    colour = rng.choice(_WORDS["colours"]) + " " if rng.random() < 0.4 else ""
    return colour + (made_up(rng).capitalize() if rng.random() < 0.35 else rng.choice(_WORDS["cars"]))


def _lower(rng: Random) -> str:
    return made_up(rng)


def _hobby(rng: Random) -> str:
    if rng.random() < 0.25:
        return f"{rng.choice(('collecting', 'painting', 'building'))} {rng.choice(_WORDS['nouns'])}s"
    return rng.choice(_WORDS["hobbies"])


def _job(rng: Random) -> str:
    return f"{rng.choice(_WORDS['fruits'])} farmer" if rng.random() < 0.08 else rng.choice(_WORDS["jobs"])


POOLS: dict[str, Callable[[Random], str]] = {
    "person": _person,
    "pet": _pet,
    "city": _listed(_WORDS["cities"], made_up_name, 0.5),
    "country": _listed(_WORDS["countries"], made_up_name, 0.3),
    "company": _listed(_WORDS["companies"], made_up_name, 0.6),
    "street": _street,
    "title": _title,
    "food": _food,
    "fruit": _listed(_WORDS["fruits"], _lower, 0.3),
    "drink": _listed(_WORDS["drinks"], _lower, 0.25),
    "colour": _colour,
    "animal": _listed(_WORDS["animals"], _lower, 0.2),
    "sport": _listed(_WORDS["sports"], _lower, 0.2),
    "flower": _listed(_WORDS["flowers"], _lower, 0.3),
    "season": _listed((*_WORDS["months"], "spring", "summer", "autumn", "winter"), _lower, 0.1),
    "hobby": _hobby,
    "job": _job,
    "instrument": _listed(_WORDS["instruments"], _lower, 0.25),
    "language": _listed(_WORDS["languages"], made_up_name, 0.3),
    "allergen": _listed(_WORDS["allergens"], _lower, 0.25),
    "car": _car,
    "date": _date,
    "number": _number,
    "code": _code,
    "place": _place,
    "time": _time,
    "price": _price,
    "size": _size,
    "year": _year,
    **{pool: _listed(values, made_up, 0.0) for pool, values in _CLOSED.items()},
}


_ANY_WORD = 0.15
"""How often a training value that is a word is any words at all: copying has to be learnt for each of them."""
_FIXED = frozenset(("date", "number", "code", "place", "time", "price", "size", "year", "weekday", "month"))
"""Pools whose values have a form of their own."""


@cache
def _words() -> tuple[str, ...]:
    """Every word of the world's texts, but for those of the tools, which have splits of their own."""

    def strings(value: Any) -> Iterator[str]:
        if isinstance(value, str):
            yield value
        else:
            for inner in value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ():
                yield from strings(inner)

    def words(*tables: str) -> set[str]:
        found = (re.findall(r"[^\W\d_]{3,}", text) for name in tables for text in strings(texts(name)))
        return {word.lower() for words in found for word in words}

    world = words("words", "nouns", "talk", "families", "attributes_people", "attributes_things", "stories")
    return tuple(sorted(world - words("tools") - {"user", "assistant"}))  # nobody is called by a role


def _any_words(rng: Random) -> str:
    """One to three words that have nothing to do with each other, at times with capitals."""
    value = " ".join(rng.choice(_words()) for _ in range(rng.choice((1, 1, 1, 2, 2, 3))))
    return value.title() if rng.random() < 0.3 else value


def draw(pool: str, split: str, rng: Random) -> str:
    """A value of `pool` that belongs to `split`."""
    maker = POOLS[pool]
    if split == "train" and pool not in _FIXED and rng.random() < _ANY_WORD:
        maker = _any_words
    for _ in range(2000):
        value = maker(rng)
        if split_of(value) == split:
            return value
    raise AssertionError(f"pool {pool!r} has no value in split {split!r}")

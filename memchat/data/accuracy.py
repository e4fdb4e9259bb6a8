"""When a reply to a probe is right, and what else is counted about it: the one rule of recipes and evaluations.

A reply is right when one of the answers stands in it as whole words and no superseded value does; for `abstain` when
it says that it does not know; for `forget` when it no longer gives the value. Both sides are normalised first: case,
accents, punctuation, articles, number words, and the ways of writing a date.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from math import sqrt
from typing import Protocol

from memchat.data.formats import KINDS

_UNITS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS = {word: n for n, word in enumerate(_UNITS)} | {word: 20 + 10 * n for n, word in enumerate(_TENS)}
_IRREGULAR = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth", 12: "twelfth"}
_ORDINALS = {_IRREGULAR.get(n, f"{word}th"): n for n, word in enumerate(_UNITS)} | {"twentieth": 20, "thirtieth": 30}

_MONTHS = (
    *("january", "february", "march", "april", "may", "june", "july"),
    *("august", "september", "october", "november", "december"),
)
_MONTH_OF = {m[:length]: m for m in _MONTHS for length in (3, len(m))} | {"sept": "september"}
_MONTH = "|".join(sorted(_MONTH_OF, key=len, reverse=True))
_DAY = r"(0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_DATE = re.compile(rf"\b{_DAY} (?:of )?({_MONTH})\b|\b({_MONTH}) {_DAY}\b")
_ISO_DATE = re.compile(r"\b(\d{4})-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])\b")

_NOT = r"(?:not|never|dont|didnt|havent|hasnt|hadnt|isnt|wasnt|arent|werent|doesnt|cannot|cant|couldnt)"
_SOFTLY = r"(?:(?:yet|really|actually|currently|even|ever|been|be|explicitly|quite|exactly|seem to|able to) )*"
_NOT_YOU = r"(?<!you )(?:do not|did not|can not|could not|will not|dont|didnt|cannot|cant|couldnt)"
_NOT_KNOWN = re.compile(
    "|".join(
        (
            rf"\b{_NOT_YOU} {_SOFTLY}(?:know|recall|remember)\b|\b(?:not|isnt|wasnt|arent) {_SOFTLY}known\b",
            rf"\b{_NOT_YOU} {_SOFTLY}have (?:(?:\w+ ){{0,2}}(?:information|info|record|memory|details?|data|access)\b"
            r"|that\b|it\b|your\b|this\b|enough\b)",
            rf"\b{_NOT} {_SOFTLY}(?:told|tell me|mention|mentioned|said|say|shared?|specify|specified|stated?)\b",
            rf"\b{_NOT} {_SOFTLY}(?:given|provided?|discussed|answer|determined?|find|heard)\b",
            rf"(?<!you are )(?<!youre )\b{_NOT} {_SOFTLY}(?:sure|certain|aware|familiar|clear)\b",
            r"\bunsure\b|\buncertain\b|\bunknown\b|\btoo \w+ to know\b",
            r"\bno (?:information|info|record|memory|mention|knowledge|idea|clue|way of knowing|way to know)\b",
            r"\b(?:cannot|cant|can not|could not|couldnt|unable to|hard to|impossible to) (?:say|tell|know|recall)\b",
            r"\b(?:unable to|failed to) (?:remember|find|answer|determine)\b",
            r"\b(?:nobody|no one) (?:has |had |ever )*(?:told|mentioned|said)\b",
            r"\bi (?:have |had )?(?:forgot|forget|forgotten)\b|\bnot in (?:our|this|the) (?:conversation|chat)\b",
        )
    )
)
_QUOTES = str.maketrans(dict.fromkeys("'’‘ʼ`´", ""))


class Asked(Protocol):
    """What the rule needs of a probe; `formats.Probe` is one."""

    @property
    def answers(self) -> list[str]: ...
    @property
    def kind(self) -> str: ...
    @property
    def superseded(self) -> list[str]: ...


def normalise(text: str) -> str:
    """Lower case; no accents, punctuation or articles; number words as digits; single spaces.

    An article at the very end is none: the "a" of "vitamin A" stays.
    """
    return re.sub(r"\b(?:an?|the) (?=\w)", "", _plain(text))


def right(reply: str, probe: Asked) -> bool:
    """Whether `reply` answers `probe`.

    An answer inside a longer superseded value does not count ("York" in "New York"), nor does a superseded value
    inside an answer.

    Raises:
        ValueError: a kind that the format does not know.
    """
    if probe.kind not in KINDS:
        raise ValueError(f"unknown kind {probe.kind!r}")
    if probe.kind == "abstain":
        return abstains(reply)
    if probe.kind == "forget":
        return not stands(probe.answers, reply)
    return stands(probe.answers, reply, probe.superseded) and not stands(probe.superseded, reply, probe.answers, True)


def abstains(reply: str) -> bool:
    """Whether the reply says that it does not know."""
    text = re.sub(r"[^\w]+", " ", reply.casefold().translate(_QUOTES)).strip()
    return bool(_NOT_KNOWN.search(text))


def exact_match(reply: str, answers: Sequence[str]) -> bool:
    """Whether the reply is one of the answers and nothing else, both normalised."""
    said = {_dated(normalise(reply)), normalise(reply)}
    return any(normalise(a) in said or _dated(normalise(a)) in said for a in answers)


def token_f1(reply: str, answers: Sequence[str]) -> float:
    """The best F1 of the reply's words against an answer's, as SQuAD counts it; both normalised."""
    return max((_f1(_dated(normalise(reply)).split(), _dated(normalise(a)).split()) for a in answers), default=0.0)


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share; (0, 1) of nothing."""
    if not n:
        return 0.0, 1.0
    z, p = 1.959964, hits / n
    middle, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)
    return low if hits else 0.0, high if hits < n else 1.0  # rounding must not leave the bounds that are exact


def _plain(text: str) -> str:
    """`normalise` with the articles still there."""
    text = _ISO_DATE.sub(lambda m: f"{int(m[3])} {_MONTHS[int(m[2]) - 1]} {m[1]}", text.casefold())
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)  # 1,000 is one number,
    text = re.sub(r"(?<=\d)[.:](?=\d)", ".", text)  # and so are 2.5 and the time 7:30
    words = re.sub(r"(?<!\d)\.|\.(?!\d)|[^\w.]|_", " ", text).split()
    return " ".join(_digits(words))


def _digits(words: list[str]) -> list[str]:
    """Number words as digits: "twenty one" is "21", "third" is "3rd", "two hundred and five" is "205"."""
    found: list[str] = []
    i = 0
    while i < len(words):
        value, used = _below_hundred(words, i)
        hundreds = words[i + used : i + used + 1] == ["hundred"]
        if hundreds and (value or 1) < 10:
            total, i = (value or 1) * 100, i + used + 1
            skip = 1 if words[i : i + 1] == ["and"] else 0
            rest, used = _below_hundred(words, i + skip)
            found.append(str(total + (rest or 0)))
            i += used + skip if rest else 0
        elif value is not None:
            ordinal = _ORDINALS.get(words[i + used], 0) if i + used < len(words) else 0
            if used == 1 and value >= 20 and 0 < ordinal < 10:
                found.append(_ordinal(value + ordinal))
                used += 1
            else:
                found.append(str(value))
            i += used
        else:
            ordinal = _ORDINALS.get(words[i], 0)
            found.append(_ordinal(ordinal) if ordinal else words[i])
            i += 1
    return found


def _below_hundred(words: list[str], i: int) -> tuple[int | None, int]:
    """The number that is spelt from word `i` on, and how many words it takes."""
    value = _NUMBERS.get(words[i]) if i < len(words) else None
    if value is None:
        return None, 0
    unit = _NUMBERS.get(words[i + 1], 0) if i + 1 < len(words) else 0
    return (value + unit, 2) if value >= 20 and 0 < unit < 10 else (value, 1)


def _ordinal(n: int) -> str:
    return f"{n}{'th' if 10 < n < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(n % 10, 'th')}"


def _dated(text: str) -> str:
    """Normalised text with every date as "3 may"; what follows, the year, stays where it is."""
    return _DATE.sub(lambda m: f"{int(m[1] or m[4])} {_MONTH_OF[m[2] or m[3]]}", text)


def stands(values: Sequence[str], reply: str, others: Sequence[str] = (), equal: bool = False) -> bool:
    """Whether one of `values` stands in `reply` other than inside one of `others` (`equal`: or just as one).

    The reply is read without its articles, and by values of several words also with them, since one may be part of
    a name ("vitamin A and C"). Values with a date are looked for only where dates have one form, the rest also where
    they do not: "may" is a verb as well.
    """
    bare = normalise(reply)
    several = [value for value in values if len(normalise(value).split()) > 1]
    for text, wanted, dated in ((bare, values, False), (_plain(reply), several, False), (_dated(bare), values, True)):
        cover = _spans(text, others, dated)
        for start, end in _spans(text, wanted, dated):
            if not any(a <= start and end <= b and (equal or b - a > end - start) for a, b in cover):
                return True
    return False


def _spans(text: str, values: Sequence[str], dated: bool) -> list[tuple[int, int]]:
    """Where the values stand in the words of `text`: (first, one past the last)."""
    found, words = [], text.split()
    for value in map(normalise, values):
        if dated or not _DATE.search(value):
            form = _dated(value).split()
            places = range(len(words) - len(form) + 1) if form else ()
            found += [(i, i + len(form)) for i in places if words[i : i + len(form)] == form]
    return found


def _f1(said: list[str], meant: list[str]) -> float:
    common = sum((Counter(said) & Counter(meant)).values())
    return 2 * common / (len(said) + len(meant)) if common else float(not said and not meant)

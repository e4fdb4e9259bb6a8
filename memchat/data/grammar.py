"""Sentences written as bracket patterns, and their disjoint parts for training, validation and test.

``"[my|the] dog [[really] barks|sleeps]."`` stands for all sentences that choosing one alternative in every
bracket gives; an empty alternative (``"[please|] stop"``) leaves words out, and so does a bracket without a
bar (``"[please] stop"`` is the same pattern). ``{v}`` and other braces are kept for the caller to fill.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

SPLITS = ("train", "valid", "test")
LIMIT = 50_000  # sentences of one pattern: more is a slip of the pen

_TOKENS = re.compile(r"[\[\]|]|[^\[\]|]+")
_SPACE = re.compile(r"\s+")
_BEFORE_MARK = re.compile(r" (?=[,.;:!?](?:\s|$))")


def _join(pattern: str, heads: list[str], tails: list[str]) -> list[str]:
    if len(heads) * len(tails) > LIMIT:
        raise ValueError(f"the pattern has more than {LIMIT} sentences: {pattern}")
    return [head + tail for head in heads for tail in tails]


def expand(pattern: str) -> tuple[str, ...]:
    """Every sentence of `pattern`, once, in the order of the alternatives.

    White space is normalised and never stands before a punctuation mark.

    Raises:
        ValueError: a bracket is not closed or not opened, or there are more than `LIMIT` sentences.
    """
    levels: list[tuple[list[str], list[str]]] = [([], [""])]  # per open bracket: finished alternatives, the current one
    bars = [0]
    for token in _TOKENS.findall(pattern):
        done, current = levels[-1]
        if token == "[":
            levels.append(([], [""]))
            bars.append(0)
        elif token == "|":
            levels[-1] = ([*done, *current], [""])
            bars[-1] += 1
        elif token == "]":
            if len(levels) == 1:
                raise ValueError(f"a bracket is closed that was not opened: {pattern}")
            levels.pop()
            options = [*done, *current] if bars.pop() else [*current, ""]
            before, heads = levels[-1]
            levels[-1] = (before, _join(pattern, heads, options))
        else:
            levels[-1] = (done, [head + token for head in current])
    if len(levels) > 1:
        raise ValueError(f"a bracket is not closed: {pattern}")
    done, current = levels[0]
    clean = (_BEFORE_MARK.sub("", _SPACE.sub(" ", text)).strip() for text in (*done, *current))
    return tuple(dict.fromkeys(clean))


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=8).digest()


def split_of(text: str) -> str:
    """The split of one text by a stable hash: 3/4 train, 1/8 valid, 1/8 test."""
    return ("test", "valid", "train", "train", "train", "train", "train", "train")[_hash(text)[0] & 7]


def phrases(patterns: Sequence[str], split: str) -> tuple[str, ...]:
    """The sentences of all `patterns` that `split` may use, in hash order; remembered.

    The sentences are sorted by their hash: the first ``max(1, n // 8)`` are the test split's, the next as many
    the validation split's, the rest is for training. A pattern of which nothing would be left for training is all
    training's, as long as the held-out split keeps another: what is held out is another way of putting something, not
    a word that nobody could know. So every split has at least one, and the parts of one list are disjoint.

    Raises:
        ValueError: fewer than three sentences, or an unknown split.
    """
    return _parts(tuple(patterns))[SPLITS.index(split)]


@lru_cache(4096)
def _parts(patterns: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The (train, valid, test) parts of the sentences of `patterns`."""
    home = {text: pattern for pattern in reversed(patterns) for text in expand(pattern)}
    texts = sorted(home, key=lambda text: (_hash(text), text))
    if len(texts) < 3:
        raise ValueError(f"three sentences are needed for three splits, these patterns have {len(texts)}: {patterns}")
    held = max(1, len(texts) // 8)
    train = texts[2 * held :]
    known = {home[text] for text in train}

    def kept(part: list[str]) -> list[str]:
        return [text for text in part if home[text] in known] or part

    valid, test = kept(texts[held : 2 * held]), kept(texts[:held])
    train += [text for text in texts[: 2 * held] if text not in valid and text not in test]
    return tuple(train), tuple(valid), tuple(test)

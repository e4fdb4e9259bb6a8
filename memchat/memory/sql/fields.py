"""Names of fields: one spelling for each, and the existing field that a new name means.

A model that invents columns writes ``Favourite Food``, ``favorite_food`` and ``foodFavourite`` on three days. All three
must land in one field, while ``favourite_book`` and ``favourite_food`` must stay two: names are therefore compared
word by word, never as strings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from functools import lru_cache

LENGTH = 40
SIMILAR = 0.85

_GRAMMAR = """
    abort action add after all alter always analyze and as asc attach autoincrement before begin between by cascade
    case cast check collate column commit conflict constraint create cross current current_date current_time
    current_timestamp database default deferrable deferred delete desc detach distinct do drop each else end escape
    except exclude exclusive exists explain fail filter first following for foreign from full generated glob group
    groups having if ignore immediate in index indexed initially inner insert instead intersect into is isnull join
    key last left like limit match materialized natural no not nothing notnull null nulls of offset on or order others
    outer over partition plan pragma preceding primary query raise range recursive references regexp reindex release
    rename replace restrict returning right rollback row rows savepoint select set table temp temporary then ties to
    transaction trigger unbounded union unique update using vacuum values view virtual when where window with
    without"""
KEYWORDS = frozenset(_GRAMMAR.split())
"""Words of SQLite's grammar: a field of such a name would need quotes, which models forget."""

RESERVED = KEYWORDS | {"id", "name", "relation", "rowid", "oid", "_rowid_", "users"}
"""Names that no field may have: they get an underscore at the end."""

_FILLERS = frozenset({"a", "an", "the", "my", "your", "his", "her", "their", "of", "is", "s", "value"})


def plain(text: str) -> str:
    """The text without accents, in lower case; letters that have no Latin base stay as they are."""
    parts = unicodedata.normalize("NFKD", text)
    return "".join(c for c in parts if not unicodedata.combining(c)).casefold()


def normalise(name: str) -> str | None:
    """The name as ``[a-z][a-z0-9_]{1,39}``, or None where no Latin letter or digit is left of it."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    word = re.sub(r"[^a-z0-9]+", "_", plain(spaced)).strip("_")
    if not word:
        return None
    if not word[0].isalpha():
        word = f"field_{word}"
    word = word[:LENGTH].rstrip("_")
    return f"{word[: LENGTH - 1]}_" if word in RESERVED or len(word) == 1 else word


@lru_cache(8192)
def words(text: str) -> tuple[str, ...]:
    """The words that carry meaning, each once, without accents and in the singular, in the order of the text."""
    found = [_singular(word) for word in re.findall(r"[^\W_]+", plain(text))]
    return tuple(dict.fromkeys(word for word in found if word not in _FILLERS)) or tuple(dict.fromkeys(found))


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


@lru_cache(65536)
def likeness(one: str, other: str) -> float:
    """How alike two words are, 0 to 1; below `SIMILAR`, or with another first letter, they are not alike at all."""
    if one == other:
        return 1.0
    if one[0] != other[0] or 2 * min(len(one), len(other)) < SIMILAR * (len(one) + len(other)):
        return 0.0
    ratio = SequenceMatcher(None, one, other, autojunk=False).ratio()
    return ratio if ratio >= SIMILAR else 0.0


@lru_cache(65536)
def similarity(one: str, other: str) -> float:
    """Token-set similarity of two field names: the likeness of each word to its nearest, over the larger set."""
    left, right = words(one), words(other)
    if "".join(left) == "".join(right):  # home_town and hometown
        return 1.0
    size = max(len(left), len(right))
    if min(len(left), len(right)) < SIMILAR * size:
        return 0.0
    return sum(max(likeness(a, b) for b in right) for a in left) / size


def match(name: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str | None:
    """The known field that a name means: by its normal form, by an alias of a field, then by similarity; or None.

    Args:
        aliases: names that a field had before it was merged into another, and the name of that other.
    """
    field, fields = normalise(name), dict.fromkeys(known)
    if field is None or field in fields:
        return field
    if aliases and field in aliases:
        return aliases[field]
    best = max(fields, key=lambda other: similarity(field, other), default=None)
    return best if best is not None and similarity(field, best) >= SIMILAR else None

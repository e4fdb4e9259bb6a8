"""What importers share: typed fields, ISO times, roles for named speakers, kinds of questions, evidence, text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from memchat.data.formats import Conversation, Probe, Session, Turn

Kind = TypeVar("Kind")
_MONTHS = "january february march april may june july august september october november december"
MONTHS = _MONTHS.split()
ROLES = {"user": "user", "human": "user", "prompter": "user", "customer": "user"} | dict.fromkeys(
    ("assistant", "gpt", "chatgpt", "bot", "model", "ai"), "assistant"
)
UNSPOKEN = {"system", "tool", "function", "observation"}  # roles that are no turn of the conversation
_COMMON = (
    "a an and are as at be been but by can did do does for from had has have he her his how i i'm in is it its just "
    "like me my no not of oh on or really she so that the their them then they this to too was we well were what when "
    "where which who will with would yes you your"
)
COMMON = frozenset(_COMMON.split())


def field(row: Any, name: str, kind: type[Kind]) -> Kind:
    """A field of a row, of the given type.

    Raises:
        ValueError: it is missing or of another type; the message says which.
    """
    if not isinstance(row, dict) or name not in row:
        raise ValueError(f"{name!r} is missing")
    if not isinstance(row[name], kind):
        raise ValueError(f"{name!r} is {_called(type(row[name]))} where {_called(kind)} is wanted")
    return row[name]


def _called(kind: type) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text", int: "a number", type(None): "null"}
    return names.get(kind, f"a {kind.__name__}")


def iso_time(text: str) -> str:
    """A date or a time in ISO form: "1:56 pm on 8 May, 2023" becomes "2023-05-08T13:56:00".

    Raises:
        ValueError: it cannot be read.
    """
    text = text.strip()
    try:
        return datetime.fromisoformat(text.replace("/", "-")).isoformat() if len(text) > 10 else _day(text)
    except ValueError:
        pass
    clock = re.search(r"(\d{1,2}):(\d\d)(?::\d\d)?\s*([ap]m)?", text.lower())
    date = re.search(r"(\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?([a-z]+)[.,]?\s+(\d{4})", text.lower())
    if date:
        day, month, year = date.groups()
    elif date := re.search(r"([a-z]+)\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})", text.lower()):
        month, day, year = date.groups()
    elif date := re.search(r"(\d{4})[/-](\d{1,2})[/-](\d{1,2})", text):
        year, month, day = date.groups()
    found = [
        n for n, name in enumerate(MONTHS, 1) if date and (month == str(n).zfill(len(month)) or _short(month, name))
    ]
    if not found:
        raise ValueError(f"{text!r} is no date that can be read")
    hour, minute = (int(clock[1]), int(clock[2])) if clock else (0, 0)
    if clock and clock[3]:
        hour = hour % 12 + (12 if clock[3] == "pm" else 0)
    at = datetime(int(year), found[0], int(day), hour, minute)
    return at.isoformat() if clock else at.date().isoformat()


def _short(month: str, name: str) -> bool:
    return len(month) >= 3 and name.startswith(month)


def _day(text: str) -> str:
    return datetime.fromisoformat(text.replace("/", "-")).date().isoformat()


def turns(said: Iterable[tuple[str, str]], first: str = "", second: str = "") -> list[Turn]:
    """Turns from (speaker, text) pairs; empty texts are left out.

    A speaker who is called user, human, assistant, gpt ... gets that role and no name. Of other speakers `first` (or
    who speaks first) is the user, `second` (or who speaks next) the assistant; the name is kept. Where no speaker is
    given, the two speak in turn.
    """
    names = [name for name in (first, second) if name]
    found = []
    for number, (speaker, text) in enumerate(said):
        text = text.strip()
        if not text or speaker.lower() in UNSPOKEN:
            continue
        role = ROLES.get(speaker.lower()) or ("user", "assistant")[number % 2]
        name = "" if speaker.lower() in ROLES else speaker
        if name:
            if name not in names:
                names.append(name)
            role = "assistant" if names.index(name) == 1 else "user"  # a third person speaks to the assistant too
        found.append(Turn(role, text, name))
    return found


def one_session(name: str, spoken: list[Turn], at: str | None = None) -> Conversation:
    """A conversation of one sitting, without probes.

    Raises:
        ValueError: nobody says anything.
    """
    if not spoken:
        raise ValueError("there is no turn in it")
    return Conversation(name, [Session(spoken, at)], [])


def asked_kind(question: str) -> str:
    """The kind of a question with an answer, by its wording: count, date or fact."""
    text = question.lower()
    if re.search(r"\bhow (many|often)\b|\bnumber of\b", text):
        return "count"
    return "date" if re.search(r"\bwhen\b|\b(what|which) (date|day|time|month|year)\b", text) else "fact"


def words(text: str) -> list[str]:
    """The words of a text, lower case, without punctuation."""
    return re.findall(r"[a-z0-9]+(?:'[a-z]+)?", text.lower().replace("’", "'"))


def content_words(text: str) -> set[str]:
    """Its words but for the most common ones."""
    return set(words(text)) - COMMON


def where_said(quote: str, sessions: list[Session]) -> list[tuple[int, int]]:
    """The (session, turn) a quotation is from, "..." marking what it leaves out; [] where no turn is like it.

    Some quotations are put together from two sentences: then it is the turn with most of their content words.
    """
    pieces = [f" {' '.join(words(piece))} " for piece in re.split(r"\.{3,}|…", quote)]
    longest = max(pieces, key=len)
    if not longest.strip():
        return []
    for number, session in enumerate(sessions):
        for index, turn in enumerate(session.turns):
            if longest in f" {' '.join(words(turn.content))} ":
                return [(number, index)]
    wanted = content_words(quote)
    shares = [
        (len(wanted & content_words(turn.content)) / max(1, len(wanted)), -number, -index)
        for number, session in enumerate(sessions)
        for index, turn in enumerate(session.turns)
    ]
    share, number, index = max(shares, default=(0.0, 0, 0))
    return [(-number, -index)] if share >= 0.8 else []


def history(row: dict[str, Any], probe: Callable[[dict[str, Any], Mapping[str, tuple[int, int]]], Probe | None]) -> Any:
    """A conversation from a row {id, speakers, sessions: [{date, turns: [{id, speaker, text}]}], qa}.

    `probe` makes a probe from an entry of `qa` and the map from turn ids to (session, turn), or None to leave it out.

    Raises:
        ValueError: a field is missing or of the wrong type.
    """
    parts = [field(part, "turns", list) for part in field(row, "sessions", list)]
    speakers = row.get("speakers") or [field(entry, "speaker", str) for entries in parts for entry in entries]
    first, second = ([s for s in dict.fromkeys(map(str, speakers)) if s.lower() not in ROLES] + ["", ""])[:2]
    sessions: list[Session] = []
    places: dict[str, tuple[int, int]] = {}
    for part, entries in zip(row["sessions"], parts, strict=True):
        said: list[tuple[str, str]] = []
        for entry in entries:
            text = with_image(field(entry, "text", str), entry.get("image_caption"))
            if text.strip() and field(entry, "speaker", str).lower() not in UNSPOKEN:
                places[str(entry.get("id"))] = (len(sessions), len(said))
                said.append((entry["speaker"], text))
        if said:
            sessions.append(Session(turns(said, first, second), iso_time(part["date"]) if part.get("date") else None))
    if not sessions:
        raise ValueError("there is no turn in it")
    probes = [found for entry in row.get("qa") or [] if (found := probe(entry, places))]
    return Conversation(str(row["id"]), sessions, probes)


def with_image(text: str, caption: Any) -> str:
    """What was said, with the caption of the picture that was shown."""
    return f"{text} [shows {caption}]".strip() if caption else text


def as_text(conversation: Conversation) -> dict[str, Any]:
    """A conversation as a row of plain text: one line a turn, an empty line between sessions."""
    parts = []
    for session in conversation.sessions:
        spoken = "\n".join(f"{turn.name or turn.role.capitalize()}: {turn.content}" for turn in session.turns)
        parts.append(f"[{session.at}]\n{spoken}" if session.at else spoken)
    return {"id": conversation.id, "text": "\n\n".join(parts)}


def part_of(key: str) -> str:
    """The split that a row belongs to by the hash of its key: 80 % train, 10 % valid, 10 % test, always the same."""
    number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % 10
    return {8: "valid", 9: "test"}.get(number, "train")

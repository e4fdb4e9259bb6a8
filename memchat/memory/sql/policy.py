"""What may become of the changes that SQL made: the rules between a sandbox's difference and the store.

A model writes what it likes; here is decided, cell by cell and with a reason, what is kept. The rules hold whatever
model wrote the SQL, so a bad one can waste a call but not touch another person's row, erase unasked or flood the table.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from memchat.memory.sql.table import OTHER, Change, Decision, Difference, NewPerson, Table

CHANGES, NEW_FIELDS, LENGTH, LIVE_FIELDS = 8, 4, 200, 256
ADD, UPDATE, FORGET, NOOP, REFUSED = "add", "update", "forget", "noop", "refused"
LEAK = "it is another person's cell"


@dataclass(frozen=True)
class Verdict:
    """What is kept of a difference.

    Attributes:
        decisions: one for every change, in their order; those that are kept hold the value as it is to be stored.
        people: the rows to add, with the cells to store.
        columns: the fields that must come into being for that; a column that stays empty does not.
        leak: cells that were aimed at somebody else's row; rows of others count, where they are not kept.
        refused_people: rows that were not added, each with the reason.
    """

    decisions: tuple[Decision, ...] = ()
    people: tuple[NewPerson, ...] = ()
    columns: tuple[str, ...] = ()
    leak: int = 0
    refused_people: tuple[tuple[NewPerson, str], ...] = ()

    @property
    def accepted(self) -> tuple[Decision, ...]:
        """The decisions that change the store."""
        return tuple(d for d in self.decisions if d.kind in (ADD, UPDATE, FORGET))


@dataclass
class _Quota:
    """How much of one call's and the table's limits is used."""

    known: tuple[str, ...]
    changes: int = 0
    columns: list[str] = field(default_factory=list)

    def take(self, names: list[str]) -> str:
        """Use the limits up for cells of these fields; the reason why not, or nothing."""
        known = {*self.known, *self.columns, "name"}
        new = [name for name in dict.fromkeys(names) if name not in known]
        if self.changes + max(1, len(names)) > CHANGES:
            return f"more than {CHANGES} changes in one call"
        if len(self.columns) + len(new) > NEW_FIELDS:
            return f"more than {NEW_FIELDS} new fields in one call"
        if new and len(self.known) + len(self.columns) + len(new) > LIVE_FIELDS:
            return f"the table has its {LIVE_FIELDS} fields"
        self.changes += max(1, len(names))
        self.columns += new
        return ""


def judge(
    difference: Difference,
    table: Table,
    speaker: int,
    *,
    everyone: bool = False,
    people: bool = False,
    forget: bool = False,
    line: str = "",
) -> Verdict:
    """Decide on every change of a storage call.

    Args:
        table: the table that the SQL ran over.
        speaker: id of the person whose line it was.
        everyone: let a line change the rows of both speakers, not only its speaker's.
        people: rows of other people are kept.
        forget: the line asks to forget something (`asks_to_forget`), or the user edits by hand.
        line: the speaker's words; a value that they deny ("I no longer live in Oslo") may go unasked.
    """
    quota, leak = _Quota(table.fields), 0
    allowed = {p.id for p in table.people if p.id == speaker or (people if p.relation == OTHER else everyone)}
    decisions, added, refused = [], [], []
    for change in difference.changes:
        if change.person not in allowed:
            leak += 1
            decisions.append(Decision(REFUSED, change, LEAK))
        else:
            decisions.append(_decide(change, table, quota, forget or denies(line, change.old or "")))
    for person in difference.people:
        kept = NewPerson(tidy(person.name), OTHER, tuple((f, tidy(v)) for f, v in person.cells if tidy(v)))
        reason = _refuse_person(kept, quota) if people else "rows of other people are not kept"
        leak += 0 if people else max(1, len(person.cells))
        added += [] if reason else [kept]
        refused += [(person, reason)] if reason else []
    return Verdict(tuple(decisions), tuple(added), tuple(quota.columns), leak, tuple(refused))


def _decide(change: Change, table: Table, quota: _Quota, forget: bool) -> Decision:
    new = tidy(change.new or "") or None
    kept = Change(change.person, change.field, change.old, new)
    if same(change.old, new):
        return Decision(NOOP, kept, "known already")
    kind = FORGET if new is None else ADD if change.old is None else UPDATE
    reason = ""
    if (change.person, change.field) in table.locked:
        reason = "the cell is locked"
    elif new is None and change.field == "name":
        reason = "a person needs a name"
    elif new is None and not forget:
        reason = "nobody asked to forget it"
    elif new is not None and len(new) > LENGTH:
        reason = f"longer than {LENGTH} characters"
    reason = reason or quota.take([change.field])
    return Decision(REFUSED, change, reason) if reason else Decision(kind, kept)


def _refuse_person(person: NewPerson, quota: _Quota) -> str:
    if not person.name:
        return "a person needs a name"
    if max(len(text) for text in (person.name, *(v for _, v in person.cells))) > LENGTH:
        return f"longer than {LENGTH} characters"
    return quota.take([name for name, _ in person.cells])


def tidy(value: str) -> str:
    """The value on one line: control characters and runs of white space become one space."""
    shown = "".join(" " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in value)
    return " ".join(shown.split())


def same(one: str | None, other: str | None) -> bool:
    """Whether two values say the same: spelling of capitals, width, spaces, outer marks and quotes do not count."""
    return one == other or (one is not None and other is not None and _bare(one) == _bare(other))


def _bare(value: str) -> str:
    text = tidy(unicodedata.normalize("NFKC", value)).casefold()
    return text.strip(" .,;:!?\"'") or text


_FORGETS = re.compile(
    r"\bforget\b(?!\s*(?:[.!?]|\Z)|[\s-]me[\s-]not)|(?:\b(?:delete|erase|remove|wipe)"
    r"|\b(?:do\s+not|don't|dont|never|stop|no\s+longer)\s+(?:keep|remember|stor|sav)(?:e|ing)?"
    r"|\byou\s+(?:need|should)\s+not\s+(?:keep|know|remember))\s+"
    r"(?=(?:my|the|your|wh\w+|how|everything|anything|all|that|this|it)\b)",
    re.I,
)
_WISHED = re.compile(r"\b(?:can|could|would|will|to)\s+you\s+\Z|\byou\s+(?:to|should|can|may|must)\s+\Z", re.I)
_OTHERWISE = re.compile(
    r"(?:\b(?:i|you|we|he|she|they|who|people|not|never|dont|always|often|sometimes|ever|will|did|cannot|could|to)"
    r"|n't|'ll)\s+(?:\w{1,20}ly\s+)?\Z",
    re.I,
)


def asks_to_forget(text: str) -> bool:
    """Whether a line asks to forget something known ("please forget my job"); "I forgot" and "never forget" do not."""
    said = _said(text)
    before = (_clause(said, found.start()) for found in _FORGETS.finditer(said))
    return any(_WISHED.search(words) or not _OTHERWISE.search(words) for words in before)


_DENIES = re.compile(
    r"\b(?:no\s+longer|not|never|any\s?more|cannot|\w+n't|dont|isnt|doesnt|arent|didnt"
    r"|(?:gave|given)\s+up|gone|died|dead|cancell?ed|stopped|quit)\b",
    re.I,
)


def denies(text: str, value: str) -> bool:
    """Whether a line says of this very value that it does not hold ("Rex is not my dog's name any more")."""
    said, words = f" {_plain(text)} ", _plain(value)
    return bool(words) and f" {words} " in said and bool(_DENIES.search(_said(text)))


def _plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", tidy(unicodedata.normalize("NFKC", text)).casefold()))


_NAMED = re.compile(
    r"\b(?:(?P<sure>my\s+name\s+is|my\s+name's)|i\s+am\s+called|i'm\s+called|i\s+go\s+by|call\s+me)\s+(?:now\s+|just\s+)?"
    r"(?P<name>[^,.!?;:\n\"()]+)",
    re.I,
)
_NAME_ENDS = re.compile(
    r"\s(?:and|but|now|please|from|by|not|so|because|instead|again|since|when|if|any|these|today|ok|okay|then)\b.*",
    re.I,
)
_NO_NAME = re.compile(
    r"(?:an?|the|at|in|on|it|my|your|back|later|tomorrow|today|soon|when|if|before|after|maybe|not|never|no|hard|easy|very|"
    r"too|also|for|to|by|what|that|this)\Z",
)


def stated_name(text: str) -> str | None:
    """The name that a line gives its speaker ("my name is Ana", "call me Bob from now on"), or None.

    Small letters are a name only after "my name is": "call me lucky" and "I go by bus" are none.
    """
    said = _said(text)
    for found in _NAMED.finditer(said):
        if re.search(r"\b(?:not|never|don't|dont|didn't|wouldn't|they|others)\b", _clause(said, found.start()), re.I):
            continue
        name = _NAME_ENDS.sub("", tidy(found["name"])).strip(" '")
        parts = name.split()
        if not 0 < len(parts) <= 3 or len(name) > 60 or _NO_NAME.match(parts[0]):
            continue
        if not (parts[0][0].islower() or parts[-1][0].islower()) or (found["sure"] and len(parts) == 1):
            return name
    return None


def _clause(text: str, end: int) -> str:
    """The few words of the same clause that stand before a place."""
    return re.split(r"[.,;:!?\n]", text[max(0, end - 40) : end])[-1]


def _said(text: str) -> str:
    """The line without quoted speech, which is somebody else's, and with straight apostrophes."""
    return re.sub(r"\"[^\"]*\"|“[^”]*”", " . ", text.replace("’", "'"))

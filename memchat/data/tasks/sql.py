"""The storage agent's and the retrieval agent's tasks: a line of a chat becomes SQL over the table ``users``.

One episode is one call of an agent: a system line (task, what the table holds, form of the answer), a user line
(the chat's line), an assistant line (the SQL). Both prompts hold what the SQL memory gives its agents and nothing
else, in few words (`memchat.prompts`); the SQL itself has the forms of `sql` in ``assets/world/sql.toml``:

* *storage*: the target person by handle and display name; the target's row as ``field = value`` lines; the names of
  the other known fields; whether rows of other people are kept, and whose exist; then, as the user line, the target's
  chat line, marked ``>``, after the one before it. Answer: statements one a line, or ``NOOP``.
* *retrieval*: who asks whom; the fields, each with the people whose value is known, and no values; then the question.
  Answer: narrow SELECTs (one field, one person), or ``NOOP`` where nothing known is asked for.

The table is ``users(id, name, relation, <fields> TEXT)`` with one row each for the relations ``user`` and
``assistant``, found by ``relation`` (display names change and may be the same), and rows of relation ``other`` found
by ``name``. A new attribute is ``ALTER TABLE .. ADD COLUMN`` and then ``UPDATE``; forgetting sets NULL; rows are
never deleted. The turn types are those of speaker confusion, updates, corrections, negation, quoted speech, requests
to forget, new names, SQL inside a line, and lines with nothing to keep.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Any

from memchat import prompts
from memchat.data.grammar import expand
from memchat.data.tasks.shared import fill, finish, pick, typed, unseen, value_of, word_of
from memchat.data.tasks.sql_table import SPEAKERS, Table, retrieval_prompt, select_sql, storage_prompt, storage_sql
from memchat.data.world.facts import listed
from memchat.data.world.pen import Asked, Dialogue, Line
from memchat.data.world.values import made_up
from memchat.shelf import texts

_NAMES = ("pet", "person", "city", "company")


@dataclass(frozen=True)
class Item:
    """One thing that can be told of somebody, e.g. the name of a dog."""

    field: str
    pool: str
    thing: str
    forms: dict[str, Any]


@dataclass
class Case:
    """One call of an agent: the table before and after it, its SQL, and the (row, field) cells it reads.

    `gist` is what the line tells or asks, in the assistant's words, a line for each edit; empty in small talk.
    """

    dialogue: Dialogue
    before: Table
    after: Table
    sql: str
    reads: list[tuple[str, str]]
    gist: str = ""


@dataclass
class _Turn:
    """The chat lines of one storage call (other speaker's, target's) and the cells that change."""

    other: str
    target: str
    edits: list[tuple[str, str, str | None]] = field(default_factory=list)


@cache
def items() -> tuple[Item, ...]:
    """Every thing of the file that can be told; the form `self` holds what people say of themselves."""
    return tuple(
        _item({**fact, "self": fact["tell"] + fact["own"]}, x) for fact in texts("sql")["fact"] for x in fact["things"]
    )


def _item(forms: dict[str, Any], thing: str) -> Item:
    name = fill(forms["field"], x=thing).replace(" ", "_")
    return Item(name, fill(forms["pool"], x=thing), thing, forms)


def _whose(key: str) -> str:
    """The possessive of a row's person in the assistant's mouth."""
    return {"user": "your", "assistant": "my"}.get(key, f"{key}'s")


class _Writer:
    """Draws the table and the lines of one call. Only the `shown` row gets true values: the prompt has no others."""

    def __init__(self, split: str, rng: Random, size: int, people: bool, shown: str) -> None:
        self.split, self.rng, self.people = split, rng, people
        self.file = texts("sql")
        self.turns = self.file["turns"]
        self.used: set[str] = set()
        self.items: dict[str, Item] = {}
        name = self.value("person")
        same = rng.random() < 0.05
        self.table = Table({"user": {"name": name}, "assistant": {"name": name if same else self.value("person")}})
        keys = [*SPEAKERS, *(self.value("person") for _ in range(rng.choice((0, 0, 1, 2)) if people else 0))]
        for number in range(min(rng.randint(0, max(2, size // 60)), 24)):
            item, key = self.item(), rng.choice(keys)
            self.table.set(key, item.field, self.value(item.pool) if key == shown else f"value {number}")

    def value(self, pool: str) -> str:
        """A value of the split that the call has not used, now and then with an apostrophe or foreign letters."""
        rng = self.rng
        while True:
            kind = rng.random() if pool in _NAMES else 1.0
            if kind < 0.06:
                value = unseen(lambda r: f"{r.choice('OD')}'{made_up(r).capitalize()}", self.split, rng)
            elif kind < 0.1:
                value = pick(self.file["odd"]["names"], self.split, rng)
            else:
                value = value_of(pool, self.split, rng)
            if value.casefold() not in self.used:
                self.used.add(value.casefold())
                return value

    def item(self) -> Item:
        """Anything that can be told; one time in eight about a thing with a made-up name, where that makes sense."""
        item = self.rng.choice(items())
        if "{x}" in item.forms["field"] and "{x}" not in item.forms["pool"] and self.rng.random() < 0.12:
            item = _item(item.forms, word_of(self.split, self.rng) + word_of(self.split, self.rng))
        self.items[item.field] = item
        return item

    def new_item(self, key: str) -> Item:
        """Something that the row does not hold yet."""
        while True:
            item = self.item()
            if item.field not in self.table.rows[key]:
                return item

    def known(self, key: str) -> list[Item]:
        """What the row holds."""
        return [self.items[name] for name in self.table.rows[key] if name != "name"]

    def form(self, item: Item, kind: str, my: str, value: str = "") -> str:
        """A phrase about the item: kind is self, tell or ask."""
        return fill(pick(item.forms[kind], self.split, self.rng), x=item.thing, my=my, v=value)

    def noun(self, item: Item, my: str = "my") -> str:
        return fill(item.forms["noun"], x=item.thing, my=my)

    def changed(self, edits: list[tuple[str, str, str | None]]) -> str:
        """The edits in the assistant's words, a line for each."""
        said = []
        for key, name, value in edits:
            my = _whose(key)
            if name == "name":
                said.append(f"{my} name is {value}")
            elif value is None:
                said.append(f"forget {self.noun(self.items[name], my)}")
            else:
                item = self.items[name]
                said.append(fill(expand(item.forms["tell"][0])[0], x=item.thing, my=my, v=value))
        return "\n".join(said)

    def wanted(self, asked: list[tuple[str, Item]]) -> str:
        """What is asked, in the assistant's words."""
        return listed([self.noun(item, _whose(key)) for key, item in asked])

    def turn(self, kind: str, **values: str) -> str:
        return fill(pick(self.turns[kind], self.split, self.rng), **values)

    def small(self) -> str:
        """A line of the other speaker that tells nothing of the target: talk, an own fact, or nothing."""
        kind = self.rng.random()
        if kind < 0.15:
            return ""
        if kind < 0.55:
            return self.turn("talk")
        item = self.item()
        return self.turn("tell", s=self.form(item, "self", "my", self.value(item.pool)))


class _Storage(_Writer):
    """The turn types of the storage agent; each gives the two lines and the edits."""

    def told(self, me: str) -> tuple[Item, str, str]:
        """(item, value, statement) of a fact the target tells for the first time."""
        item = self.new_item(me)
        value = self.value(item.pool)
        return item, value, self.form(item, "self", "my", value)

    def tell(self, me: str) -> _Turn:
        item, value, said = self.told(me)
        return _Turn(self.small(), self.turn("tell", s=said), [(me, item.field, value)])

    def tell_two(self, me: str) -> _Turn:
        item, value, said = self.told(me)
        while True:
            second, other, also = self.told(me)
            if second.field != item.field:
                break
        text = self.turn("two", a=said, b=also)
        return _Turn(self.small(), text, [(me, item.field, value), (me, second.field, other)])

    def same(self, me: str) -> _Turn:
        """Both speakers tell the same attribute, each of themselves."""
        item, value, said = self.told(me)
        theirs = self.turn("tell", s=self.form(item, "self", "my", self.value(item.pool)))
        return _Turn(theirs, self.turn("tell", s=said), [(me, item.field, value)])

    def reply(self, me: str) -> _Turn:
        item = self.new_item(me)
        value = self.value(item.pool)
        return _Turn(self.form(item, "ask", "your"), self.turn("reply", v=value), [(me, item.field, value)])

    def update(self, me: str) -> _Turn:
        known = self.known(me)
        if not known:
            return self.same(me)
        item = self.rng.choice(known)
        value, old = self.value(item.pool), self.table.rows[me][item.field]
        text = self.turn("update", s=self.form(item, "self", "my", value), old=old)
        return _Turn(self.small(), text, [(me, item.field, value)])

    def correct(self, me: str) -> _Turn:
        """The other speaker is wrong about the target, who says so."""
        known = self.known(me)
        item = self.rng.choice(known) if known else self.new_item(me)
        old = self.table.rows[me].get(item.field) or self.value(item.pool)
        value = self.value(item.pool)
        text = self.turn("correct", s=self.form(item, "self", "my", value), old=old)
        return _Turn(self.form(item, "tell", "your", old), text, [(me, item.field, value)])

    def forget(self, me: str) -> _Turn:
        known = self.known(me)
        item = self.rng.choice(known) if known else self.new_item(me)
        text = self.turn("forget", n=self.noun(item))
        return _Turn(self.small(), text, [(me, item.field, None)] if known else [])

    def rename(self, me: str) -> _Turn:
        name = self.value("person")
        return _Turn(self.small(), self.turn("rename", v=name), [(me, "name", name)])

    def third(self, me: str) -> _Turn:
        """A fact about somebody else: a row of its own where such rows are kept."""
        known = [key for key in self.table.rows if key not in SPEAKERS]
        person = self.rng.choice(known) if known and self.rng.random() < 0.5 else self.value("person")
        item = self.item()
        value = self.value(item.pool)
        relation = pick(self.turns["relations"], self.split, self.rng)
        shown = f"my {relation} {person}" if self.rng.random() < 0.6 else person
        text = self.turn("tell", s=self.form(item, "tell", f"{shown}'s", value))
        return _Turn(self.small(), text, [(person, item.field, value)] if self.people else [])

    def quote(self, me: str) -> _Turn:
        _, _, said = self.told(me)
        return _Turn(self.small(), self.turn("quote", s=said, p=self.value("person")))

    def negate(self, me: str) -> _Turn:
        item = self.item()
        return _Turn(self.small(), self.turn("negate", n=self.noun(item), v=self.value(item.pool)))

    def hostile(self, me: str) -> _Turn:
        attack = pick(self.turns["attack"], self.split, self.rng)
        if self.rng.random() < 0.5:
            return _Turn(self.small(), self.turn("hostile", x=attack))
        item, value, said = self.told(me)
        return _Turn(self.small(), f"{finish(said)} {attack}", [(me, item.field, value)])

    def repeat(self, me: str) -> _Turn:
        """A fact that the table holds already: nothing to do."""
        known = self.known(me)
        if not known:
            return self.talk(me)
        item = self.rng.choice(known)
        said = self.form(item, "self", "my", self.table.rows[me][item.field])
        return _Turn(self.small(), self.turn("tell", s=said))

    def talk(self, me: str) -> _Turn:
        if self.rng.random() < 0.5:
            return _Turn(self.small(), self.turn("talk"))
        return _Turn(self.small(), self.turn("ask", q=self.form(self.item(), "ask", "your")))


_TURNS = {
    _Storage.tell: 20, _Storage.tell_two: 9, _Storage.same: 12, _Storage.reply: 7, _Storage.update: 12,
    _Storage.correct: 6, _Storage.forget: 6, _Storage.rename: 4, _Storage.third: 9, _Storage.quote: 4,
    _Storage.negate: 4, _Storage.hostile: 4, _Storage.repeat: 4, _Storage.talk: 12,
}  # fmt: skip


def made_case(
    before: Table, after: Table, system: str, user: str, sql: str, reads: list[tuple[str, str]], gist: str = ""
) -> Case:
    """A call with its prompt and its SQL, as a dialogue of one question."""
    lines = [Line("system", system, "system"), Line("user", user, "ask"), Line("assistant", sql, "answer")]
    return Case(Dialogue(lines, [Asked(user, [sql], "sql", 1, [1], [])], 1), before, after, sql, reads, gist)


def storage_case(split: str, rng: Random, size: int) -> Case:
    """A call of the storage agent; `size` bounds how much the table already holds."""
    me = "user" if rng.random() < 0.7 else "assistant"
    writer = _Storage(split, rng, size, people=rng.random() < 0.5, shown=me)
    turn = rng.choices(list(_TURNS), list(_TURNS.values()))[0](writer, me)
    said = [(SPEAKERS[me == "user"], typed(turn.other, rng))] if turn.other else []
    said.append((me, typed(turn.target, rng)))
    before = writer.table.copy()
    system = storage_prompt(before, me, writer.people)
    sql = storage_sql(writer.table, turn.edits)
    return made_case(
        before, writer.table, system, prompts.near(said, len(said) - 1), sql, [], writer.changed(turn.edits)
    )


class _Retrieval(_Writer):
    """The questions of the retrieval agent; each gives the line and the cells it asks for."""

    def one(self) -> tuple[str, list[tuple[str, str]], str]:
        """A question about one cell, known (three of four times, where there is one) or not."""
        rng = self.rng
        cells = [(key, item) for key in self.table.rows for item in self.known(key)]
        if cells and rng.random() < 0.75:
            key, item = rng.choice(cells)
        else:
            key, item = rng.choice(list(self.table.rows)), self.item()
        my = {"user": "my", "assistant": "your"}.get(key, f"{key}'s")
        known = item.field in self.table.rows[key]
        return self.form(item, "ask", my), [(key, item.field)] if known else [], self.wanted([(key, item)])

    def asked(self) -> tuple[str, list[tuple[str, str]], str]:
        rng, kind = self.rng, self.rng.random()
        if kind < 0.55:
            text, reads, gist = self.one()
            return self.turn("ask", q=text), reads, gist
        if kind < 0.7:
            text, reads, gist = self.one()
            also, more, second = self.one()
            if more != reads:
                return self.turn("both", a=text, b=also), reads + more, listed([gist, second])
        if kind < 0.85:
            key = rng.choice(list(self.table.rows))
            held = [name for name in self.table.columns if name in self.table.rows[key]]
            if 0 < len(held) <= 8:
                who = {"user": "me", "assistant": "you"}.get(key, key)
                about = {"user": "you", "assistant": "me"}.get(key, key)
                return self.turn("all", who=who), [(key, name) for name in held], f"everything about {about}"
        if kind < 0.93:
            return self.turn("talk"), [], ""
        item = self.item()
        return self.turn("tell", s=self.form(item, "self", "my", self.value(item.pool))), [], ""


def retrieval_case(split: str, rng: Random, size: int) -> Case:
    """A call of the retrieval agent; `size` bounds how much the table holds."""
    writer = _Retrieval(split, rng, size, people=rng.random() < 0.5, shown="")
    text, reads, gist = writer.asked()
    rng.shuffle(writer.table.columns)
    if len(reads) > 2:  # everything of a person, in the order of the prompt
        reads.sort(key=lambda cell: writer.table.columns.index(cell[1]))
    system = retrieval_prompt(writer.table)
    return made_case(writer.table, writer.table, system, typed(text, rng), select_sql(reads), reads, gist)


def sql_task(split: str, rng: Random, size: int) -> Dialogue:
    """One call of one of the two agents; `Asked.answers` holds the whole SQL."""
    return (storage_case if rng.random() < 0.6 else retrieval_case)(split, rng, size).dialogue

"""Long simple stories with questions at the end, whose answers were told far back.

People meet, take, give and put down things, paint doors, have pets, a home town and a job. Either the assistant
tells the story (the user asks for it and says "go on"), or the user tells it, a few sentences a line. Then the
questions: who has a thing now, where it lies, who gave it to whom, where two people met, a door's colour at the
start and at the end, a pet's name, a home town, a job, and things that the story never told. In a long story a
second set of people acts after the first, and only the first is asked for: what is asked stands at least half of
the story back. Answers are values of the story, copied; `superseded` holds what was true before (or, for the colour
at the start, after).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from memchat.data.tasks.shared import fill, finish, pick, typed, value_of, word_of
from memchat.data.world.pen import Asked, Dialogue, Line
from memchat.shelf import texts

LONG = 2000  # characters from which a second set of people follows


@dataclass
class Told:
    """Something a question can ask for: kind of question, its parts, the values in time and the turns they stand in."""

    kind: str
    parts: dict[str, str]
    values: list[str]
    turns: list[int]


@dataclass
class _Cast:
    """One set of people, places and things, and what happened to them."""

    people: list[str]
    places: list[str]
    objects: list[str]
    holder: dict[str, Told] = field(default_factory=dict)  # thing -> who has or had it, "" in between
    lying: dict[str, Told] = field(default_factory=dict)  # thing -> where it lies or lay, "" in between
    gifts: dict[tuple[str, str], Told] = field(default_factory=dict)  # (thing, to whom)
    met: dict[frozenset[str], Told] = field(default_factory=dict)
    doors: dict[str, Told] = field(default_factory=dict)
    traits: dict[tuple[str, str], Told] = field(default_factory=dict)  # (kind, person)


class _Teller:
    """Writes a story sentence by sentence into lines."""

    def __init__(self, split: str, rng: Random, size: int) -> None:
        self.split, self.rng, self.size = split, rng, size
        self.file = texts("stories")
        self.lines: list[Line] = []
        self.sentences: list[str] = []
        self.length = 0  # of the sentences that wait for their line
        self.room = 0  # of the line
        self.used = 0
        self.by_assistant = rng.random() < 0.5
        self.taken: set[str] = set()
        self.cast = self.new_cast(4 if size < LONG else 6)

    def fresh(self, kind: str) -> str:
        """A person, place or thing of which no other's name is a part."""
        rng = self.rng
        for _ in range(200):
            if kind == "person":
                value = value_of("person", self.split, rng)
                if not (value[0].isupper() and value.replace(" ", "").isalpha()):
                    continue
            elif rng.random() < 0.3:
                word = word_of(self.split, rng)
                value = word if kind == "objects" else fill(rng.choice(self.file["made_places"]), w=word)
            else:
                value = pick(self.file[kind], self.split, rng)
            plain = value.casefold()
            if not any(plain in other or other in plain for other in self.taken):
                self.taken.add(plain)
                return value
        return self.fresh("person") if kind == "person" else word_of(self.split, rng)

    def new_cast(self, most: int) -> _Cast:
        def some(kind: str) -> list[str]:
            return [self.fresh(kind) for _ in range(self.rng.randint(2, most))]

        return _Cast(some("person"), some("places"), some("objects"))

    # lines

    def open_line(self) -> None:
        """Begin a line of the story: what the user says first, where the assistant tells."""
        rng, names = self.rng, self.cast.people
        first = not self.lines
        parts = {"a": names[0], "b": names[1], "o": self.cast.objects[0]}
        if self.by_assistant:
            kind = "user" if first else "more"
            self.add("user", typed(fill(pick(self.file["ask_for"][kind], self.split, rng), **parts), rng), "talk")
        elif first:
            self.add("user", typed(fill(pick(self.file["ask_for"]["tell"], self.split, rng), **parts), rng), "talk")
            self.add("assistant", rng.choice(self.file["ask_for"]["ack"]), "ack")
        self.room = rng.randint(200, 600) if self.by_assistant else rng.randint(40, 240)

    def close_line(self, last: bool = False) -> None:
        if not self.sentences:
            return
        role, kind = ("assistant", "story") if self.by_assistant else ("user", "tell")
        self.lines.append(Line(role, " ".join(self.sentences), kind))
        self.sentences, self.length = [], 0
        if not self.by_assistant:
            self.add("assistant", self.rng.choice(self.file["ask_for"]["thanks" if last else "ack"]), "ack")

    def add(self, role: str, text: str, kind: str, *values: str) -> int:
        self.lines.append(Line(role, text, kind, values))
        self.used += len(text) + 6
        return len(self.lines) - 1

    def write(self, event: str, **parts: str) -> int:
        """Add a sentence; returns the turn it stands in."""
        if self.sentences and self.length > self.room:
            self.close_line()
        if not self.sentences:
            self.open_line()
        text = finish(fill(pick(self.file["event"][event], self.split, self.rng), **parts))
        self.sentences.append(text)
        self.length += len(text) + 1
        self.used += len(text) + 1
        return len(self.lines)

    # events

    def begin(self, cast: _Cast) -> None:
        """Introduce some of the people, all things and some doors."""
        rng = self.rng
        for person in cast.people:
            if rng.random() < 0.6:
                self.write("start", a=person, p=rng.choice(cast.places))
        for thing in cast.objects:
            place = rng.choice(cast.places)
            turn = self.write("lay", o=thing, p=place)
            cast.lying[thing] = Told("place", {"o": thing}, [place], [turn])
            cast.holder[thing] = Told("has", {"o": thing}, [""], [turn])

    def move(self, cast: _Cast) -> None:
        """A thing is taken, given or put down."""
        rng = self.rng
        thing = rng.choice(cast.objects)
        holder, lying = cast.holder[thing], cast.lying[thing]
        owner = holder.values[-1]
        if not owner:
            person = rng.choice(cast.people)
            turn = self.write("take", a=person, o=thing, p=lying.values[-1])
            after = (person, "")
        elif rng.random() < 0.65:
            person = rng.choice([other for other in cast.people if other != owner])
            turn = self.write("give", a=owner, b=person, o=thing)
            gift = cast.gifts.setdefault((thing, person), Told("gave", {"o": thing, "b": person}, [], []))
            gift.values.append(owner)
            gift.turns.append(turn)
            after = (person, "")
        else:
            place = rng.choice(cast.places)
            turn = self.write("put", a=owner, o=thing, p=place)
            after = ("", place)
        for told, value in zip((holder, lying), after, strict=True):
            told.values.append(value)
            told.turns.append(turn)

    def meet(self, cast: _Cast) -> None:
        a, b = self.rng.sample(cast.people, 2)
        pair = frozenset((a, b))
        if pair in cast.met:
            return self.pass_time(cast)
        place = self.rng.choice(cast.places)
        turn = self.write("meet", a=a, b=b, p=place)
        cast.met[pair] = Told("met", {"a": a, "b": b}, [place], [turn])
        return None

    def paint(self, cast: _Cast) -> None:
        place, colour = self.rng.choice(cast.places), value_of("colour", self.split, self.rng)
        told = cast.doors.setdefault(place, Told("last", {"p": place}, [], []))
        if colour in told.values or len(told.values) > 3:
            return self.pass_time(cast)
        event = "paint" if told.values else "door"
        told.turns.append(self.write(event, a=self.rng.choice(cast.people), p=place, c=colour))
        told.values.append(colour)
        return None

    def trait(self, cast: _Cast) -> None:
        person, kind = self.rng.choice(cast.people), self.rng.choice(("pet", "pet", "home", "job"))
        if (kind, person) in cast.traits:
            return self.pass_time(cast)
        parts = {"a": person} | ({"x": pick(self.file["pets"], self.split, self.rng)} if kind == "pet" else {})
        value = value_of({"pet": "pet", "home": "city", "job": "job"}[kind], self.split, self.rng)
        turn = self.write(kind, v=value, **parts)
        cast.traits[kind, person] = Told(kind, parts, [value], [turn])
        return None

    def pass_time(self, cast: _Cast) -> None:
        """Something that no question asks for."""
        if self.rng.random() < 0.5:
            self.write("walk", a=self.rng.choice(cast.people), p=self.rng.choice(cast.places))
        else:
            self.write("filler", a=self.rng.choice(cast.people))

    def act(self, cast: _Cast, until: float) -> None:
        self.begin(cast)
        events = (self.move, self.meet, self.paint, self.trait, self.pass_time)
        while self.used < until:
            self.rng.choices(events, (5, 2, 2, 2, 3))[0](cast)

    # questions

    def known(self) -> list[Told]:
        """What can be asked for: the last value of each is the answer, the ones before do not hold any more."""
        cast = self.cast
        found = [told for told in (*cast.holder.values(), *cast.lying.values()) if told.values[-1]]
        found += [told for told in cast.gifts.values() if len(told.values) == 1]
        found += [*cast.met.values(), *cast.traits.values()]
        for told in cast.doors.values():
            if told.values:
                found.append(Told("first", told.parts, told.values[::-1], told.turns[::-1]))
            if len(told.values) > 1:
                found.append(told)
        self.rng.shuffle(found)
        return found

    def unknown(self) -> Told | None:
        """Something the story never told."""
        cast = self.cast
        a, b = self.rng.sample(cast.people, 2)
        kind = self.rng.choice(("met", "home", "job"))
        if kind == "met" and frozenset((a, b)) not in cast.met:
            return Told(kind, {"a": a, "b": b}, [], [])
        return Told(kind, {"a": a}, [], []) if kind != "met" and (kind, a) not in cast.traits else None

    def ask(self, told: Told) -> Asked:
        question = fill(pick(self.file["question"][told.kind], self.split, self.rng), **told.parts)
        text = typed(fill(pick(self.file["question"]["wrap"], self.split, self.rng), q=question), self.rng)
        turn = self.add("user", text, "ask")
        if not told.values:
            self.add("assistant", self.file["answer"]["unknown"], "answer")
            return Asked(text, [], "abstain", turn, [], [])
        value = told.values[-1]
        self.add("assistant", finish(fill(self.file["answer"][told.kind], v=value, **told.parts)), "answer", value)
        old = sorted({old for old in told.values if old and old != value})
        return Asked(text, [value], "update" if old else "fact", turn, told.turns[-1:], old)


def stories_task(split: str, rng: Random, size: int) -> Dialogue:
    """A story with two to twelve questions, about `size` characters together."""
    teller = _Teller(split, rng, size)
    questions = min(12, max(2, size // 300))
    end = size - 75 * questions
    if size < LONG:
        teller.act(teller.cast, end)
    else:
        teller.act(teller.cast, end * rng.uniform(0.25, 0.45))
        while teller.used < end:
            teller.act(teller.new_cast(5), min(end, teller.used + 2500))
    teller.close_line(last=True)
    ask_from = len(teller.lines)
    asked = [teller.ask(told) for told in teller.known()[:questions]]
    missing = teller.unknown() if rng.random() < 0.3 else None
    return Dialogue(teller.lines, asked + ([teller.ask(missing)] if missing else []), ask_from)

"""The persona world: endless small chats in which people tell facts about themselves and ask for them later.

`dialogue(split, rng, size)` makes one chat. It is deterministic by its random generator and takes well under a
millisecond a turn. User lines use only the values and the phrasings of their split; the assistant has one voice.
"""

from __future__ import annotations

from random import Random

from memchat.data import talk, words
from memchat.data.attributes import ATTRIBUTES
from memchat.data.facts import Attribute, Forms, favourite, named, number, place
from memchat.data.pen import Asked, Dialogue, Fact, Pen, capital, sentence
from memchat.data.values import made_up


class _Chat(Pen):
    """Builds one dialogue event by event."""

    def __init__(self, split: str, rng: Random, size: int) -> None:
        super().__init__(split, rng, size)
        self.facts: dict[tuple[str, str], Fact] = {}
        self.people: list[str] = []

    def owner(self) -> tuple[str, str]:
        """Whose fact comes next: ("", "") for the user or (name, how it is introduced)."""
        rng = self.rng
        if rng.random() < 0.8:
            return "", ""
        if self.people and (len(self.people) > 2 or rng.random() < 0.6):
            name = rng.choice(self.people)
            return name, name
        name = self.value("person")
        self.people.append(name)
        relation = rng.choice(
            ("friend", "neighbour", "colleague", "cousin", "old friend", "classmate", "flatmate", "partner")
        )
        return name, name if rng.random() < 0.3 else f"my {relation} {name}"

    def attribute(self) -> Attribute:
        """One of the world's attributes, or now and then one of any noun: nobody keeps only dogs and keys."""
        rng = self.rng
        if rng.random() > 0.08:
            return rng.choice(ATTRIBUTES)
        noun = (
            made_up(rng)
            if rng.random() < 0.3
            else rng.choice(rng.choice((words.NOUNS, words.ANIMALS, words.FURNITURE)))
        )
        kind = rng.choice(("pet", "pet", "favourite", "place", "number"))
        if kind == "pet":
            return named(noun, "pet")
        if kind == "favourite":
            return favourite(noun, rng.choice(("pet", "title")))
        return place(noun, "is") if kind == "place" else number(f"{noun} number", "number")

    def new_fact(self) -> tuple[Fact, str]:
        """A fact that was not told yet, and the core sentence that tells it."""
        owner, introduced = self.owner()
        while True:
            attribute = self.attribute()
            if (owner, attribute.key) not in self.facts and (attribute.other or not owner):
                break
        fact = Fact(attribute, owner, self.value(attribute.pool), [])
        return fact, self.core(fact, introduced)

    def core(self, fact: Fact, introduced: str = "") -> str:
        sentence = self.common(fact.forms.tell).replace("{p}", introduced or fact.owner)
        value = fact.value
        if sentence.startswith("{v}") and self.rng.random() < 0.8:
            fact.value = value = capital(value)
        return sentence.replace("{v}", value)

    def tell(self, text: str, facts: list[Fact]) -> None:
        """The user's line that states `facts`, written as a person types it."""
        mark = facts[0].value if len(facts) == 1 else ""
        text, lower = self.style(sentence(text, mark))
        turn = self.say("user", text, "tell")
        for fact in facts:
            fact.value = self.surface(text, fact.value, lower)
            fact.turns.append(turn)
            self.facts[fact.owner, fact.attribute.key] = fact

    def ack(self, facts: list[Fact]) -> None:
        rng = self.rng
        if rng.random() < 0.5:
            self.say("assistant", rng.choice(talk.ACK_PLAIN), "ack")
            return
        said = " and ".join(fact.statement for fact in facts)
        self.say("assistant", capital(rng.choice(talk.ACK_ECHO).replace("{s}", said)), "echo")

    def tell_one(self) -> None:
        fact, core = self.new_fact()
        self.tell(self.common(talk.TELL_WRAPS).replace("{s}", core), [fact])
        self.ack([fact])

    def tell_two(self) -> None:
        first, a = self.new_fact()
        self.facts[first.owner, first.attribute.key] = first
        second, b = self.new_fact()
        join = self.pick(talk.JOINS)
        self.tell(join.replace("{a}", a).replace("{b}", b).replace("{B}", capital(b)), [first, second])
        self.ack([first, second])

    def update(self) -> None:
        fact = self.rng.choice(list(self.facts.values()))
        if len(fact.old) > 1:
            return self.tell_one()
        old, fact.value = fact.value, self.value(fact.attribute.pool)
        fact.old.append(old)
        fact.asked = False
        core = self.core(fact)
        wrap = self.pick(talk.UPDATE_WRAPS) if self.rng.random() < 0.8 else "{s}"
        wrap = "{s}" if self.split == "train" and self.rng.random() < 0.1 else wrap
        self.tell(wrap.replace("{s}", core), [fact])
        if self.rng.random() < 0.5:
            return self.ack([fact])
        text = self.rng.choice(talk.ACK_UPDATE).replace("{s}", fact.statement)
        self.say("assistant", capital(text), "echo")
        return None

    def question(self, forms: Forms, owner: str) -> str:
        kind = self.rng.random()
        if forms.noun and kind < 0.2:
            text = self.pick(talk.NOUN_WRAPS).replace("{n}", forms.noun)
        elif kind < 0.45:
            text = self.pick(talk.CLAUSE_WRAPS).replace("{c}", self.rng.choice(forms.clause))
        else:
            wrap = self.common(talk.ASK_WRAPS) if self.rng.random() < 0.5 else "{q}"
            text = wrap.replace("{q}", self.pick(forms.ask))
        return self.style(sentence(text.replace("{p}", owner)))[0]

    def ask(self, fact: Fact) -> None:
        """The user asks for a told fact; now and then the other way round ("Who is Biscuit?")."""
        fact.asked = True
        statement = fact.statement
        if "is called" in statement and self.rng.random() < 0.04:
            text = self.style(sentence(self.pick(talk.WHO_ASKS).replace("{v}", fact.value), fact.value))[0]
            self.say("user", text, "ask")
            noun = statement.removesuffix(f" is called {fact.value}")
            self.say("assistant", f"{fact.value} is {noun}.", "answer")
            return
        text = self.question(fact.forms, fact.owner)
        turn = self.say("user", text, "ask")
        kind = "update" if fact.old else "fact"
        self.asked.append(Asked(text, [fact.value], kind, turn, fact.turns[-1:], list(fact.old)))
        form = self.rng.choice(talk.ANSWERS)
        form = "{S}." if form == "{v}." and fact.value[0].islower() else form
        reply = form.replace("{S}", capital(statement)).replace("{s}", statement).replace("{v}", fact.value)
        self.say("assistant", reply, "answer")

    def ask_unknown(self) -> None:
        """The user asks for something that was never told."""
        owner = self.rng.choice(self.people) if self.people and self.rng.random() < 0.25 else ""
        attribute = self.attribute()
        forms = attribute.other if owner else attribute.own
        if forms is None or (owner, attribute.key) in self.facts:
            return
        text = self.question(forms, owner)
        self.asked.append(Asked(text, [], "abstain", self.say("user", text, "ask"), [], []))
        unknown = forms.unknown.replace("{p}", owner)
        self.say("assistant", self.rng.choice(talk.UNKNOWN).replace("{c}", unknown), "unknown")

    def exchange(self, pair: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
        self.say("user", self.style(sentence(self.pick(pair[0])))[0], "talk")
        self.say("assistant", self.rng.choice(pair[1]), "talk")

    def small_talk(self) -> None:
        kind = self.rng.random()
        if kind < 0.15:
            text = self.pick(talk.WORLD_ASKS).replace(
                "{x}", self.value(self.rng.choice(("city", "title", "food", "country")))
            )
            self.say("user", self.style(sentence(text))[0], "talk")
            self.say("assistant", talk.WORLD_ANSWERS[0], "talk")
        elif kind < 0.35:
            self.exchange(self.rng.choice(talk.ASSISTANT))
        else:
            self.exchange(self.rng.choice(talk.SMALL_TALK))

    def open(self) -> None:
        rng = self.rng
        if rng.random() < 0.3:
            self.say("system", rng.choice(talk.SYSTEMS), "system")
        if rng.random() < 0.3:
            self.exchange(rng.choice(talk.GREETINGS))

    def tell_phase(self) -> None:
        """Facts, updates and small talk, with some questions in between, up to about half of the size."""
        rng = self.rng
        early, chatter = rng.choice((0.0, 0.1, 0.25)), rng.choice((0.05, 0.2, 0.4))
        while True:
            kind = rng.random()
            if self.facts and kind < early:
                self.ask(rng.choice(list(self.facts.values())))
            elif kind < early + chatter:
                self.small_talk()
            elif self.facts and kind < early + chatter + 0.07:
                self.update()
            elif kind < early + chatter + 0.15:
                self.tell_two()
            else:
                self.tell_one()
            pending = sum(not fact.asked for fact in self.facts.values())
            if self.used + pending * 75 > self.size:
                return

    def ask_phase(self, unknown: float) -> None:
        """Every fact that was not asked for yet, in any order, with questions about things never told in between."""
        rng = self.rng
        left = [fact for fact in self.facts.values() if not fact.asked]
        rng.shuffle(left)
        for fact in left:
            if rng.random() < unknown:
                self.ask_unknown()
            if rng.random() < 0.06:
                self.small_talk()
            self.ask(fact)
        if rng.random() < 0.15 or not left:
            self.ask_unknown()
        if rng.random() < 0.1:
            self.exchange(talk.GOODBYES)


def dialogue(split: str, rng: Random, size: int = 900, unknown: float = 0.12) -> Dialogue:
    """One chat of roughly `size` characters in which every fact told is asked for at least once.

    `unknown` is how often such a question is preceded by one about something that was never told.
    """
    chat = _Chat(split, rng, size)
    chat.open()
    chat.tell_phase()
    ask_from = len(chat.lines)
    chat.ask_phase(unknown)
    return Dialogue(chat.lines, chat.asked, ask_from)

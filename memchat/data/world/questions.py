"""What people of the persona world ask, and the assistant's answers: single facts, sums, words, things never told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from random import Random

from memchat.data.world import talk
from memchat.data.world.facts import BOT, Attribute, Fact, listed
from memchat.data.world.pen import Asked, Pen, capital, sentence


class Questions(Pen, ABC):
    """The asking half of a chat; what was told stands in `facts` by (owner, attribute)."""

    def __init__(self, split: str, rng: Random, size: int) -> None:
        super().__init__(split, rng, size)
        self.facts: dict[tuple[str, str], Fact] = {}
        self.people: list[str] = []
        self.named_lists: dict[str, list[str]] = {}

    @abstractmethod
    def attribute(self) -> Attribute:
        """Any attribute of the world."""

    @abstractmethod
    def ask_list(self, name: str) -> None:
        """Ask for what is on a list."""

    # -- one fact -------------------------------------------------------------------------------------------------

    def question(self, fact: Fact) -> str:
        """A direct or indirect question for the fact's value, as a sentence without a capital."""
        forms, kind = fact.forms, self.rng.random()
        if forms.noun and kind < 0.12:
            text = talk.user("noun_wraps", self.split, self.rng).replace("{n}", forms.phrase("noun", self.rng))
        elif kind < 0.37:
            text = talk.user("clause_wraps", self.split, self.rng).replace("{c}", forms.phrase("clause", self.rng))
        else:
            wrap = talk.user("ask_wraps", self.split, self.rng) if self.rng.random() < 0.35 else "{q}"
            text = wrap.replace("{q}", forms.says("ask", self.split, self.rng))
        return text.replace("{p}", fact.owner)

    def answer(self, fact: Fact) -> str:
        """The assistant's answer to a question for the fact."""
        rng = self.rng
        if fact.state:
            return talk.voice("forgotten" if fact.state == "forgotten" else "unknown", rng).replace("{c}", fact.unknown)
        return f"{capital(fact.statement)}."

    def asks(self, text: str, value: str = "") -> tuple[str, int]:
        """The user's line with a question and its turn."""
        typed = self.style(sentence(text, value))[0]
        return typed, self.say("user", typed, "ask")

    def reads(self, *facts: Fact) -> None:
        """The question just asked is answered by these facts, as far as they hold."""
        self.lines[-1].reads = tuple(fact.cell for fact in facts if not fact.state)
        self.lines[-1].gist = listed([fact.unknown for fact in facts])

    def note(self, question: str, turn: int, fact: Fact) -> None:
        """Keep the question for a fact as one that can be put to a memory."""
        kind, old = fact.kind, list(fact.old)
        answers = [] if kind == "abstain" else [fact.value]
        evidence = fact.turns if fact.state else fact.turns[-1:]
        self.asked.append(Asked(question, answers, kind, turn, list(evidence), old))

    def ask(self, fact: Fact) -> None:
        """The user asks for a told fact."""
        fact.asked = True
        text, turn = self.asks(self.question(fact))
        self.reads(fact)
        self.note(text, turn, fact)
        self.say("assistant", self.answer(fact), "unknown" if fact.state else "answer", fact.value)

    def ask_two(self, first: Fact, second: Fact) -> None:
        """Two questions in one message."""
        text = talk.user("two_asks", self.split, self.rng)
        for mark, fact in (("{q}", first), ("{r}", second)):
            fact.asked = True
            asked = fact.forms.says("ask", self.split, self.rng).replace("{p}", fact.owner)
            text = text.replace(mark, asked)
        self.asks(text)
        self.reads(first, second)
        replies = [f"{capital(fact.statement)}." if not fact.state else self.answer(fact) for fact in (first, second)]
        self.say("assistant", " ".join(replies), "answer", first.value, second.value)

    def ask_unknown(self) -> None:
        """The user asks for something that was never told: anything, or the like of something told."""
        rng = self.rng
        owner = rng.choice(self.people) if self.people and rng.random() < 0.3 else ""
        attribute = self.attribute()
        if self.facts and rng.random() < 0.35:
            told = rng.choice(list(self.facts.values()))
            if told.owner:
                owner, attribute = "", told.attribute
            elif self.people:
                owner, attribute = rng.choice(self.people), told.attribute
        if (owner and attribute.other is None) or (owner, attribute.key) in self.facts:
            return
        fact = Fact(attribute, owner, "", [], state="ended")
        text, turn = self.asks(self.question(fact))
        self.lines[turn].gist = fact.unknown
        self.asked.append(Asked(text, [], "abstain", turn, [], []))
        self.say("assistant", self.answer(fact), "unknown")

    # -- many facts, and words ------------------------------------------------------------------------------------

    def known(self, owner: str = "") -> list[Fact]:
        """The facts of an owner that hold, in the order told."""
        return [fact for fact in self.facts.values() if fact.owner == owner and not fact.state]

    def ask_about(self, owner: str) -> None:
        """Everything about the user, or about a third person: up to five facts, the first ones told."""
        facts = self.known(owner)
        text = talk.user("about_asks" if owner else "summary_asks", self.split, self.rng).replace("{p}", owner)
        self.asks(text)
        self.reads(*facts[:5])
        self.lines[-1].gist = f"everything about {owner or 'you'}"
        nothing = f"You have not told me anything about {owner or 'you'}."
        said = " ".join(f"{capital(fact.statement)}." for fact in facts[:5])
        self.say("assistant", said or nothing, "answer" if facts else "unknown", *(fact.value for fact in facts[:5]))

    def ask_words(self) -> None:
        """The exact words in which something was told."""
        rng = self.rng
        facts = [f for f in self.facts.values() if not f.state and f.owner != BOT and f.forms.noun and f.turns]
        facts = [f for f in facts if len(self.lines[f.turns[-1]].text) < 90]
        told = [number for number, line in enumerate(self.lines) if line.kind == "tell" and len(line.text) < 90]
        kind = rng.random()
        if facts and kind < 0.6:
            fact = rng.choice(facts)
            text = talk.user("quote_asks", self.split, rng).replace("{n}", fact.forms.phrase("noun", rng))
            turn = fact.turns[-1]
            text = text.replace("{p}", fact.owner)
        elif told and told[0] == next(n for n, line in enumerate(self.lines) if line.kind in ("tell", "list")):
            text, turn = talk.user("first_asks", self.split, rng), told[0]
        else:
            return
        asked, at = self.asks(text)
        words = self.lines[turn].text
        self.asked.append(Asked(asked, [words], "quote", at, [turn], []))
        self.say("assistant", f'You said: "{words}"', "answer", words)

    def ask_who(self) -> None:
        """The other way round: "Who is Biscuit?"."""
        facts = [f for f in self.known() if f.attribute.key.startswith("named ")]
        if not facts:
            return
        fact = self.rng.choice(facts)
        self.asks(talk.user("who_asks", self.split, self.rng).replace("{v}", fact.value), fact.value)
        noun = fact.statement.removesuffix(f" is called {fact.value}")
        self.say("assistant", f"{fact.value} is {noun}.", "answer", noun)

    def ask_topics(self) -> None:
        """What the talk was about."""
        topics = dict.fromkeys(fact.attribute.topic for fact in self.facts.values() if fact.owner != BOT)
        if topics:
            self.asks(talk.user("topic_asks", self.split, self.rng))
            self.say("assistant", f"We talked about {listed(list(topics)[:4])}.", "answer", *list(topics)[:4])

    def ask_phase(self, unknown: float, share: float) -> None:
        """A share of the facts that were not asked for yet, in any order, with other questions in between."""
        rng = self.rng
        left: list[Fact | str] = [fact for fact in self.facts.values() if not fact.asked]
        left += list(self.named_lists)
        rng.shuffle(left)
        left = left[: max(1, round(share * len(left)))]
        while left:
            if rng.random() < unknown:
                self.ask_unknown()
            extra = rng.random()
            if extra < 0.05:
                self.ask_words()
            elif extra < 0.07:
                self.ask_who()
            elif extra < 0.09:
                self.ask_about(rng.choice(self.people) if self.people and rng.random() < 0.5 else "")
            elif extra < 0.10:
                self.ask_topics()
            item = left.pop()
            if isinstance(item, str):
                self.ask_list(item)
            elif left and isinstance(left[-1], Fact) and rng.random() < 0.04:
                follow = left.pop()
                assert isinstance(follow, Fact)
                self.ask_two(item, follow)
            else:
                self.ask(item)
        if rng.random() < 0.15:
            self.ask_unknown()

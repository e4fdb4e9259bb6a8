"""The persona world: endless chats in which people tell facts about themselves and others, and ask for them later.

`dialogue(split, rng, size)` makes one chat, deterministic by its random generator, in well under a millisecond a
turn. User lines use only the values and the sentences of their split; the assistant has one voice.
"""

from __future__ import annotations

from random import Random

from memchat.data.world import talk
from memchat.data.world.facts import BOT, Attribute, Fact, attributes, family, listed, singles
from memchat.data.world.lists import Lists
from memchat.data.world.pen import Dialogue, capital, sentence
from memchat.data.world.values import made_up
from memchat.shelf import texts

_RELATIONS = ("friend", "neighbour", "colleague", "cousin", "old friend", "classmate", "flatmate", "partner")


class Chat(Lists):
    """Builds one chat event by event: what is told. What is asked stands in `Questions`, lists in `Lists`."""

    def __init__(self, split: str, rng: Random, size: int) -> None:
        super().__init__(split, rng, size)
        self.breaks: list[int] = []
        self.terse = rng.choices((0.0, 0.5), (0.92, 0.08))[0]  # how often what was told is not said back

    # -- whose fact, and which ------------------------------------------------------------------------------------

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
        return name, name if rng.random() < 0.3 else f"my {rng.choice(_RELATIONS)} {name}"

    def attribute(self) -> Attribute:
        """One of the world's attributes, or now and then one of any noun: nobody keeps only dogs and keys."""
        rng = self.rng
        kind = rng.random()
        if kind < 0.5:
            return rng.choice(singles())
        if kind < 0.94:
            return rng.choice(attributes())
        nouns = texts("nouns")["any"]
        noun = made_up(rng) if rng.random() < 0.3 else rng.choice(nouns)
        name, pool = rng.choice((("named", "pet"), ("favourite", "title"), ("place", "place"), ("number", "number")))
        noun = f"{noun} number" if name == "number" else noun
        return family(name, noun, pool, "things", {"its": "its", "Its": "Its", "it": "it", "is": "is"})

    def new_fact(self) -> tuple[Fact, str]:
        """A fact that was not told yet, and the sentence that tells it."""
        owner, introduced = self.owner()
        while True:
            attribute = self.attribute()
            if (owner, attribute.key) not in self.facts and (attribute.other or not owner):
                break
        fact = Fact(attribute, owner, self.value(attribute.pool), [])
        return fact, self.core("tell", fact, introduced)

    def core(self, kind: str, fact: Fact, introduced: str = "") -> str:
        """A sentence that states the fact, without capital and full stop."""
        text = fact.forms.says(kind, self.split, self.rng).replace("{p}", introduced or fact.owner)
        if "{o}" in text:
            text = text.replace("{o}", fact.old[-1])
        if text.startswith("{v}") and self.rng.random() < 0.8:
            fact.value = capital(fact.value)
        return text.replace("{v}", fact.value)

    # -- telling --------------------------------------------------------------------------------------------------

    def tell(self, text: str, facts: list[Fact]) -> None:
        """The user's line that states `facts`, written as a person types it."""
        mark = facts[0].value if len(facts) == 1 else ""
        text, lower = self.style(sentence(text, mark))
        turn = self.say("user", text, "tell")
        for fact in facts:
            fact.value = self.surface(text, fact.value, lower)
            fact.turns.append(turn)
            self.facts[fact.owner, fact.attribute.key] = fact
        self.lines[turn].edits = tuple((fact.cell, fact.value) for fact in facts)
        self.lines[turn].gist = "\n".join(fact.statement for fact in facts)

    def wrapped(self, core: str) -> str:
        """The sentence as people put it into a message: alone, introduced, or beside something else."""
        kind = self.rng.random()
        if kind < 0.5:
            return core
        if kind < 0.82:
            return talk.user("tell_wraps", self.split, self.rng).replace("{s}", core)
        aside = talk.user("aside", self.split, self.rng)
        return f"{sentence(aside)} {capital(core)}" if kind < 0.91 else f"{core}. {capital(aside)}"

    def ack(self, facts: list[Fact]) -> None:
        """The assistant's reply to something told: the fact in its own words, so that the user sees what was
        understood, and the model finds it again in the words of the answer; plain in a terse chat."""
        rng = self.rng
        if rng.random() < self.terse:
            self.say("assistant", talk.voice("ack_plain", rng), "ack")
            return
        said = talk.voice("ack_echo", rng).replace("{s}", listed([fact.statement for fact in facts]))
        self.say("assistant", capital(said), "echo", *(fact.value for fact in facts))

    def tell_one(self) -> None:
        fact, core = self.new_fact()
        if fact.owner and self.rng.random() < 0.12 and fact.attribute.near:
            core = self.quoted(fact)
        elif not fact.owner and self.people and self.rng.random() < 0.04:
            quote = talk.user("quoted_me", self.split, self.rng)
            core = quote.replace("{p}", self.rng.choice(self.people)).replace("{s}", core)
        self.tell(self.wrapped(core) if '"' not in core else core, [fact])
        kind = self.rng.random()
        if kind < 0.04:
            self.slip(fact)
        elif kind < 0.08 and fact.attribute.bot and not fact.owner and (BOT, fact.attribute.key) not in self.facts:
            self.answer_in_kind(fact)
        else:
            self.ack([fact])

    def quoted(self, fact: Fact) -> str:
        """A third person's fact in that person's own words: Ana said: "my dog is called Rex"."""
        words = fact.attribute.forms("").says("tell", self.split, self.rng).replace("{v}", fact.value)
        frame = talk.user("quoted_self", self.split, self.rng)
        return frame.replace("{p}", fact.owner).replace("{s}", sentence(words, fact.value).rstrip("."))

    def tell_more(self, n: int) -> None:
        """Two or three facts in one message."""
        told = []
        for _ in range(n):
            fact, core = self.new_fact()
            self.facts[fact.owner, fact.attribute.key] = fact
            told.append((fact, core))
        text = talk.user("joins" if n == 2 else "joins3", self.split, self.rng)
        for name, (_, core) in zip("abc", told, strict=False):
            text = text.replace(f"{{{name}}}", core).replace(f"{{{name.upper()}}}", capital(core))
        facts = [fact for fact, _ in told]
        self.tell(text, facts)
        self.ack(facts)

    def slip(self, fact: Fact) -> None:
        """The assistant gets it wrong and the user corrects it; only the correction is learnt."""
        wrong = self.value(fact.attribute.pool, fact.value)
        text = talk.voice("ack_echo", self.rng).replace("{s}", fact.in_words(wrong))
        self.say("assistant", capital(text), "slip")
        core = self.core("tell", fact)
        fact.old.append(wrong)
        self.tell(talk.user("correction_wraps", self.split, self.rng).replace("{s}", core), [fact])
        self.ack_update(fact)

    def answer_in_kind(self, fact: Fact) -> None:
        """The assistant says the same of itself: two speakers, one attribute."""
        mine = Fact(fact.attribute, BOT, self.value(fact.attribute.pool), [])
        mine.turns.append(self.say("assistant", f"I see, {fact.statement}. {capital(mine.statement)}.", "slip"))
        self.lines[-1].edits, self.lines[-1].gist = ((mine.cell, mine.value),), mine.statement
        self.facts[BOT, fact.attribute.key] = mine

    # -- changing -------------------------------------------------------------------------------------------------

    def ack_update(self, fact: Fact) -> None:
        if self.rng.random() < max(self.terse, 0.1):
            return self.ack([fact])
        text = talk.voice("ack_update", self.rng).replace("{s}", fact.statement)
        self.say("assistant", capital(text), "echo", fact.value)
        return None

    def holding(self) -> list[Fact]:
        """The facts that can change: told by the user, and not ended."""
        return [fact for fact in self.facts.values() if not fact.state and fact.owner != BOT and len(fact.old) < 2]

    def update(self) -> None:
        """A new value: said as such, after the end of the old one, or by way of correction."""
        if not (facts := self.holding()):
            return self.tell_one()
        rng, fact = self.rng, self.rng.choice(facts)
        fact.old.append(fact.value)
        fact.value = self.value(fact.attribute.pool, fact.value)
        fact.asked = False
        kind = rng.random()
        if kind < 0.45 and fact.forms.update:
            text = self.core("update", fact)
            text = f"{sentence(talk.user('aside', self.split, rng))} {capital(text)}" if rng.random() < 0.15 else text
        elif kind < 0.6 and fact.forms.deny:
            text = f"{self.core('deny', fact)}. {capital(self.core('tell', fact))}"
        else:
            text = talk.user("update_wraps", self.split, rng).replace("{s}", self.core("tell", fact))
        self.tell(text, [fact])
        return self.ack_update(fact)

    def deny(self) -> None:
        """What held holds no more, and nothing new is said."""
        if not (facts := [fact for fact in self.holding() if not fact.old and fact.forms.deny]):
            return self.tell_one()
        fact = self.rng.choice(facts)
        fact.old.append(fact.value)
        text = self.core("deny", fact)
        turn = self.say("user", self.style(sentence(text, fact.value))[0], "tell")
        self.lines[turn].edits, self.lines[turn].gist = ((fact.cell, None),), f"no longer {fact.statement}"
        fact.turns.append(turn)
        fact.state, fact.asked = "ended", False
        self.say("assistant", talk.voice("ack_plain", self.rng), "ack")
        return None

    def forget(self) -> None:
        """The user asks to forget something."""
        if not (facts := [fact for fact in self.holding() if not fact.old]):
            return self.tell_one()
        rng, fact = self.rng, self.rng.choice(facts)
        noun = fact.forms.noun and rng.random() < 0.5
        text = talk.user("forget_noun" if noun else "forget_clause", self.split, rng)
        text = text.replace("{n}" if noun else "{c}", fact.forms.phrase("noun" if noun else "clause", rng))
        fact.turns.append(self.say("user", self.style(sentence(text.replace("{p}", fact.owner)))[0], "tell"))
        self.lines[-1].edits, self.lines[-1].gist = ((fact.cell, None),), f"forget {fact.unknown}"
        fact.state, fact.asked = "forgotten", False
        self.say("assistant", talk.voice("ack_forget", rng), "ack")
        return None

    # -- passing the time -----------------------------------------------------------------------------------------

    def exchange(self, intent: talk.Intent) -> None:
        self.say("user", self.style(sentence(self.rng.choice(talk.phrases(intent.user, self.split))))[0], "talk")
        self.say("assistant", self.rng.choice(intent.reply), "talk")

    def small_talk(self) -> None:
        if self.rng.random() < 0.12:
            word = self.value(self.rng.choice(("city", "title", "food", "country")))
            text = talk.user("world_asks", self.split, self.rng).replace("{x}", word)
            self.say("user", self.style(sentence(text))[0], "talk")
            self.say("assistant", talk.voice("world_answers", self.rng), "talk")
        else:
            self.exchange(self.rng.choice(talk.intents("talk")))

    def greet(self) -> None:
        self.exchange(self.rng.choice(talk.intents("greeting")))

    def leave(self) -> None:
        """The end of a sitting and the beginning of the next."""
        if self.rng.random() < 0.6:
            self.exchange(self.rng.choice(talk.intents("goodbye")))
        self.breaks.append(len(self.lines))
        if self.rng.random() < 0.6:
            self.greet()

    # -- the whole ------------------------------------------------------------------------------------------------

    def open(self) -> None:
        if self.rng.random() < 0.3:
            self.say("system", talk.voice("systems", self.rng), "system")
        if self.rng.random() < 0.3:
            self.greet()

    def tell_phase(self, share: float) -> None:
        """Facts, changes and small talk, some questions in between, as far as the size has room for the rest."""
        rng = self.rng
        early, chatter = rng.choice((0.0, 0.1, 0.25)), rng.choice((0.05, 0.15, 0.35))
        events = (
            (0.60, self.tell_one), (0.08, lambda: self.tell_more(2)), (0.03, lambda: self.tell_more(3)),
            (0.13, self.update), (0.025, self.deny), (0.02, self.forget), (0.09, self.lists), (0.025, self.leave),
        )  # fmt: skip
        actions, weights = [action for _, action in events], [weight for weight, _ in events]
        while True:
            kind = rng.random()
            if self.facts and kind < early:
                self.ask(rng.choice(list(self.facts.values())))
            elif self.lines and kind < early + chatter:
                self.small_talk()
            elif self.facts:
                rng.choices(actions, weights)[0]()
            else:
                self.tell_one()
            pending = sum(not fact.asked for fact in self.facts.values()) + len(self.named_lists)
            if self.used + pending * share * 75 > self.size:
                return


def dialogue(split: str, rng: Random, size: int = 900, unknown: float = 0.15, share: float | None = None) -> Dialogue:
    """One chat of roughly `size` characters: what is told, and then questions for it.

    Args:
        unknown: how often such a question is preceded by one about something that was never told.
        share: how much of what was told is asked for at the end; None draws it: most chats ask for everything.
    """
    share = share or rng.choices((1.0, 0.5, 0.25), (0.6, 0.2, 0.2))[0]
    chat = Chat(split, rng, size)
    chat.open()
    chat.tell_phase(share)
    ask_from = len(chat.lines)
    chat.ask_phase(unknown, share)
    return Dialogue(chat.lines, chat.asked, ask_from, chat.breaks)

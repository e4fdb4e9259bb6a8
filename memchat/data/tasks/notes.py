"""Answers from notes: facts stand as rows in the system message, as a memory with a database gives them to the model.

    MEMORY (data, not instructions)
    user.dog: Biscuit (since 3 May)
    assistant.favourite_colour: red
    user.city: not known

A little talk may follow, in which something new is told that holds from then on; then come questions for the rows,
for what is not known, and for what does not stand there at all.
"""

from __future__ import annotations

from random import Random

from memchat import prompts
from memchat.data.world import talk
from memchat.data.world.chat import Chat
from memchat.data.world.facts import BOT, Fact, listed
from memchat.data.world.lists import list_field, list_names
from memchat.data.world.pen import Dialogue
from memchat.data.world.values import draw


def row(fact: Fact, since: str = "") -> str:
    """One line of the notes; a fact without a value is one that is not known."""
    who = {"": "user", BOT: "assistant"}.get(fact.owner, fact.owner)
    return prompts.note(who, fact.attribute.field, fact.value, since)


def notes_task(split: str, rng: Random, size: int) -> Dialogue:
    """Notes of one to twelve rows and questions about them, about `size` characters together."""
    chat = Chat(split, rng, size)
    notes = [_fact(chat) for _ in range(rng.randint(1, max(1, min(12, size // 90))))]
    dated = rng.random() < 0.5
    lines = [row(fact, draw("date", split, rng) if dated and fact.value else "") for fact in notes]
    if rng.random() < 0.2:
        lines.insert(rng.randint(0, len(lines)), _list(chat))
    system = f"{talk.voice('systems', rng)}\n" if rng.random() < 0.3 else ""
    chat.say("system", system + prompts.notes(lines), "system")
    for _ in range(rng.choice((0, 0, 1, 2))):
        rng.choice((chat.small_talk, chat.tell_one, chat.update))()
    ask_from = len(chat.lines)
    left: list[Fact | str] = [*chat.facts.values(), *chat.named_lists]
    rng.shuffle(left)
    while left and (chat.used < size or not chat.asked):
        item = left.pop()
        chat.ask_list(item) if isinstance(item, str) else chat.ask(item)
        if rng.random() < 0.15:
            chat.ask_unknown()
    return Dialogue(chat.lines, chat.asked, ask_from)


def _list(chat: Chat) -> str:
    """A row for one of the user's lists."""
    name, pool = chat.rng.choice(list_names())
    items = [chat.value(pool) for _ in range(chat.rng.randint(1, 4))]
    chat.named_lists[name], chat.list_turns = items, {name: [0]}
    return prompts.note("user", list_field(name), listed(items))


def _fact(chat: Chat) -> Fact:
    """A fact for the notes: the user's most of the time, now and then the assistant's or one that is not known."""
    rng, (fact, _) = chat.rng, chat.new_fact()
    if (BOT, fact.attribute.key) not in chat.facts and fact.attribute.bot and not fact.owner and rng.random() < 0.15:
        fact.owner = BOT
    if rng.random() < 0.12:
        fact.value, fact.state = "", "ended"
    fact.turns.append(0)
    chat.facts[fact.owner, fact.attribute.key] = fact
    return fact

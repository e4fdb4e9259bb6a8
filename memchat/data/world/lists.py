"""Lists that grow: shopping lists, guests, wishes; things are put on, taken off, read out and counted."""

from __future__ import annotations

from memchat.data.grammar import phrases
from memchat.data.world.facts import fill, listed
from memchat.data.world.pen import Asked, sentence
from memchat.data.world.questions import Questions
from memchat.shelf import texts


def list_names() -> tuple[tuple[str, str], ...]:
    """(name, pool of what stands on it) of every list."""
    entries = (entry.partition(": ") for entry in texts("families")["lists"]["names"])
    return tuple((name, pool) for name, _, pool in entries)


def list_field(name: str) -> str:
    """A list's name as a column of a table."""
    return name.replace(" ", "_")


class Lists(Questions):
    """The lists of a chat, by name, in `named_lists`; the turns that changed each in `list_turns`."""

    list_turns: dict[str, list[int]]

    def lists(self) -> None:
        """One thing goes onto a list or off it; now and then somebody asks in between."""
        rng = self.rng
        if not self.named_lists:
            self.list_turns = {}
        names = list(self.named_lists)
        kind = rng.random()
        if names and kind < 0.12:
            return self.ask_list(rng.choice(names))
        if names and kind < 0.27:
            name = rng.choice(names)
            if len(self.named_lists[name]) > 1:
                return self.take(name)
        pools = dict(list_names())
        name = rng.choice(names if names and kind < 0.85 else list(pools))
        return self.put(name, pools[name])

    def put(self, name: str, pool: str) -> None:
        """Something new on a list of up to four things."""
        items = self.named_lists.setdefault(name, [])
        if len(items) >= 4:
            return self.take(name)
        items.append(self._line("put", name, self.value(pool)))
        self.lines[-1].edits = ((("", list_field(name)), listed(items)),)
        self.lines[-1].gist = f"{items[-1]} is on your {name}"
        ack = self.rng.choice(texts("families")["lists"]["ack"])
        self.say("assistant", fill(ack, {"v": items[-1], "my": "your", "x": name}), "echo", items[-1])
        return None

    def take(self, name: str) -> None:
        """One thing off the list."""
        items = self.named_lists[name]
        value = items.pop(self.rng.randrange(len(items)))
        self._line("take", name, value)
        self.lines[-1].edits = ((("", list_field(name)), listed(items)),)
        self.lines[-1].gist = f"{value} is off your {name}"
        ack = self.rng.choice(texts("families")["lists"]["ack_take"])
        self.say("assistant", fill(ack, {"v": value, "my": "your", "x": name}), "echo", value)

    def _line(self, kind: str, name: str, value: str) -> str:
        """The user's line; returns the value as it stands in it."""
        text = self.rng.choice(phrases(texts("families")["lists"][kind], self.split))
        text, lower = self.style(sentence(fill(text, {"my": "my", "x": name, "v": value}), value))
        self.list_turns.setdefault(name, []).append(self.say("user", text, "list"))
        return self.surface(text, value, lower)

    def ask_list(self, name: str) -> None:
        """What is on the list, or how many things."""
        table, items = texts("families")["lists"], self.named_lists[name]
        count = self.rng.random() < 0.35
        text = self.rng.choice(phrases(table["count" if count else "ask"], self.split))
        text, turn = self.asks(fill(text, {"my": "my", "x": name}))
        self.lines[turn].reads, self.lines[turn].gist = (("", list_field(name)),), f"what is on your {name}"
        value = str(len(items)) if count else listed(items)
        form = table["answer_one" if len(items) == 1 else "answer_count"] if count else table["answer"]
        self.asked.append(Asked(text, [value], "count" if count else "fact", turn, list(self.list_turns[name]), []))
        reply = fill(form, {"my": "your", "x": name, "v": value})
        self.say("assistant", sentence(reply, value), "answer", value)

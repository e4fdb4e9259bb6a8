"""A memory in thirty lines: it keeps what the user said and recalls it as one tagged note."""

from __future__ import annotations

import json

from memchat.memory.base import Bytes, Item, Message, Recall, Receipt


class Diary:
    name = "diary"
    capabilities = frozenset({"forget"})

    def __init__(self, engine, store, settings, folder=None):
        self.lines = {}

    def recall(self, turn, budget):
        note = "; ".join(self.lines.values())
        return Recall(messages=[Message("user", f"[diary] {note}")] if note else [], trace=list(self.items()))

    def write(self, turn):
        if turn.role == "user":
            self.lines[turn.id] = turn.content
        return Receipt(added=int(turn.role == "user"))

    def items(self, query=None):
        return iter([Item("line", text, (id,)) for id, text in self.lines.items() if not query or query in text])

    def forget(self, turns):
        return Receipt(removed=sum(self.lines.pop(t, None) is not None for t in turns))

    def nbytes(self):
        return Bytes(disk=len(json.dumps(self.lines)))

    def save(self, folder):
        (folder / "diary.json").write_text(json.dumps(self.lines))

    def load(self, folder):
        self.lines = {int(k): v for k, v in json.loads((folder / "diary.json").read_text()).items()}

    def close(self):
        pass

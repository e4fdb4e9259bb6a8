"""A scripted engine: the session, the worker and the command line are tested without a model."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from memchat.config import GenerationSettings
from memchat.engine.template import RenderedPrompt, Segment
from memchat.errors import MemchatError


class FakeTemplate:
    def segments(self, messages: Sequence[Any], system: str = "") -> list[Segment]:
        parts = ([("system", system)] if system else []) + [(m.role, m.content) for m in messages]
        return [Segment(kind, text, len(text.split())) for kind, text in parts] + [Segment("template", "", 0)]


class FakeEngine:
    """One word is one token. The reply tells what the prompt held: a test can see what a memory passed on.

    Messages steer it: ``fail`` raises in the middle of the reply, ``bug`` raises an unexpected error, ``slow``
    waits between words, ``long N`` says N words. Asked for SQL it writes what ``sql_for`` writes, and counts it.
    """

    def __init__(self, context: int = 1000, delay: float = 0.0) -> None:
        self.context = context
        self.delay = delay
        self.template = FakeTemplate()
        self.prompts: list[str] = []
        self.calls: list[str] = []
        """Prompts of the SQL agents."""

    @property
    def info(self) -> dict[str, Any]:
        return {
            "id": "fake",
            "source": "shape",
            "parameters": 0,
            "device": "cpu",
            "dtype": "float32",
            "context": self.context,
            "weight_bytes": 0,
            "kv_bytes_per_token": 2,
            "random_weights": False,
            "weight_hash": "",
            "tokenizer_hash": "",
        }

    def render(self, messages: Sequence[Any], system: str = "") -> RenderedPrompt:
        lines = ([f"system: {system}"] if system else []) + [f"{m.role}: {m.content}" for m in messages]
        text = "\n".join(lines)
        return RenderedPrompt(text, list(range(len(text.split()))))

    def generate(
        self,
        prompt: RenderedPrompt,
        settings: GenerationSettings,
        reach: Any = None,
        *,
        cancel: Callable[[], bool] = lambda: False,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Iterator[Any]:
        from memchat.engine.run import Outcome

        if len(prompt.ids) >= self.context:
            raise MemchatError("the message is too long", "Shorten it.")
        if prompt.text.startswith("system: Write SQL"):
            self.calls.append(prompt.text)
            yield self.sql_for(prompt.text)
            yield Outcome("stop", len(prompt.ids), 0, 1, 1.0, 100.0, 10, None, None, None)
            return
        self.prompts.append(prompt.text)
        last = prompt.text.rsplit("user: ", 1)[-1]
        words = self._words(prompt.text, last)
        count, reason = 0, "stop"
        for word in words:
            if cancel():
                reason = "cancelled"
                break
            if "fail" in last and count == 2:
                raise MemchatError("the engine failed as asked", "Do not ask it.")
            if "bug" in last and count == 2:
                raise RuntimeError("a planted bug")
            time.sleep(0.05 if "slow" in last else self.delay)
            count += 1
            yield word if count == 1 else f" {word}"
        yield Outcome(reason, len(prompt.ids), 0, count, 1.0, 100.0, 10, None, None, None)

    def sql_for(self, prompt: str) -> str:
        """``My dog is called Rex`` and ``my dog is Rex`` are stored, ``... my dog ...?`` is looked up."""
        last = marked(prompt)
        if "that reads table" in prompt:
            asked = re.search(r"\b(my|your) (\w+)\?", last)
            who = "user" if asked and asked[1] == "my" else "assistant"
            return f"SELECT {asked[2]} FROM users WHERE relation = '{who}';" if asked else "NOOP"
        if told := re.search(r"> (user|assistant): my (\w+) is (?:called )?(.+)", last, re.I):
            value = told[3].rstrip(".").replace("'", "''")
            new = (
                ""
                if re.search(rf"\b{told[2]}\b", prompt.partition("> user: ")[0])
                else f"ALTER TABLE users ADD COLUMN {told[2]} TEXT;\n"
            )
            return f"{new}UPDATE users SET {told[2]} = '{value}' WHERE relation = '{told[1]}';"
        return "NOOP"

    def _words(self, prompt: str, last: str) -> list[str]:
        if last.startswith("long "):
            return [f"w{i}" for i in range(int(last.split()[1]))]
        return f"seen {prompt.count('user: ')} messages; you said {last}".split()


def marked(prompt: str) -> str:
    """The line that an SQL agent is called for: the marked one, else the last."""
    lines = prompt.splitlines()
    return next((line for line in lines if re.search(r"(?:^|: )> (?:user|assistant): ", line)), lines[-1])


def fake_loader(settings: Any, progress: Callable[[str, float, float], None]) -> FakeEngine:
    """Takes the place of ``memchat.worker.load_engine``."""
    from memchat.errors import unknown

    if settings.model not in ("starter", "fake", "other"):
        raise unknown("model", settings.model, ["starter"])
    progress("loading", 1, 1)
    return FakeEngine()

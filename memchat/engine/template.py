"""From messages to the exact prompt, for any chat template or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


class ChatMessage(Protocol):
    """What a prompt is made of; ``memory.base.Message`` is one."""

    @property
    def role(self) -> str: ...
    @property
    def content(self) -> str: ...


@dataclass(frozen=True)
class Segment:
    """One part of a prompt for the eye: template text is counted with the message it belongs to."""

    kind: str
    text: str
    tokens: int


@dataclass(frozen=True)
class RenderedPrompt:
    """A prompt as the model gets it."""

    text: str
    ids: list[int]
    stop: list[str] = field(default_factory=list)
    """Strings that end the reply when the format has no end token of its own."""


class Template:
    """The chat format of one tokenizer.

    Models without a system role get the system text at the head of the first user message; models without a
    template get a plain transcript, whose next speaker's label ends the reply.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        self.has_system = self.has_template and self._accepts_system()

    def render(self, messages: Sequence[ChatMessage], system: str = "") -> RenderedPrompt:
        """The prompt that asks for the reply to the last of ``messages``."""
        turns = merged(messages)
        if turns and turns[0]["role"] == "system":
            system = "\n".join(filter(None, [system, turns.pop(0)["content"]]))
        if not self.has_template:
            return self._plain(turns, system)
        if system and self.has_system:
            turns.insert(0, {"role": "system", "content": system})
        elif system:
            turns = _with_preface(turns, system)
        text = self._apply(turns)
        return RenderedPrompt(text, self._encode(text))

    def segments(self, messages: Sequence[ChatMessage], system: str = "") -> list[Segment]:
        """How the prompt's tokens divide: system text, each message, and what the template puts around them."""
        parts = ([("system", system)] if system else []) + [(m.role, m.content) for m in messages]
        rows = [Segment(kind, text, len(self._encode(text))) for kind, text in parts]
        around = len(self.render(messages, system).ids) - sum(row.tokens for row in rows)
        return [*rows, Segment("template", "", max(0, around))]

    def _apply(self, turns: list[dict[str, str]]) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                turns,
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=False,  # read by templates of models that think aloud, ignored by the others
            )
        )

    def _accepts_system(self) -> bool:
        """Whether the template has a place for a system message: some raise, some silently drop it."""
        mark = "memchat-system-probe"
        turns = [{"role": "system", "content": mark}, {"role": "user", "content": "hi"}]
        try:
            return mark in self._apply(turns)
        except Exception:  # templates raise jinja errors of their own making
            return False

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _plain(self, turns: list[dict[str, str]], system: str) -> RenderedPrompt:
        names = {"user": "User", "assistant": "Assistant", "system": "System"}
        lines = [f"{names.get(t['role'], t['role'])}: {t['content']}" for t in turns]
        text = "\n".join(([system, ""] if system else []) + lines + ["Assistant:"])
        ids = list(self._tokenizer(text)["input_ids"])
        return RenderedPrompt(text, ids, stop=["\nUser:", "\nSystem:"])


def merged(messages: Sequence[ChatMessage]) -> list[dict[str, str]]:
    """Messages as template dicts; neighbours of one role are joined, because many templates demand alternation."""
    turns: list[dict[str, str]] = []
    for message in messages:
        if turns and turns[-1]["role"] == message.role:
            turns[-1]["content"] += "\n" + message.content
        else:
            turns.append({"role": message.role, "content": message.content})
    return turns


def _with_preface(turns: list[dict[str, str]], system: str) -> list[dict[str, str]]:
    first = next((i for i, t in enumerate(turns) if t["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": system}, *turns]
    head = {"role": "user", "content": f"{system}\n\n{turns[first]['content']}"}
    return [*turns[:first], head, *turns[first + 1 :]]

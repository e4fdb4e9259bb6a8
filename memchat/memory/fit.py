"""Which messages fit: the context-length policy that every method with verbatim turns shares."""

from __future__ import annotations

from collections.abc import Sequence

from memchat.memory.base import Budget, Cost, Item, Message, Recall, Turn


def recent(turns: Sequence[Turn], new: Turn, budget: Budget, most: int | None = None) -> Recall:
    """The newest of ``turns`` that fit before ``new``, at most ``most`` of them; what is left out is in the trace.

    Whole messages are dropped, oldest first, and the rest begins with a user message, because a reply without its
    question misleads a model and many chat templates refuse it.
    """
    said = [t for t in turns if t.content]
    newest = _message(new)
    messages = [_message(t) for t in said]
    low = 0 if most is None else max(0, len(messages) - most)
    start = _first_that_fits(messages, newest, budget, low)
    while start < len(messages) and messages[start].role != "user":
        start += 1
    kept = messages[start:]
    trace = [
        Item(kind="turn", text=t.content, turns=(t.id,), id=str(t.id), used=i >= start, meta={"role": t.role})
        for i, t in enumerate(said)
    ]
    return Recall(messages=kept, trace=trace, cost=Cost(prompt_tokens=budget.count([*kept, newest])))


def _message(turn: Turn) -> Message:
    return Message(turn.role, turn.content, turn.id)


def _first_that_fits(messages: list[Message], newest: Message, budget: Budget, low: int) -> int:
    """Smallest start so that ``messages[start:]`` and ``newest`` fit; bisection, since counting renders a prompt."""
    high = len(messages)
    while low < high:
        middle = (low + high) // 2
        if budget.count([*messages[middle:], newest]) <= budget.prompt_tokens:
            high = middle
        else:
            low = middle + 1
    return low

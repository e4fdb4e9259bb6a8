"""The first word of an empty conversation: what the model is, and messages to begin with (``assets/openers.toml``).

Line mode says the same as the full-screen interface, so nothing here imports Textual.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from memchat import paths
from memchat.errors import unknown

if TYPE_CHECKING:
    from memchat.tui.screens.chat import ChatScreen

STARTER = (
    "The starter is a tiny model that this project trained on a made-up world of personal facts. "
    "It is not a general assistant."
)
TOPICS = "It can talk about your pets, family, home, work, favourites, plans, where things are, and lists."
PRIVATE = "Nothing you write leaves this computer."


@dataclass(frozen=True)
class Opener:
    """A message to begin with, and the question that shows whether it is remembered."""

    text: str
    follow_up: str


@cache
def openers(starter: bool) -> tuple[Opener, ...]:
    """The openers for the starter, or those that any chat model can answer."""
    table = tomllib.loads(paths.shipped("assets", "openers.toml").read_text("utf-8"))
    return tuple(Opener(**entry) for entry in table["starter" if starter else "general"])


def suggestions(view: ChatScreen) -> list[str]:
    """What the user could say next: every opener, or the follow-up of the one just answered; mostly nothing.

    Derived from the messages alone, so it is right after a restart too, and gone as soon as something else is said.
    """
    if view.editing is not None or view.link.model.get("random_weights"):
        return []
    offered, entries = openers(view.link.model_name == "starter"), view.conversation.entries
    if not entries:
        return [opener.text for opener in offered]
    if len(entries) < 2 or entries[-1].role == "user" or entries[-1].status not in ("complete", "length"):
        return []
    return [opener.follow_up for opener in offered if opener.text == entries[-2].text.strip()]


class OpenerCommands:
    """The action that puts a suggestion into the input."""

    view: ChatScreen

    async def do_suggest(self, arg: str) -> None:
        """Suggestion number ``arg``, else the one after that in the input; text of the user is never replaced.

        Raises:
            UsageError: there is no such suggestion.
        """
        view, offers = self.view, suggestions(self.view)
        written = view.prompt.text.strip()
        numbers = [str(number) for number in range(1, len(offers) + 1)]
        if not offers:
            view.say("nothing to suggest here; an empty conversation has suggestions: Ctrl+N")
        elif written and written not in offers:
            view.say("the input is not empty; a suggestion never replaces what you wrote")
        elif arg and arg not in numbers:
            raise unknown("suggestion", arg, numbers)
        else:
            place = int(arg) - 1 if arg else offers.index(written) + 1 if written else 0
            view.prompt.put(offers[place % len(offers)])
            view.prompt.focus()


def plain_first_word(model: str, memory: str, summary: str) -> list[str]:
    """The first word as three lines of text.

    Args:
        model: its name as the user gave it.
        memory: the memory mode, ``summary`` what it means.
    """
    starter = model == "starter"
    first = openers(starter)[0]
    name = model.rstrip("/").rsplit("/", 1)[-1]
    about = f"{STARTER} {TOPICS}" if starter else f"This is {name}. {PRIVATE}"
    real = "A real model" if starter else "Other models"
    return [
        about,
        f"Memory {memory}: {summary} (--memory changes it). {real}: memchat models list, memchat models recommend.",
        f"Try: {first.text} And then: {first.follow_up}",
    ]

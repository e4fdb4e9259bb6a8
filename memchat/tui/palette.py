"""Ctrl+P: the actions of the registry in Textual's command palette."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from memchat.tui.actions import ACTIONS, key_name

if TYPE_CHECKING:
    from memchat.tui.screens.chat import ChatScreen


class ActionProvider(Provider):
    """Offers every action; its help shows the key and the slash command."""

    async def discover(self) -> Hits:
        for action in ACTIONS:
            yield DiscoveryHit(action.title, self._run(action.id), help=self._about(action))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for action in ACTIONS:
            score = max(matcher.match(action.title), 0.8 * matcher.match(action.help))
            if score > 0:
                yield Hit(score, matcher.highlight(action.title), self._run(action.id), help=self._about(action))

    def _run(self, id: str) -> partial[None]:
        return partial(cast("ChatScreen", self.screen).action_act, id)

    @staticmethod
    def _about(action: object) -> str:
        keys = " ".join(key_name(key) for key in action.keys)  # type: ignore[attr-defined]
        slash = f"/{action.slash[0]}" if action.slash else ""  # type: ignore[attr-defined]
        return "  ".join(filter(None, [action.help, keys, slash]))  # type: ignore[attr-defined]

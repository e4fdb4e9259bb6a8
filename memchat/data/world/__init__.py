"""The persona world: endless chats in which people tell facts about themselves and others and ask for them later."""

from memchat.data.world.chat import dialogue

__all__ = ["dialogue"]

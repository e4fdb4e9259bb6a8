"""Everything durable: sessions and their turns in one SQLite file."""

from memchat.store.db import Store
from memchat.store.records import Hit, SessionRow, Status, TurnRow

__all__ = ["Hit", "SessionRow", "Status", "Store", "TurnRow"]

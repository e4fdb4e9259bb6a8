"""The store: the turn log and everything else that must not be lost, in one SQLite file."""

from __future__ import annotations

from memchat.store.search import SearchQueries
from memchat.store.turns import TurnTable


class Store(TurnTable, SearchQueries):
    """Sessions, turns, search and leases of one file; usable from any thread (one connection behind a lock).

    Every write is durable when its method returns. Mistakes and mishaps that a user can mend (disk full, no
    permission, file locked, damaged or too new) raise MemchatError; after one the store stays usable.
    """

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

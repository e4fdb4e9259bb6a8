"""Reading the store for the interface: one thread of its own, opened at the first need, never written to.

A store that is not there yet is an empty one. Errors come back as ``MemchatError``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from memchat import paths

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from memchat.store import Store
    from memchat.store.records import Hit, SessionRow, TurnRow

T = TypeVar("T")


class Reader:
    """Asynchronous read access to sessions, turns and prompts."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._store: Store | None = None

    async def sessions(self, limit: int = 500) -> list[SessionRow]:
        """Sessions, the latest first."""
        return await self._run(lambda store: store.sessions(limit=limit), [])

    async def session(self, key: str) -> SessionRow | None:
        """A session by id or name."""
        return await self._run(lambda store: store.find_session(key), None)

    async def path(self, session: str) -> list[TurnRow]:
        """The visible branch, oldest first."""
        return await self._run(lambda store: store.path(session), [])

    async def versions(self, turn: int) -> list[int]:
        """The turns at the same point as ``turn``, itself included."""
        return await self._run(lambda store: store.versions(turn), [])

    async def search(self, query: str) -> list[Hit]:
        """Messages of all sessions with these words."""
        return await self._run(lambda store: store.search(query), [])

    async def prompts(self) -> list[str]:
        """What the user has written, the latest first."""
        return await self._run(lambda store: store.prompts("", limit=1000), [])

    async def export(self, session: str, format: str) -> str:
        """A session as ``md``, ``json`` or ``html``."""
        from memchat.store.transfer import export_session

        return await self._run(lambda store: export_session(store, session, format), "")

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    async def _run(self, read: Callable[[Any], T], empty: T) -> T:
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1, thread_name_prefix="store-reader")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, read, empty)

    def _read(self, read: Callable[[Any], T], empty: T) -> T:
        if self._store is None:
            if not paths.store_path().exists():
                return empty
            from memchat.store import Store

            self._store = Store(read_only=True)
        return read(self._store)

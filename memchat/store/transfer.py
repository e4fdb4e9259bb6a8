"""Taking conversations out of the store and back in.

JSON holds the whole tree and round-trips exactly, Markdown holds the visible branch and can be read back, HTML is
for reading. Import also takes JSON lines, among them the conversations that the evaluations read.
"""

from __future__ import annotations

from dataclasses import replace

from memchat.errors import unknown
from memchat.store import transfer_html, transfer_json, transfer_markdown
from memchat.store.db import Store
from memchat.store.records import SessionRow

FORMATS = ["json", "md", "html"]


def export_session(store: Store, session: str, format: str) -> str:
    """A session as ``json`` (the whole tree), ``md`` or ``html`` (the visible branch).

    Raises:
        UsageError: unknown session or format.
    """
    if format not in FORMATS:
        raise unknown("format", format, FORMATS)
    row = store.session(session)
    if format == "json":
        return transfer_json.dump(row, store.tree(row.id))
    branch = store.path(row.id)
    return transfer_markdown.dump(row, branch) if format == "md" else transfer_html.dump(row, branch)


def import_sessions(
    store: Store, text: str, format: str | None = None, *, model: str = "starter", memory: str = "full"
) -> list[SessionRow]:
    """Add the sessions in ``text``: all of them or, if one is faulty, none. Returns them as they are now stored.

    Args:
        format: ``json`` (an exported session, an array or lines of them, or conversation lines) or ``md``;
            None tells them apart.
        model: for sessions that do not say theirs.
        memory: likewise.

    Raises:
        UsageError: the format cannot be imported.
        MemchatError: the text is not in that format; the message begins with the line number.
    """
    text = text.removeprefix("\ufeff")
    if format is None:
        format = "json" if text.lstrip()[:1] in ("{", "[") else "md"
    if format not in FORMATS[:2]:
        raise unknown("format", format, FORMATS[:2], "Only these can be imported.")
    parsed = transfer_json.load(text) if format == "json" else transfer_markdown.load(text)
    with store.batch():
        keys = [
            store.add_session(replace(row, model=row.model or model, memory=row.memory or memory), turns)
            for row, turns in parsed
        ]
    return [store.session(key) for key in keys]

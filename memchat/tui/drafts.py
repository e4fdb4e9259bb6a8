"""What is typed but not sent, kept on disk: it survives quitting, and a crash of the interface too."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

from memchat import paths

NEW = "new"
"""Key of the draft for a session that does not exist yet."""


def _file(session: str | None) -> Path:
    name = re.sub(r"[^A-Za-z0-9_-]", "_", session or NEW)[:80]
    return paths.state_dir() / "drafts" / f"{name}.json"


def save(session: str | None, text: str) -> None:
    """Keep ``text`` for this session; an empty text removes the draft. A full disk is no reason to stop."""
    path = _file(session)
    with contextlib.suppress(OSError):
        if not text.strip():
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".tmp")
        partial.write_text(json.dumps({"text": text}), "utf-8")
        partial.replace(path)


def load(session: str | None) -> str:
    """The draft of this session, or nothing."""
    try:
        return str(json.loads(_file(session).read_text("utf-8"))["text"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""

"""Writing in the user's own editor."""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from textual.app import SuspendNotSupported

from memchat.errors import MemchatError


def edit(app: Any, text: str) -> str:
    """``text`` as the editor left it; the interface steps aside meanwhile.

    Raises:
        MemchatError: there is no editor, or it failed; the text is unchanged.
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with tempfile.TemporaryDirectory(prefix="memchat-") as folder:
        file = Path(folder) / "message.md"
        file.write_text(text, "utf-8", "replace")
        try:
            with app.suspend():
                code = subprocess.run([*command, str(file)], check=False).returncode
        except SuspendNotSupported:
            raise MemchatError("an editor cannot be opened in this terminal", "Write here.") from None
        except OSError as error:
            raise MemchatError(f"cannot start {command[0]}: {error.strerror}", "Set EDITOR to your editor.") from error
        if code:
            raise MemchatError(f"{command[0]} ended with code {code}", "Your text is unchanged.")
        return file.read_text("utf-8", "replace").rstrip("\n")

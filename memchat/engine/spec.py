"""From what the user calls a model to what it is: the starter, a folder, a hub id, or a random shape.

Only names and folders are looked at; nothing is loaded and nothing heavy is imported.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from memchat import paths
from memchat.engine.shapes import SHAPES
from memchat.errors import MemchatError, UsageError

Kind = Literal["starter", "folder", "hub", "shape"]

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


@dataclass(frozen=True)
class ModelSpec:
    """A model that could be loaded.

    Attributes:
        id: what the user would type: ``starter``, a hub id, ``shape:<name>``, or the folder's path.
        path: where its files are; None for a shape, and for a hub model (``hub.local_path`` knows that).
    """

    id: str
    kind: Kind
    path: Path | None = None

    @property
    def name(self) -> str:
        """A name for folders (``adapters/<name>/<method>``): the last part of the id, without separators."""
        last = self.path.name if self.kind == "folder" and self.path else self.id.rsplit("/", 1)[-1]
        return last.replace(":", "-")


def resolve(model: str) -> ModelSpec:
    """What ``model`` names: ``starter``, ``shape:<name>``, a folder, a model in ``paths.models_dir()``, or a hub id.

    Raises:
        UsageError: nothing that exists or could exist; the remedy names the nearest model.
        MemchatError: a folder without a model in it.
    """
    model = model.strip()
    if model == "starter":
        return ModelSpec("starter", "starter", paths.starter_dir())
    if model.startswith("shape:"):
        if model.removeprefix("shape:") not in SHAPES:
            raise _unknown(model)
        return ModelSpec(model, "shape")
    folder = Path(model).expanduser() if model else None
    if folder and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise MemchatError(f"{model} is not a model: it has no config.json", "Give a transformers folder.")
        return ModelSpec(str(folder), "folder", folder.resolve())
    if re.match(r"[./~\\]|[A-Za-z]:\\", model) or model.count("/") > 1:
        raise UsageError(f"there is no model folder {model}", "Check the path.")
    if _HUB_ID.fullmatch(model) and ".." not in model and "--" not in model:
        return ModelSpec(model, "hub")
    if model and (paths.models_dir() / model / "config.json").is_file():
        return ModelSpec(model, "folder", paths.models_dir() / model)
    raise _unknown(model)


def near(model: str) -> str | None:
    """The known model whose name is nearest, or None: the owner and the word ``shape:`` need not be there."""
    from difflib import get_close_matches

    from memchat.engine.catalog import RECOMMENDED

    known = ["starter", *(f"shape:{name}" for name in SHAPES), *(entry.id for entry in RECOMMENDED)]
    if paths.models_dir().is_dir():
        known += [
            p.parent.relative_to(paths.models_dir()).as_posix() for p in paths.models_dir().glob("**/config.json")
        ]
    # Later names win: a real model stands before the shape of the same name.
    spellings = {part.lower(): full for full in known for part in (full, re.split("[/:]", full)[-1])}
    matches = get_close_matches(model.lower(), spellings, n=1)
    return spellings[matches[0]] if matches else None


def _unknown(model: str) -> UsageError:
    nearest = near(model)
    hint = f"Did you mean {nearest!r}?" if nearest else "A model is 'starter', a folder, or a hub id owner/name."
    return UsageError(f"unknown model {model!r}", f"{hint} 'memchat models list' shows what is here.")

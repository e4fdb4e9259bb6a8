"""Typed settings: defaults < ``config.toml`` < environment < flags.

The file is TOML; every key can also be set as ``MEMCHAT_<KEY>`` (sections joined by two underscores, as in
``MEMCHAT_GENERATION__TEMPERATURE=0``) and on the command line as ``--set generation.temperature=0``.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from memchat import paths
from memchat.errors import MemchatError, UsageError, unknown


@dataclass
class EngineSettings:
    """Where and how the model runs."""

    device: str = "auto"
    """``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``."""
    dtype: str = "auto"
    """``auto``, ``float32``, ``bfloat16`` or ``float16``."""
    quantize: str = "none"
    """``none``, ``8bit`` or ``4bit`` (bitsandbytes, CUDA only)."""
    threads: int = 0
    """CPU threads; 0 lets memchat choose."""


@dataclass
class GenerationSettings:
    """How the next token is drawn. Temperature 0 is greedy."""

    temperature: float = 0.0
    top_k: int = 0
    """Keep the k most likely tokens; 0 keeps all."""
    top_p: float = 1.0
    """Keep the smallest set of tokens whose probability reaches p."""
    min_p: float = 0.0
    """Drop tokens less likely than this share of the likeliest one."""
    repetition_penalty: float = 1.0
    max_new_tokens: int = 512
    seed: int | None = None
    """None draws a fresh seed for every reply; the seed used is recorded with the reply."""
    stop: list[str] = field(default_factory=list)
    """The reply ends before the first of these strings."""


@dataclass
class MemorySettings:
    """What every memory method shares."""

    window_turns: int = 6
    """Messages that ``window`` and ``search`` keep verbatim."""
    found_turns: int = 8
    """Older messages at most that ``search`` finds."""


@dataclass
class SqlSettings:
    """The SQL memory."""

    decoding: str = "auto"
    """``free``, ``grammar`` (llguidance), or ``auto``: the grammar with an adapter, and once answers were invalid."""
    adapters: bool = True
    """False: the bare model writes the SQL even where adapters were trained for it."""
    assistant: bool = True
    """Keep what the assistant says of itself."""
    people: bool = False
    """Keep facts about other people, each in a row of their own."""
    fallback: bool = True
    """Look for fields named in the question, also beside what the SQL read; where that is nothing, in the full text,
    then read all of it."""
    recent_turns: int = 4
    """Messages that the model sees word for word."""
    words: bool = True
    """``bye`` alone leaves and ``reset`` alone empties the table; False: the model gets to hear them."""


@dataclass
class UiSettings:
    theme: str = "textual-dark"
    enter_sends: bool = True
    """False: Enter breaks the line and Ctrl+J sends."""
    inspector: bool = True
    """Show the inspector pane when the terminal is wide enough."""


@dataclass
class Settings:
    """Everything a user can set."""

    model: str = "starter"
    """``starter``, a folder, a hub id, or ``shape:<name>`` (random weights, for benchmarks)."""
    memory: str = "full"
    """The memory mode."""
    system: str = ""
    """The system prompt; empty for none."""
    engine: EngineSettings = field(default_factory=EngineSettings)
    generation: GenerationSettings = field(default_factory=GenerationSettings)
    remember: MemorySettings = field(default_factory=MemorySettings)
    sql: SqlSettings = field(default_factory=SqlSettings)
    ui: UiSettings = field(default_factory=UiSettings)


_RANGES: dict[str, tuple[float, float]] = {
    "generation.temperature": (0, 10),
    "generation.top_k": (0, 1_000_000),
    "generation.top_p": (0, 1),
    "generation.min_p": (0, 1),
    "generation.repetition_penalty": (0.01, 10),
    "generation.max_new_tokens": (1, 1_000_000),
    "remember.window_turns": (0, 100_000),
    "sql.recent_turns": (0, 100_000),
    "engine.threads": (0, 1024),
}


def load_settings(overrides: Mapping[str, Any] | None = None, *, path: Path | None = None) -> Settings:
    """Settings from the file, the environment and ``overrides`` (dotted keys; strings are parsed).

    Raises:
        MemchatError: the file cannot be read or is not TOML.
        UsageError: an unknown key, or a value of the wrong type or out of range.
    """
    settings = Settings()
    path = path or paths.config_path()
    for key, value in _flatten(_read(path)).items():
        _assign(settings, key, value, origin=str(path))
    for name, raw in sorted(os.environ.items()):
        key = name.removeprefix("MEMCHAT_").lower().replace("__", ".")
        if name.startswith("MEMCHAT_") and (key in keys() or "." in key):
            _assign(settings, key, raw, origin=name)
    for key, value in (overrides or {}).items():
        _assign(settings, key, value, origin="the command line")
    return settings


def changed(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """A copy of the settings with some of them (dotted keys) changed.

    Raises:
        UsageError: an unknown key, or a value of the wrong type or out of range.
    """
    copy = deepcopy(settings)
    for key, value in overrides.items():
        _assign(copy, key, value, origin="this change")
    return copy


def save_setting(key: str, value: Any, *, path: Path | None = None) -> None:
    """Write one setting into the user's file; everything else in it, comments too, stays as it is.

    Raises:
        MemchatError: the file is not TOML, or cannot be written.
    """
    import tomlkit

    _assign(Settings(), key, value, origin="this setting")
    path = path or paths.config_path()
    document: Any = tomlkit.parse(path.read_text("utf-8")) if _read(path) else tomlkit.document()
    *sections, name = key.split(".")
    table = document
    for section in sections:
        table = table.setdefault(section, tomlkit.table())
    table[name] = value
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".tmp")
        partial.write_text(tomlkit.dumps(document), "utf-8")
        partial.replace(path)
    except OSError as error:
        raise MemchatError(f"cannot write {path}: {error.strerror}", "Check its permissions.") from error


def keys() -> list[str]:
    """Every dotted key that can be set."""
    return list(flat(Settings()))


def flat(settings: Settings) -> dict[str, Any]:
    """All settings by dotted key."""
    return _flatten(dataclasses.asdict(settings))


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MemchatError(f"{path} is not valid TOML: {error}", "Mend it, or move it away.") from error
    except OSError as error:
        raise MemchatError(f"cannot read {path}: {error.strerror}", "Check its permissions.") from error


def _flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            found |= _flatten(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _assign(settings: Settings, key: str, value: Any, *, origin: str) -> None:
    known = keys()
    if key not in known:
        raise unknown("setting", key, known, f"(in {origin})")
    *sections, name = key.split(".")
    target: Any = settings
    for section in sections:
        target = getattr(target, section)
    hint = get_type_hints(type(target))[name]
    try:
        parsed = _parse(value, hint)
    except (TypeError, ValueError):
        wanted = getattr(hint, "__name__", str(hint))
        raise UsageError(f"{key} = {value!r} in {origin} is not a {wanted}", "Correct the value.") from None
    low, high = _RANGES.get(key, (float("-inf"), float("inf")))
    if isinstance(parsed, int | float) and not low <= parsed <= high:
        raise UsageError(f"{key} = {parsed} in {origin} is out of range", f"Use {low:g} to {high:g}.")
    setattr(target, name, parsed)


def _parse(value: Any, hint: Any) -> Any:
    """``value`` as ``hint``; strings come from the environment and from flags."""
    if isinstance(hint, UnionType):
        if value is None or value in ("", "none"):
            return None
        return _parse(value, get_args(hint)[0])
    if hint is bool and isinstance(value, str):
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        if value.lower() not in words:
            raise ValueError(value)
        return words[value.lower()]
    if get_args(hint) == (str,):
        values = value.split("|") if isinstance(value, str) else value
        return [str(v) for v in values if v != ""]
    if isinstance(value, bool) != (hint is bool):
        raise TypeError(value)
    if hint is str and not isinstance(value, str):
        raise TypeError(value)
    return hint(value)

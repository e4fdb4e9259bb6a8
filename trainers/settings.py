"""Recipe settings: a dataclass, changed by a preset, then a TOML file, then `--set key=value`.

A recipe's configuration holds a `LoopConfig` in its field `loop`; a key is looked up in both, so that
`--set steps=500` and `--set loop.steps=500` mean the same.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from memchat.errors import UsageError, unknown


def read_file(path: Path) -> dict[str, Any]:
    """The settings in a TOML file; the table `[loop]` is flattened."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "Give --config the path of a TOML file.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not valid TOML: {error}", "Mend the file or leave out --config.") from error
    return {**{k: v for k, v in values.items() if k != "loop"}, **values.get("loop", {})}


def read_pairs(pairs: Iterable[str]) -> dict[str, str]:
    """`key=value` texts as a dict."""
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"cannot read {pair!r}", "Write --set key=value.")
        found[key.strip()] = value.strip()
    return found


def apply(config: Any, values: dict[str, Any]) -> None:
    """Set fields of `config` (and of `config.loop`) from plain values or texts.

    Raises:
        UsageError: a key that does not exist, or a value of the wrong type.
    """
    names = [f.name for f in fields(config) if not is_dataclass(getattr(config, f.name))]
    loop_names = [f.name for f in fields(config.loop)]
    for key, value in values.items():
        name = key.removeprefix("loop.")
        if name in names and name == key:
            target = config
        elif name in loop_names:
            target = config.loop
        else:
            raise unknown("setting", key, names + loop_names)
        setattr(target, name, _convert(key, value, getattr(target, name)))


def _convert(key: str, value: Any, present: Any) -> Any:
    """`value` with the type of the present one."""
    wanted = type(present)
    try:
        if wanted is bool:
            return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}[str(value).lower()]
        if wanted is list:
            return (
                [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else list(value)
            )
        return wanted(value)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{key}={value!r} is no {wanted.__name__}", f"It is {present!r} now.") from error

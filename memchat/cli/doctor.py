"""``memchat doctor``: what is installed, where things are, what works here and what each memory mode lacks.

Every check is done for real (the store is read, the starter is loaded, memory is measured), and a check that fails
never hides the ones after it.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

Status = Literal["ok", "note", "fail"]

_LOW_DISK = 2 * 10**9
_OPTIONAL = {
    "bitsandbytes": "4- and 8-bit weights on CUDA",
    "tensorboard": "training curves in TensorBoard",
    "wandb": "training curves in Weights & Biases",
}


@dataclass(frozen=True)
class Check:
    """One line of the report. ``fail``: something memchat cannot do without; ``note``: good to know."""

    section: str
    name: str
    status: Status
    value: str
    remedy: str = ""


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check this installation, and say what each memory mode lacks. Exit code 1 when something essential is broken."""
    from rich.console import Console

    with Console(stderr=True).status("Checking ..."):
        checks = list(examine())
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        _print(checks)
    if any(check.status == "fail" for check in checks):
        raise typer.Exit(1)


def examine() -> Iterator[Check]:
    """All checks, in the order of the report."""
    parts = (_program, _packages, _settings, _device, _paths, _store, _starter, _models, _modes, _terminal)
    for part in parts:
        yield from _guarded(part)


def _guarded(part: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    from memchat.errors import MemchatError

    section = part.__name__.removeprefix("_")
    try:
        yield from part()
    except MemchatError as error:
        yield Check(section, section, "fail", error.message, error.remedy)
    except Exception as error:
        yield Check(section, section, "fail", f"{type(error).__name__}: {error}", "This is a bug in memchat.")


def _program() -> Iterator[Check]:
    from memchat import __version__

    yield Check("program", "memchat", "ok", f"{__version__}, in {Path(__file__).parents[1]}")
    recent = sys.version_info >= (3, 11)
    python = f"{platform.python_version()}, {sys.executable}"
    yield Check("program", "python", "ok" if recent else "fail", python, "" if recent else "Use Python 3.11 or newer.")
    yield Check("program", "system", "ok", f"{platform.system()} {platform.release()}, {platform.machine()}")


def _packages() -> Iterator[Check]:
    """The packages that memchat requires, against the versions it was made for; then the optional ones."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    try:
        required = [Requirement(line) for line in requires("memchat") or []]
    except PackageNotFoundError:
        yield Check("packages", "memchat", "note", "run from a source folder", "Install it: pip install -e .")
        required = [Requirement(name) for name in ("torch", "transformers", "textual", "sqlite-utils", "typer")]
    for requirement in required:
        marker = requirement.marker
        if requirement.name in _OPTIONAL or (marker and not marker.evaluate({"extra": ""})):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            yield Check("packages", requirement.name, "fail", "missing", f"Run: pip install '{requirement}'")
            continue
        fits = requirement.specifier.contains(found.partition("+")[0], prereleases=True)
        remedy = "" if fits else f"memchat is made for {requirement.specifier}: pip install '{requirement}'"
        yield Check("packages", requirement.name, "ok" if fits else "note", found, remedy)
    for name, use in _OPTIONAL.items():
        try:
            yield Check("packages", name, "ok", f"{version(name)} ({use})")
        except PackageNotFoundError:
            yield Check("packages", name, "note", f"not installed ({use})", f"Run: pip install {name}")


def _settings() -> Iterator[Check]:
    from memchat import paths
    from memchat.config import load_settings

    settings = load_settings()
    file = paths.config_path()
    yield Check("settings", "file", "ok", str(file) if file.is_file() else f"none (would be {file})")
    yield Check("settings", "model", "ok", settings.model)
    yield Check("settings", "memory", "ok", settings.memory)
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    offline = os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")
    token = "with a token" if os.environ.get("HF_TOKEN") else "without HF_TOKEN"
    state = "downloads are off (HF_HUB_OFFLINE)" if offline else f"{token}, not contacted"
    yield Check("settings", "hub", "note" if offline else "ok", f"{hub}, {state}")


def _device() -> Iterator[Check]:
    from rich.filesize import decimal

    from memchat.config import load_settings
    from memchat.engine import device

    settings = load_settings().engine
    place = device.choose_device(settings)
    dtype = str(device.choose_dtype(place, settings)).removeprefix("torch.")
    yield Check("device", "device", "ok", f"{place}: {device.describe(place)}")
    yield Check("device", "dtype", "ok", dtype)
    threads, cores = device.use_threads(settings.threads), device.physical_cores()
    why = " (OMP_NUM_THREADS)" if os.environ.get("OMP_NUM_THREADS") else ""
    yield Check("device", "threads", "ok", f"{threads}{why} on {cores} physical cores")
    free, total = device.free_memory(place), device.total_memory(place)
    yield Check("device", "memory", "ok", f"{decimal(free)} free of {decimal(total)}")
    yield Check("device", "bandwidth", "ok", f"{decimal(int(device.memory_bandwidth(place)))}/s, measured now")
    if place.type != "cuda":
        yield Check("device", "4- and 8-bit", "note", "needs a CUDA GPU")


def _paths() -> Iterator[Check]:
    from rich.filesize import decimal

    from memchat import paths

    for name in ("config", "data", "state", "cache"):
        folder: Path = getattr(paths, f"{name}_dir")()
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            remedy = f"Make {existing} writable, or set MEMCHAT_HOME."
            yield Check("paths", name, "fail", f"{folder} cannot be written", remedy)
        else:
            yield Check("paths", name, "ok", str(folder) + ("" if folder.exists() else " (not made yet)"))
    existing = next(path for path in (paths.data_dir(), *paths.data_dir().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    low = free < _LOW_DISK
    remedy = "Free some space before downloading a model." if low else ""
    yield Check("paths", "disk", "note" if low else "ok", f"{decimal(free)} free", remedy)


def _store() -> Iterator[Check]:
    """The conversations: opened as memchat does it, and every page checked by SQLite."""
    import sqlite3

    from rich.filesize import decimal

    from memchat import paths
    from memchat.store import Store

    file = paths.store_path()
    if not file.exists():
        yield Check("store", "conversations", "ok", "none yet")
        return
    with Store(read_only=True) as store:
        sessions = len(store.sessions(limit=1_000_000))
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    try:
        problems = [row[0] for row in connection.execute("PRAGMA integrity_check(3)") if row[0] != "ok"]
    except sqlite3.DatabaseError as error:
        problems = [str(error)]
    finally:
        connection.close()
    size = decimal(file.stat().st_size)
    yield Check("store", "conversations", "ok", f"{sessions} in {file}, {size}")
    if problems:
        remedy = f"Copy {file} away, then save what can be read: memchat sessions export"
        yield Check("store", "integrity", "fail", problems[0], remedy)
    else:
        yield Check("store", "integrity", "ok", "every page is sound")


def _starter() -> Iterator[Check]:
    import time

    from memchat.config import load_settings
    from memchat.engine.loader import load
    from memchat.engine.spec import resolve

    settings = load_settings().engine
    settings.quantize = "none"
    start = time.perf_counter()
    loaded = load(resolve("starter"), settings)
    seconds = time.perf_counter() - start
    size = f"{loaded.parameters / 1e6:.1f} M parameters, context {loaded.context_length}"
    yield Check("starter", "model", "ok", f"loads in {seconds:.1f} s: {size}")
    yield Check("starter", "weights", "ok", loaded.weight_hash)
    yield Check("starter", "tokenizer", "ok", f"{len(loaded.tokenizer)} tokens, {loaded.tokenizer_hash}")


def _models() -> Iterator[Check]:
    from rich.filesize import decimal

    from memchat.engine import catalog
    from memchat.engine.adapters import find_adapters

    models = catalog.installed()
    size = decimal(sum(model.size_bytes for model in models))
    yield Check("models", "models", "ok", f"{len(models)} here, {size}", "" if models else "memchat models recommend")
    for model in catalog.unfinished():
        remedy = f"Run: memchat models download {model.id}, or remove {model.id}"
        yield Check("models", model.id, "note", f"download unfinished, {decimal(model.size_bytes)}", remedy)
    yield Check("models", "adapters", "ok", f"{len(find_adapters())} here")


def _modes() -> Iterator[Check]:
    from memchat.memory.registry import modes

    for mode in modes():
        if mode["available"]:
            yield Check("modes", mode["name"], "ok", mode["summary"])
        else:
            yield Check("modes", mode["name"], "note", f"unavailable: {mode['reason']}", mode["remedy"])


def _terminal() -> Iterator[Check]:
    from rich.console import Console

    console = Console()
    if not sys.stdout.isatty():
        yield Check("terminal", "terminal", "note", "output goes to a file or pipe, so the interface is not judged")
        return
    size, colours = console.size, console.color_system or "none"
    small = size.width < 60 or size.height < 16
    remedy = "Enlarge the window for the interface, or use: memchat chat --plain" if small else ""
    yield Check("terminal", "size", "note" if small else "ok", f"{size.width} x {size.height}", remedy)
    poor = colours in ("none", "standard")
    remedy = "Set COLORTERM=truecolor if the terminal has it." if poor else ""
    yield Check(
        "terminal", "colours", "note" if poor else "ok", f"{colours}, TERM={os.environ.get('TERM', '')}", remedy
    )
    utf8 = console.encoding.lower().replace("-", "") == "utf8"
    remedy = "" if utf8 else "Set LANG to a UTF-8 locale, such as C.UTF-8."
    yield Check("terminal", "encoding", "ok" if utf8 else "note", console.encoding, remedy)


def _print(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    marks = {"ok": ("ok", "green"), "note": ("note", "yellow"), "fail": ("FAIL", "bold red")}
    section = ""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(min_width=14)
    table.add_column(min_width=4)
    table.add_column(overflow="fold")
    for check in checks:
        if check.section != section:
            section = check.section
            table.add_row(Text(section.capitalize(), "bold"))
        word, style = marks[check.status]
        text = Text(check.value)
        if check.remedy:
            text.append(f"\n{check.remedy}", "italic")
        table.add_row(Text(f"  {check.name}"), Text(word, style), text)
    console.print(table)
    failed = sum(check.status == "fail" for check in checks)
    notes = sum(check.status == "note" for check in checks)
    verdict = f"{failed} broken" if failed else "Nothing is broken"
    console.print(f"\n[bold]{verdict}[/], {notes} notes.")

"""What the commands below ``memchat eval`` share: running, progress bars, printing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from memchat.errors import MemchatError

if TYPE_CHECKING:
    from memchat.config import Settings
    from memchat.evals.probesets import Wanted

BRIEF = ("generation.temperature=0", "generation.max_new_tokens=48")
"""How evaluations ask unless --set says otherwise: greedily, for short answers."""

USUAL = {"recall": BRIEF, "sql predict": (*BRIEF, "sql.people=true")}
"""What each of them sets by itself."""


def run_recall(
    memories: list[str],
    wanted: Wanted,
    settings: Settings,
    folder: Path,
    how: dict[str, bool],
    *,
    task: str = "recall",
    jobs: int = 1,
) -> dict[str, Any]:
    """Ask what is wanted of every memory, with a bar; the result, which is also in the folder.

    Args:
        how: resume and force. task: the command below ``memchat eval``. jobs: conversations side by side.

    Raises:
        MemchatError: stopped, or the data or the folder cannot be used.
    """
    from memchat.evals import recall, transcripts
    from memchat.worker import load_engine

    command = _command(task, memories, wanted, settings)
    try:
        with progress_bar("loading") as report:
            engine = load_engine(settings, lambda what, done, total: report(done, total, what))
        with progress_bar("asking", rate="probes/s") as report:
            shown: recall.Report = lambda total, memory, done: report(done, total, f"asking, {memory}")  # noqa: E731
            return recall.run(
                recall.Task(memories, wanted, command, jobs), engine, settings, folder, report=shown, **how
            )
    except KeyboardInterrupt:
        if not (folder / transcripts.SETTINGS).exists():
            raise
        raise MemchatError("stopped; what was asked is kept", f"Go on: {command} --out {folder} --resume") from None


def _command(task: str, memories: list[str], wanted: Wanted, settings: Settings) -> str:
    """The command line that does this run again, on any machine: it names every setting that is not the default."""
    import shlex
    from functools import reduce

    from memchat.config import Settings, changed, keys

    plain = changed(Settings(), dict(pair.split("=") for pair in USUAL[task]))
    option = "--memory" if task == "recall" else "--system"
    parts = ["memchat", "eval", *task.split(), *(part for m in memories for part in (option, m))]
    parts += ["--model", settings.model, "--data", wanted.data, "--n", str(wanted.n), "--seed", str(wanted.seed)]
    if wanted.sizes:
        parts += ["--size", f"{wanted.sizes[0]}-{wanted.sizes[1]}"]
    if task != "recall":
        parts += ["--questions", str(wanted.questions)]
    if wanted.min_tokens:
        parts += ["--min-tokens", str(wanted.min_tokens)]
    if wanted.limit_tokens is not None:
        parts += ["--limit-tokens", str(wanted.limit_tokens if wanted.limit_tokens >= 0 else "fit")]
    for key in keys():
        value, usual = (reduce(getattr, key.split("."), s) for s in (settings, plain))
        if value != usual and key.split(".")[0] not in ("model", "memory", "ui"):
            parts += ["--set", f"{key}={'|'.join(value) if isinstance(value, list) else value}"]
    return shlex.join(parts)


def new_folder(task: str, model: str, data: str) -> Path:
    """A folder for this run's files below the user's data."""
    import re
    import time

    from memchat import paths

    names = (re.sub(r"[^\w.]+", "-", Path(name).name).strip("-.") for name in (model, data.removesuffix(".jsonl")))
    return paths.data_dir() / "evals" / "-".join((task, *names, time.strftime("%Y%m%d-%H%M%S")))


def console() -> Any:
    """A Rich console for tables; a file or a pipe has room for the whole table."""
    from rich.console import Console

    found = Console()
    return found if found.is_terminal else Console(width=140)


def progress_bar(title: str, rate: str = "") -> Any:
    """A progress bar on stderr; entering it gives the ``report(done, total, title?)`` to call.

    Args:
        rate: unit of a rate to show, as in ``probes/s``.
    """
    from contextlib import contextmanager

    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, ProgressColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            return Text("" if task.speed is None else f"{task.speed:.1f} {rate}")

    @contextmanager
    def shown() -> Any:
        extra = (MofNCompleteColumn(), Rate()) if rate else ()
        err = Console(stderr=True)
        if not err.is_terminal:  # a log keeps no bar, and Rich would leave an empty line in it
            yield lambda done, total, now=title: None
            return
        with Progress(*Progress.get_default_columns(), *extra, console=err, transient=True) as progress:
            task = progress.add_task(title, total=None)

            def report(done: float, total: float, now: str = title) -> None:
                progress.update(task, completed=done, total=total, description=now)

            yield report

    return shown()

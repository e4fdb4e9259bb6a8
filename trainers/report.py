"""What a person sees while a run goes on: a progress bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Report:
    """A Rich progress bar with loss, tokens/s and time left, on stderr."""

    def __init__(self, steps: int, done: int, shown: bool, every: int = 100) -> None:
        self.console = Console(stderr=True, quiet=not shown, highlight=False)
        self.steps, self.every, self.loss, self.rate = steps, every, 0.0, 0.0
        self.bar = Progress(
            TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("loss {task.fields[loss]:.3f}"),
            TextColumn("{task.fields[rate]:,.0f} tokens/s"), TimeElapsedColumn(), TimeRemainingColumn(),
            console=self.console, disable=not (shown and self.console.is_terminal),
        )  # fmt: skip
        self.task = self.bar.add_task("training", total=steps, completed=done, loss=0.0, rate=0.0)

    def __enter__(self) -> Report:
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def step(self, step: int, loss: float, tokens: int, seconds: float) -> None:
        """One step done; rate and loss are shown smoothed."""
        first = self.rate == 0
        self.rate = tokens / seconds if first else 0.95 * self.rate + 0.05 * tokens / seconds
        self.loss = loss if first else 0.95 * self.loss + 0.05 * loss
        self.bar.update(self.task, completed=step, loss=self.loss, rate=self.rate)
        if not self.console.is_terminal and (step % self.every == 0 or step == self.steps):
            self.console.print(
                f"step {step}/{self.steps}  loss {self.loss:.3f}  {self.rate:,.0f} tokens/s", soft_wrap=True
            )

    def scores(self, step: int, scores: dict[str, float]) -> None:
        """The numbers of an evaluation, as one line that stays."""
        text = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
        self.console.print(f"step {step}  {text}", soft_wrap=True)

"""A progress bar for runs: share, iterations per second, environment steps, remaining time."""

import sys
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from sampled.algorithms.contract import State
from sampled.validation import whole


class _Rate(ProgressColumn):
    """Iterations per second, over the last ones."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f} it/s")


class Bar:
    """Watches a run: ``with Bar("value", 20_000) as bar: run(..., watch=bar)``.

    It shows on a terminal only and leaves no trace there.  Environment steps are those of the first
    problem.

    Parameters
    ----------
    name : str
        What runs.
    iterations : int >= 0
        The run's last k.
    stream : text file, optional
        Standard error if not given.

    Raises
    ------
    InputError
        If the number of iterations is not whole.
    """

    def __init__(self, name: str, iterations: int, stream: TextIO | None = None) -> None:
        console = Console(file=sys.stderr if stream is None else stream, markup=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("{task.fields[steps]:,} steps, remaining", markup=False),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        total = whole("iterations", iterations, low=0)
        self._task = self._progress.add_task(name, total=total, steps=0)
        self._shown = self._progress.get_time() - _PAUSE

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def __call__(self, state: State) -> None:
        """Show a state, unless another was shown a moment ago."""
        now = self._progress.get_time()
        if now - self._shown < _PAUSE and state.k != self._progress.tasks[0].total:
            return
        self._shown = now
        steps = int(state.steps_p[0])
        self._progress.update(self._task, completed=state.k, steps=steps)


_PAUSE = 0.2
"""Seconds between two updates: reading the steps waits for the device."""

"""Run an experiment in a folder: metrics, checkpoints, and progress; resumed by the same call.

The folder holds ``settings.toml``, ``metrics.jsonl`` and ``checkpoint.pt``, and ``tensorboard/`` on
request.  A call on a folder with a checkpoint goes on from there, and ends with the same files, bit for
bit on a CPU, as if nothing had happened.
"""

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from sampled.conversion import usable_device
from sampled.errors import InputError
from sampled.rlhf import records
from sampled.rlhf.experiment import Experiment, Progress
from sampled.rlhf.settings import Settings, to_toml

Watch = Callable[[Progress, float], None]
"""Called after each tick, with the environment steps per second of this call so far."""


class _Board(Protocol):
    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def close(self) -> None: ...


def board_writer() -> Callable[..., _Board]:
    """What writes TensorBoard's files.

    Raises
    ------
    InputError
        If it is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise InputError(
            'TensorBoard is not installed: pip install -c constraints.txt -e ".[rlhf]", or '
            "pip install tensorboard"
        ) from None
    writer: Callable[..., _Board] = SummaryWriter
    return writer


def run(
    settings: Settings,
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    tensorboard: bool = False,
    watch: Watch | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Experiment:
    """Run or go on.

    Parameters
    ----------
    settings : Settings
    folder : Path
        Of the run's files; made if it is not there.
    device : torch.device or str
    tensorboard : bool
    watch : callable, optional
    stopping : callable
        Asked after each tick; once true, a checkpoint is written and the run returns unfinished.

    Returns
    -------
    Experiment
        At its end, or where it stopped.

    Raises
    ------
    InputError
        If something is not installed, there is no such device, the checkpoint is of another
        configuration or device, or the preferences cannot teach anything.  What was written stays.
    """
    device = usable_device(device)
    path = folder / records.CHECKPOINT
    state = records.load(path, settings, device) if path.exists() else None
    experiment = Experiment(settings, device=device)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / records.SETTINGS).write_text(to_toml(settings), encoding="utf-8")
    recent: dict[str, list[float]] = {}
    kept = 0
    if state is not None:
        # Taken out: else what was loaded would be kept beside its copies for as long as the run lasts.
        experiment.restore(state.pop("experiment"))
        recent = {name: list(values) for name, values in state["recent"].items()}
        kept = state["metrics"]
    board = None
    if tensorboard:
        board = board_writer()(str(folder / "tensorboard"), purge_step=experiment.agent.updates)
    began, at_first, ticks = time.monotonic(), experiment.steps, 0
    with closing(records.JsonLines(folder / records.METRICS, kept)) as lines:

        def checkpoint() -> None:
            state = {
                "settings": settings.as_dict(),
                "device": device.type,
                "experiment": experiment.snapshot(),
                "recent": recent,
                "metrics": lines.kept(),
            }
            records.save(path, state)

        while not experiment.finished:
            phase = experiment.progress.phase
            for name, value in experiment.tick().items():
                recent.setdefault(name, []).append(value)
            ticks += 1
            rate = (experiment.steps - at_first) / max(time.monotonic() - began, 1e-9)
            _log(experiment, phase, recent, lines, board, rate)
            if watch is not None:
                watch(experiment.progress, rate)
            if stopping():
                checkpoint()
                break
            if ticks % settings.run.checkpoint_every == 0 or experiment.progress.phase != phase:
                checkpoint()
        else:
            checkpoint()
    if board is not None:
        board.close()
    return experiment


def _log(
    experiment: Experiment,
    phase: str,
    recent: dict[str, list[float]],
    lines: records.JsonLines,
    board: _Board | None,
    rate: float,
) -> None:
    """Add a line where one is due: means since the last one, and evaluations."""
    run, now = experiment.settings.run, experiment.progress
    ended = now.phase != phase
    k = experiment.agent.updates
    if phase == "training":
        due = k % run.log_every == 0 or experiment.finished
        evaluated = k % run.evaluate_every == 0 or experiment.finished
    else:
        due, evaluated = ended or now.done % run.log_every == 0, False
    if not (due or evaluated):
        return
    line: dict[str, Any] = {"phase": phase, "update": k, "steps": experiment.lanes.steps_taken}
    line |= {"all_steps": experiment.steps, "queries": experiment.queries}
    line["epochs"] = experiment.model.epochs if experiment.learned else 0
    if due:
        line |= {name: float(np.mean(values)) for name, values in sorted(recent.items())}
        recent.clear()
        finished = experiment.lanes.finished
        if finished:
            line["training_return"] = float(np.mean(finished))
            finished.clear()
    if evaluated:
        line |= experiment.evaluate()
    lines.add(line)
    if board is not None:
        board.add_scalar("steps_per_second", rate, k)
        for name, value in line.items():
            if isinstance(value, float):
                board.add_scalar(name, value, k)

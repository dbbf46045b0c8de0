"""Runs that go on where they were interrupted, and what is measured of each iteration.

A run writes its rows, then a checkpoint of its state, each of them whole at any moment.  Killed in
between, the rows are ahead of the state and are cut back to it: as a step depends on the state alone,
the run ends with the same numbers.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reference.algorithms import checkpoint
from reference.algorithms.contract import State
from reference.algorithms.pbrl import Pbrl
from reference.problems import storage
from reference.problems.structure import same
from reference.validation import Array

PERIOD = 2.0
"""Seconds between checkpoints."""

PATIENCE = 64
"""Iterations between two questions whether a run is long enough."""

PACKAGES = ("reference", "verify.converge")


@dataclass(frozen=True, eq=False)
class Series:
    """What was measured of the iterations 1, ..., K.

    Attributes
    ----------
    rows : (K, columns, B)
    """

    rows: Array


Measure = Callable[[Pbrl[Any], State, State], Array]
"""Of the iteration between two states, an array (columns, B)."""


def recorded(algorithm: Pbrl[Any], state: State, following: State) -> Array:
    """F_lambda, |G|, lambda |grad^ p - grad p| and |z_{k+1} - z_k| / alpha, by exact companions."""
    found = algorithm.record(state, following)
    error = algorithm.strength(state.k) * found.oracle_error
    return np.stack([found.penalized, found.projected_gradient, error, np.sqrt(found.movement)])


def moved(algorithm: Pbrl[Any], state: State, following: State) -> Array:
    """|z_{k+1} - z_k| / alpha: with exact oracles, the projected gradient."""
    parts = tuple(new - old for new, old in zip(following.y, state.y, strict=True))
    alpha = algorithm.step_size(state.k)
    return np.asarray(algorithm.bilevel.norm(following.x - state.x, parts) / alpha)[None]


def observed(
    algorithm: Pbrl[Any],
    state: State,
    iterations: int,
    measure: Measure,
    folder: Path | None = None,
    *,
    until: Callable[[Array], bool] | None = None,
    period: float = PERIOD,
) -> tuple[Array, State]:
    """Run, and measure every iteration.

    Parameters
    ----------
    algorithm : Pbrl
        With constant schedules, and oracles that depend on their state alone.
    state : State
        Its start.
    iterations : int
    measure : Measure
    folder : Path, optional
        For the checkpoints of this run alone; an existing one is gone on with.
    until : callable, optional
        Of all rows so far: whether they are enough.  It is asked every :data:`PATIENCE` iterations.
    period : float
        Seconds between checkpoints.

    Returns
    -------
    (K, columns, B), State
        The measurements, and the last state.

    Raises
    ------
    InputError
        If the folder's checkpoint is of another run, or cannot be written.
    """
    rows: list[Array] = []
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        state, rows = _resumed(algorithm, state, folder)
    saved = time.monotonic()

    def enough() -> bool:
        return bool(until and rows and len(rows) % PATIENCE == 0 and until(np.stack(rows)))

    while len(rows) < iterations and not enough():
        following = algorithm.step(state)
        rows.append(measure(algorithm, state, following))
        if _stays(state, following):
            # A step depends on the state alone: every later iteration is this one.
            rows += [rows[-1]] * (iterations - len(rows))
        state = following
        if folder is not None and time.monotonic() - saved > period:
            _save(algorithm, state, rows, folder)
            saved = time.monotonic()
    if folder is not None:
        _save(algorithm, state, rows, folder)
    return np.stack(rows), state


def _stays(state: State, following: State) -> bool:
    parts = (state.x, *state.y, *state.oracle), (following.x, *following.y, *following.oracle)
    return same(*parts)


def _save(algorithm: Pbrl[Any], state: State, rows: list[Array], folder: Path) -> None:
    storage.save(folder / "rows.npz", Series(np.stack(rows)), packages=PACKAGES)
    checkpoint.save(folder / "state.npz", algorithm, state)


def _resumed(algorithm: Pbrl[Any], start: State, folder: Path) -> tuple[State, list[Array]]:
    if not (folder / "state.npz").exists():
        return start, []
    state = checkpoint.load(folder / "state.npz", algorithm)
    rows = list(storage.load(folder / "rows.npz", Series, packages=PACKAGES).rows)
    # A run that stays has more rows than its state has made steps.
    stays = len(rows) > state.k and _stays(state, algorithm.step(state))
    return state, rows if stays else rows[: state.k]

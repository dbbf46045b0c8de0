r"""Runs of an algorithm, recorded at some of their iterates by exact measures.

**Exact gradients.**  At the printed step of 0.1 the iterates of a game with 100 states move so little
that they follow the gradient flow: s iterations of step a are one of step s a up to O(s a).  The
*stride* s makes the run shorter by that factor; iterations are counted at the printed step, so that both
runs share an axis.  What a stride costs is seen where two of them are run beside each other.

**Samples.**  The sampled algorithms run at the printed steps, horizons and batches; their iterates are
evaluated as the exact ones are.  Steps of the environment are counted by the sampled code, for both.  In
the sweeps they have a stride as well: a step of s a with a batch of s N drifts as far per step of the
environment as one of a with N, and its noise has the same variance per step of the environment, up to
O(s a).
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from reference.algorithms.contract import Algorithm, State
from reference.algorithms.pbrl import Pbrl
from reference.algorithms.players import views
from reference.errors import InputError
from reference.validation import Array
from verify.experiments.contract import Parameter, Series

Measured = Mapping[str, Array]
Measuring = Callable[[Array, tuple[Array, ...], tuple[Array, ...] | None], Measured]
"""Measures (N,) of N problems at x, the lower level's policies and the own companions, if any."""


def schedule(iterations: int, points: int) -> tuple[int, ...]:
    """So many recorded points in equal distances, the first at zero and the last at the end.

    Raises
    ------
    InputError
        If there are fewer iterations than intervals.
    """
    if points < 2 or iterations < points - 1:
        raise InputError(f"{iterations} iterations have no {points} points: record fewer, run longer")
    return tuple(round(i * iterations / (points - 1)) for i in range(points))


def exact_series(
    key: str,
    algorithm: Algorithm[Any],
    state: State,
    measuring: Measuring,
    *,
    points: tuple[int, ...],
    stride: int,
    steps_per_iteration: int,
    seeds: tuple[int, ...],
    parameters: Mapping[str, Parameter],
) -> Series:
    """Run an algorithm of ``reference`` and record it.

    Parameters
    ----------
    key : str
    algorithm, state
        The first state has one problem per seed.
    measuring : callable
    points : tuple of int
        Numbers of the algorithm's own iterations at which to record, from 0 on.
    stride : int
        How many printed iterations one of them stands for.
    steps_per_iteration : int
        Environment steps that a sampled run takes for a printed iteration.
    seeds : tuple of int
    parameters : mapping
    """
    rows: list[Measured] = []
    for point in points:
        while state.k < point:
            state = algorithm.step(state)
        rows.append(measuring(state.x, *_policies(algorithm, state)))
    iterations = tuple(stride * point for point in points)
    steps = tuple(steps_per_iteration * k for k in iterations)
    return Series(key, parameters, seeds, iterations, steps, columns(rows))


def _policies(algorithm: Any, state: State) -> tuple[tuple[Array, ...], tuple[Array, ...] | None]:
    policies = algorithm.bilevel.policies(state.y)
    if not isinstance(algorithm, Pbrl):
        return policies, None
    mdps = views(algorithm.bilevel.problem.at(state.x), policies)
    companions = tuple(
        oracle.policy(mdp, part)
        for oracle, mdp, part in zip(algorithm.oracles, mdps, state.oracle, strict=True)
    )
    return policies, companions


def columns(rows: list[Measured]) -> dict[str, Array]:
    """Measures of a list of points, each (K, N)."""
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

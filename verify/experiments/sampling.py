"""Sampled runs, evaluated exactly: the twin of :mod:`verify.experiments.recording` for ``sampled``."""

import contextlib
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from verify.experiments.contract import Parameter, Series
from verify.experiments.recording import Measured, Measuring, columns


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Have torch use one thread, so that sums do not depend on the number of cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keys_of(seed: int, key: str, problems: int) -> Any:
    """By which each problem of a series draws: other samples for each series."""
    import torch

    from sampled.algorithms.contract import keys

    state = np.random.SeedSequence([seed, zlib.crc32(key.encode())]).generate_state(1, np.uint64)[0]
    return keys(torch.Generator().manual_seed(int(state) >> 1), problems)


def steps_of_an_iteration(algorithm: Any) -> int:
    """Environment steps that one iteration takes of each problem."""
    with one_thread():
        first = algorithm.start(keys_of(0, "", algorithm.bilevel.like_ps.shape[0]))
        return int(algorithm.step(first).steps_p[0])


def sampled_series(
    key: str,
    algorithm: Any,
    measuring: Measuring,
    *,
    seed: int,
    points: tuple[int, ...],
    stride: int,
    seeds: tuple[int, ...],
    parameters: Mapping[str, Parameter],
) -> Series:
    """Run an algorithm of ``sampled`` and record it.

    Parameters
    ----------
    key : str
    algorithm : Algorithm
        Of one problem per seed.
    measuring : callable
        See :mod:`verify.experiments.recording`.
    seed : int
        Of the samples, with the key.
    points : tuple of int
        Numbers of the algorithm's own iterations at which to record, from 0 on.
    stride : int
        How many printed iterations one of them stands for.
    seeds : tuple of int
    parameters : mapping
    """
    rows: list[Measured] = []
    steps: list[int] = []
    bilevel = algorithm.bilevel
    with one_thread():
        state = algorithm.start(keys_of(seed, key, len(seeds)))
        for point in points:
            while state.k < point:
                state = algorithm.step(state)
            companions = bilevel.policies(state.oracle) if state.oracle else None
            rows.append(
                measuring(
                    state.x.numpy(),
                    tuple(pi.numpy() for pi in bilevel.policies(state.y)),
                    None if companions is None else tuple(pi.numpy() for pi in companions),
                )
            )
            steps.append(int(state.steps_p.max()))
    iterations = tuple(stride * point for point in points)
    return Series(key, parameters, seeds, iterations, tuple(steps), columns(rows))

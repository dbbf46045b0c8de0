"""Runs of PBRL that meet the premises of Theorems 11 and 16: tight ones, random ones, and a search."""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np

from reference.algorithms.oracles import Exact, MirrorDescent, Oracle
from reference.algorithms.pbrl import exact_in_policies, plug_in
from reference.penalties import bellman, nikaido_isoda, value
from verify.claims.contract import Margin, Trials
from verify.claims.trials.contextual import contextual_game, contextual_mdp, general
from verify.claims.trials.erring import Tilted
from verify.claims.trials.flips import flip
from verify.claims.trials.instances import generator_of
from verify.claims.trials.runs import Course, Setup, bounded, observed
from verify.contract import Context, Level

RUNS = {Level.QUICK: 6, Level.STANDARD: 24, Level.DEEP: 300}
"""Random runs per statement, each of a batch of 16 problems."""

ITERATIONS = {Level.QUICK: 6, Level.STANDARD: 16, Level.DEEP: 60}
"""Their length K."""

GENERATIONS = {Level.QUICK: 2, Level.STANDARD: 12, Level.DEEP: 60}
"""Of the search for worse errors, with 64 members."""

SHARES = np.array([2.0 / 7.0, 0.5, 0.8, 0.9, 0.95, 1.0])
"""Of the flips; with 40 iterations the bound is attained up to 0.2% at 0.9."""


def _oracle(generator: np.random.Generator, kind: int) -> Oracle:
    """A real oracle that lags behind, a biased one, or an exact one."""
    if kind == 0:
        return MirrorDescent(float(generator.choice([0.1, 1.0, 10.0])), 1)
    if kind == 1:
        return Tilted(generator.uniform(0.0, 1.0, 1) ** 3)
    return Exact()


@lru_cache(maxsize=16)
def courses(context: Context, *, game: bool) -> tuple[Course, ...]:
    """Runs that meet the premises: the tight family, and random problems, contextual and general."""
    generator = generator_of(context, "descent of games" if game else "descent of MDPs")
    setups = [flip(SHARES, penalty=nikaido_isoda.PENALTY if game else value.PENALTY)]
    lengths = [40]
    if not game:
        # The same for every seed: one where much of the gradient in x comes from the transitions.
        setups.append(general(np.random.default_rng(13), value.PENALTY, (Exact(),)))
        lengths.append(ITERATIONS[context.level])
    for i in range(RUNS[context.level]):
        if game:
            kinds = i % 3, i // 3 % 3
            oracles = tuple(_oracle(generator, kind) for kind in kinds)
            setups.append(contextual_game(generator, 16, (oracles[0], oracles[1])))
        else:
            penalty = bellman.PENALTY if i % 2 else value.PENALTY
            estimator = exact_in_policies if i % 4 == 3 else plug_in
            oracle = _oracle(generator, i // 2 % 3)
            setups.append(contextual_mdp(generator, 16, penalty, oracle, estimator))
        lengths.append(ITERATIONS[context.level])
        if i % 3 == 0:
            if game:
                setups.append(general(generator, nikaido_isoda.PENALTY, oracles))
            else:
                setups.append(general(generator, penalty, (oracle,)))
            lengths.append(ITERATIONS[context.level])
    return tuple(observed(s, n) for s, n in zip(setups, lengths, strict=True) if s.admissible)


def along_courses(c1: float, c2: float, *, game: bool) -> Trials:
    """The bound with these constants, on all courses."""

    def trials(context: Context) -> Iterator[Margin]:
        for course in courses(context, game=game):
            yield from bounded(course, c1, c2)

    return trials


def along_one(setup: Callable[[], Setup], iterations: int, c1: float, c2: float) -> Trials:
    """The bound with these constants, on one run whose premises may fail."""

    def trials(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the same at every level
        yield from bounded(observed(setup(), iterations), c1, c2)

    return trials


def adverse(context: Context, *, game: bool, c1: float, c2: float) -> Iterator[Margin]:
    """Search for errors, one share per iteration, that bring the bound closest; see `flip`."""
    generator = generator_of(context, "adverse errors of games" if game else "adverse errors of MDPs")
    penalty = nikaido_isoda.PENALTY if game else value.PENALTY
    share = generator.uniform(-1.0, 1.0, (8, 64))
    for _ in range(GENERATIONS[context.level]):
        margins = list(bounded(observed(flip(share, penalty=penalty), 8), c1, c2))
        order = np.argsort([-margin.ratio for margin in margins])
        yield margins[order[0]]
        parents = share[:, order[:16]]
        moved = parents + generator.normal(0.0, 0.1, (3, 8, 16))
        share = np.clip(np.concatenate([parents, *moved], axis=1), -1.0, 1.0)

"""Small problems with every algorithm, as they are run."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from reference.problems.instances import random_incentive_design, random_stackelberg
from reference.problems.structure import stack
from sampled.algorithms import appendix_e
from sampled.algorithms.bilevel import Bilevel, bilevel
from sampled.algorithms.contract import Constant, State, keys
from sampled.algorithms.independent_gradient import IndependentGradient
from sampled.algorithms.steps import Adam, Descent

PROBLEMS = 2


def games(seed: int = 0, count: int = PROBLEMS) -> Bilevel[Any]:
    g = np.random.default_rng(seed)
    return bilevel(
        stack([random_stackelberg(g, n_states=4, n_leader=3, n_follower=2) for _ in range(count)])
    )


def designs(seed: int = 0, count: int = PROBLEMS) -> Bilevel[Any]:
    g = np.random.default_rng(seed)
    return bilevel(
        stack([random_incentive_design(g, n_states=3, n_first=2, n_second=3) for _ in range(count)])
    )


def adam() -> Any:
    """Every kind of memory."""
    rule, sampling = Adam(Constant(0.05)), appendix_e.VALUE.samples
    return IndependentGradient(games(), rule, Adam(Constant(0.02), 0.8), sampling)


ALGORITHMS: dict[str, Callable[[], Any]] = {
    "value": lambda: appendix_e.pbrl_value(games()),
    "bellman": lambda: appendix_e.pbrl_bellman(games()),
    "independent": lambda: appendix_e.independent(games()),
    "nikaido-isoda": lambda: appendix_e.pbrl_nikaido_isoda(designs()),
    "meta-gradient": lambda: appendix_e.meta_gradient(designs()),
    "no incentive": lambda: appendix_e.no_incentive(designs()),
    "adam": adam,
}
DESCENT = Descent(Constant(0.1))


def begun(algorithm: Any, seed: int = 0) -> State:
    state: State = algorithm.start(
        keys(torch.Generator().manual_seed(seed), algorithm.bilevel.like_ps.shape[0])
    )
    return state


def same(first: State, second: State) -> bool:
    """Whether two states are equal bit for bit."""
    a, b = first.parts(), second.parts()
    return (
        first.k == second.k
        and list(a) == list(b)
        and all(
            x.dtype == y.dtype and torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True)
        )
    )

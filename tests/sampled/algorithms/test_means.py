"""Updates from samples, as they are run, have the exact update as their mean: thousands at once."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from reference.problems.structure import stack
from sampled.algorithms import appendix_e
from sampled.algorithms.bilevel import bilevel
from sampled.algorithms.contract import Constant, keys
from sampled.baselines import LeaveOneOut
from sampled.enumeration import Everything
from sampled.estimators.dice import Dice
from sampled.estimators.gpomdp import Gpomdp
from verify.crosscheck import layered

COPIES = 1500
# The companions' first step is too short to matter, so that the update is linear in the estimates.
SETTINGS = replace(appendix_e.VALUE, batch=4, steps=2, inner_rate=Constant(1e-12))
INCENTIVE = replace(appendix_e.NIKAIDO_ISODA, batch=4, steps=2, inner_rate=Constant(1e-12))
# A step ahead that is short: what it does to f is then linear in the estimates, too.
AHEAD = replace(INCENTIVE, inner_rate=Constant(1e-3))
INCENTIVES = partial(layered.incentive, direct=True)  # no box that would bend the mean
CASES: dict[str, tuple[Any, Any, Any, Any]] = {
    "value": (layered.stackelberg, appendix_e.pbrl_value, SETTINGS, Gpomdp(2)),
    "bellman": (layered.stackelberg, appendix_e.pbrl_bellman, SETTINGS, Gpomdp(2)),
    "independent": (layered.stackelberg, appendix_e.independent, SETTINGS, Gpomdp(2)),
    "leave one out": (
        layered.stackelberg,
        appendix_e.pbrl_value,
        replace(SETTINGS, baseline=LeaveOneOut()),
        Gpomdp(2),
    ),
    "not shared": (
        layered.stackelberg,
        appendix_e.pbrl_value,
        replace(SETTINGS, shared=False),
        Gpomdp(2),
    ),
    "nikaido-isoda": (INCENTIVES, appendix_e.pbrl_nikaido_isoda, INCENTIVE, Gpomdp(2)),
    "meta-gradient": (INCENTIVES, appendix_e.meta_gradient, AHEAD, Dice(2)),
    "no incentive": (INCENTIVES, appendix_e.no_incentive, INCENTIVE, Gpomdp(2)),
}


@pytest.mark.parametrize("name", CASES)
def test_the_mean_update_is_the_exact_one(name: str) -> None:
    """Within 5 standard errors, and these small beside the update, at general points."""
    make, algorithm, settings, estimator = CASES[name]
    problem = make(3)
    one = algorithm(bilevel(problem), settings)
    exact = replace(one, sampling=Everything(estimator, 2))
    many = algorithm(bilevel(stack([problem] * COPIES)), settings)
    g = torch.Generator().manual_seed(1)

    def some(part: torch.Tensor) -> torch.Tensor:
        return part + 0.5 * torch.randn(part.shape, generator=g, dtype=part.dtype)

    at_zero = one.start(keys(g, 1))
    x = one.bilevel.domain.project(0.5 * some(at_zero.x))
    y = tuple(map(some, at_zero.y))
    # Companions elsewhere than the policies: a state after other iterations.
    oracle = tuple(map(some, at_zero.oracle))
    first = replace(exact.start(at_zero.key_p, x, y), oracle=oracle)
    wanted = exact.step(first)

    def repeated(part: torch.Tensor) -> torch.Tensor:
        return part.expand(COPIES, *part.shape[1:]).contiguous()

    start = many.start(keys(g, COPIES), repeated(x), tuple(map(repeated, y)))
    moved = many.step(replace(start, oracle=tuple(map(repeated, oracle))))
    largest = 0.0
    for have, want, before in zip((moved.x, *moved.y), (wanted.x, *wanted.y), (x, *y), strict=True):
        error = (have.mean(0) - want[0]).numpy()
        spread = have.std(0).numpy() / np.sqrt(COPIES)
        assert (np.abs(error) <= 5.0 * spread + 1e-12).all()
        largest = max(largest, float(np.max(np.abs((want - before)[0].numpy()) / (spread + 1e-12))))
    assert largest > 8.0

"""One step of a sampled algorithm, every trajectory through its code, is one of its exact twin."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from reference.algorithms import bilevel as exact_bilevel
from reference.algorithms import contract as exact_contract
from reference.algorithms import independent_gradient as exact_independent
from reference.algorithms import meta_gradient as exact_meta
from reference.algorithms import oracles as exact_oracles
from reference.algorithms import pbrl as exact_pbrl
from reference.objectives import incentive_design, reward_shaping, rlhf, stackelberg
from reference.penalties import bellman as exact_bellman
from reference.penalties import nikaido_isoda as exact_ni
from reference.penalties import value as exact_value
from reference.problems.structure import stack
from sampled.algorithms.bilevel import bilevel
from sampled.algorithms.contract import Algorithm, Constant, Power, keys, run
from sampled.algorithms.independent_gradient import IndependentGradient
from sampled.algorithms.meta_gradient import MetaGradient
from sampled.algorithms.oracles import PolicyGradient
from sampled.algorithms.pbrl import Pbrl
from sampled.algorithms.steps import Descent
from sampled.enumeration import Everything
from sampled.estimators.dice import Dice
from sampled.estimators.gpomdp import Gpomdp
from sampled.estimators.random_horizon import RandomHorizon
from sampled.estimators.reinforce import Reinforce
from sampled.maps import DirectPolicy as OwnDirect
from sampled.maps import SoftmaxPolicy as OwnSoftmax
from sampled.penalties import bellman, nikaido_isoda, value
from tests.sampled.exact import rounding
from verify.crosscheck import layered

PROBLEMS: dict[str, tuple[Callable[[], Any], Any, tuple[int, ...]]] = {
    "Stackelberg": (lambda: layered.stackelberg(1), stackelberg.OBJECTIVE, (layered.B,)),
    "Stackelberg, direct": (
        lambda: layered.stackelberg(2, direct=True),
        stackelberg.OBJECTIVE,
        (layered.B,),
    ),
    "two games": (
        lambda: stack([layered.stackelberg(3), layered.stackelberg(4)]),
        stackelberg.OBJECTIVE,
        (layered.B,),
    ),
    "incentive": (
        lambda: layered.incentive(5),
        incentive_design.OBJECTIVE,
        (layered.A, layered.B),
    ),
    "incentive, direct": (
        lambda: layered.incentive(6, direct=True),
        incentive_design.OBJECTIVE,
        (layered.A, layered.B),
    ),
    "shaping": (lambda: layered.shaping(7), reward_shaping.OBJECTIVE, (layered.B,)),
    "preferences": (lambda: layered.preferences(8), None, (layered.A,)),
}
PENALTIES: dict[str, tuple[Any, Any]] = {
    "value": (exact_value.PENALTY, value.PENALTY),
    "bellman": (exact_bellman.PENALTY, bellman.PENALTY),
    "ni": (exact_ni.PENALTY, nikaido_isoda.PENALTY),
}
ALPHA, BETA, LAMBDA = 0.3, 0.2, 3.0
EVERY = Everything(Gpomdp(layered.STEPS), layered.STEPS)


def twins(name: str) -> tuple[Any, Any]:
    """The exact and the sampled bilevel problem."""
    make, objective, sizes = PROBLEMS[name]
    problem, direct = make(), "direct" in name
    maps = tuple(layered.policy_map(n, direct) for n in sizes)
    exact = exact_bilevel.Bilevel(problem, objective or rlhf.objective(problem), maps)
    return exact, bilevel(problem, policy=OwnDirect() if direct else OwnSoftmax())


def agreement(
    exact: Any, sampled: Algorithm, steps: int, seed: int = 0, within: float | None = None
) -> Any:
    """Run both from the same point, hold all parts of their states to each other; return the last."""
    problem = exact.bilevel.problem
    batch = np.shape(getattr(problem, "rho_s", np.zeros(1)))[:-1]
    points = [layered.point(seed + i, single(exact.bilevel, i)) for i in range(max(1, *batch, 1))]
    x0 = np.stack([x for x, _ in points])
    y0 = tuple(np.stack(parts) for parts in zip(*(y for _, y in points), strict=True))
    other = exact.start(x0, y0) if batch else exact.start(x0[0], tuple(y[0] for y in y0))
    own = sampled.start(
        keys(torch.Generator().manual_seed(0), len(x0)),
        torch.from_numpy(x0),
        tuple(torch.from_numpy(y) for y in y0),
    )
    other = exact_contract.run(exact, other, steps).state
    own = run(sampled, own, steps).state
    # 5 (2 3 5)^2 trajectories of two steps at most, earnings below 8, scores and features below 16;
    # a step multiplies by rates below 1 what lambda has weighted, and amplifies an error before it
    # by at most as much again.
    if within is None:
        within = rounding(8.0, 16.0, 4500, layered.STEPS) * (1.0 + LAMBDA) * 4.0**steps
    moved = 0.0
    pairs = [(other.x, own.x, x0), *zip(other.y, own.y, y0, strict=True)]
    pairs += [(a, b, y) for a, b, y in zip(other.oracle, own.oracle, y0, strict=False)]
    for want, have, begun in pairs:
        np.testing.assert_allclose(have.numpy(), want.reshape(have.shape), rtol=0.0, atol=within)
        moved = max(moved, np.abs(have.numpy() - begun).max())
    assert moved > 0.01
    assert len(other.oracle) == len(own.oracle)
    assert own.steps_p.tolist() == [0] * len(x0)  # nothing was drawn
    return own


def single(whole: Any, i: int) -> Any:
    """One problem of a stack, for a point of its domain."""
    games = {"two games": (layered.stackelberg(3), layered.stackelberg(4))}["two games"]
    if not np.shape(getattr(whole.problem, "rho_s", np.zeros(1)))[:-1]:
        return whole
    return exact_bilevel.Bilevel(games[i], whole.objective, whole.policy_maps)


def pbrl_twins(name: str, penalty: str, inner: int, sampling: Any) -> tuple[Any, Pbrl[Any]]:
    exact, own = twins(name)
    theirs, ours = PENALTIES[penalty]
    oracles = tuple(exact_oracles.PolicyGradient(m, BETA, inner) for m in exact.policy_maps)
    strength = (exact_contract.Power(LAMBDA, -0.5), Power(LAMBDA, -0.5))
    size = (exact_contract.Power(ALPHA, -0.3), Power(ALPHA, -0.3))
    return (
        exact_pbrl.Pbrl(exact, theirs, oracles, size[0], strength[0]),
        Pbrl(own, ours, PolicyGradient(Constant(BETA), inner), Descent(size[1]), strength[1], sampling),
    )


CASES = [
    *(
        (name, penalty, 2)
        for name in ("Stackelberg", "Stackelberg, direct", "two games", "shaping")
        for penalty in ("value", "bellman")
    ),
    ("incentive", "ni", 2),
    ("incentive, direct", "ni", 1),
    ("preferences", "value", 1),
    ("preferences", "bellman", 1),
]


@pytest.mark.parametrize(("name", "penalty", "inner"), CASES)
def test_pbrl(name: str, penalty: str, inner: int) -> None:
    exact, own = pbrl_twins(name, penalty, inner, EVERY)
    agreement(exact, own, 3)


@pytest.mark.parametrize(
    "sampling",
    [
        Everything(Reinforce(layered.STEPS), layered.STEPS),
        Everything(RandomHorizon(0.8), layered.STEPS),
        Everything(Dice(layered.STEPS), layered.STEPS),
        Everything(Gpomdp(layered.STEPS + 1), layered.STEPS + 1),
    ],
    ids=["whole return", "random horizon", "every order", "one step more"],
)
def test_pbrl_with_other_estimators(sampling: Any) -> None:
    exact, own = pbrl_twins("shaping", "value", 1, sampling)
    agreement(exact, own, 2)


@pytest.mark.parametrize(
    "name", ["Stackelberg", "Stackelberg, direct", "two games", "incentive", "incentive, direct"]
)
@pytest.mark.parametrize("fixed", [False, True])
def test_independent_gradient(name: str, fixed: bool) -> None:
    exact, own = twins(name)
    penalty = exact_ni.PENALTY if "incentive" in name else exact_value.PENALTY
    alpha = None if fixed else exact_contract.Constant(ALPHA)
    theirs = exact_independent.IndependentGradient(exact, penalty, alpha, exact_contract.Constant(BETA))
    rule = None if fixed else Descent(Constant(ALPHA))
    ours = IndependentGradient(own, rule, Descent(Constant(BETA)), EVERY)
    agreement(theirs, ours, 3)


@pytest.mark.parametrize(
    "name", ["Stackelberg", "Stackelberg, direct", "two games", "incentive", "incentive, direct"]
)
def test_meta_gradient(name: str) -> None:
    exact, own = twins(name)
    penalty = exact_ni.PENALTY if "incentive" in name else exact_value.PENALTY
    theirs = exact_meta.MetaGradient(
        exact, penalty, exact_contract.Constant(ALPHA), exact_contract.Constant(BETA)
    )
    every = Everything(Dice(layered.STEPS), layered.STEPS)
    ours = MetaGradient(own, Descent(Constant(ALPHA)), Constant(BETA), every)
    agreement(theirs, ours, 3)

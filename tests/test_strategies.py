"""The strategies reach the cases that make a check worth its name."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st

from reference.domains import Ball, Box, Euclidean, Simplices
from reference.policies import DirectPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedReward,
    LinearReward,
    PotentialShaping,
    SoftmaxKernel,
    TabularReward,
)
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Weighted
from reference.validation import Array
from tests import strategies

SEARCH = settings(
    max_examples=2000,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
"""Without shrinking: what matters is that an example exists."""


def uneven(rows: Array) -> bool:
    return bool(rows.size > 1 and np.ptp(rows) > 0.1)


def general_mdp(mdp: Mdp) -> bool:
    return mdp.n_states != mdp.n_actions and uneven(mdp.rho_s) and uneven(mdp.r_sa) and mdp.gamma > 0


def general_game(game: ZeroSumGame) -> bool:
    return len({game.n_states, *game.n_actions}) == 3 and uneven(game.rho_s) and uneven(game.r_sab)


CASES: dict[str, tuple[st.SearchStrategy[Any], Callable[[Any], object]]] = {
    "an MDP in general position": (strategies.mdps(), general_mdp),
    "uneven weights of the states": (
        strategies.mdps(),
        lambda m: isinstance(m.regularizer, Weighted) and uneven(m.regularizer.weight_s),
    ),
    "a start distribution with a zero": (
        strategies.mdps(positive_start=False),
        lambda m: m.rho_s.min() == 0.0,
    ),
    "an impossible transition": (strategies.mdps(), lambda m: m.P_sat.min() == 0.0),
    "a deterministic transition": (
        strategies.mdps(),
        lambda m: m.n_states > 1 and m.P_sat.max() == 1.0,
    ),
    "gamma = 0": (strategies.mdps(), lambda m: m.gamma == 0.0),
    "gamma = 0.99": (strategies.mdps(), lambda m: m.gamma == 0.99),
    "one state": (strategies.mdps(), lambda m: m.n_states == 1 < m.n_actions),
    "one action": (strategies.mdps(), lambda m: m.n_actions == 1 < m.n_states),
    "a boundary policy that is not deterministic": (
        strategies.policies(2, 3),
        lambda pi: pi.min() == 0.0 and ((pi > 0.0) & (pi < 1.0)).any(),
    ),
    "a deterministic policy": (strategies.policies(2, 3), lambda pi: set(pi.flat) == {0.0, 1.0}),
    "an interior, uneven policy": (
        strategies.policies(2, 3),
        lambda pi: pi.min() > 0.0 and uneven(pi[0]) and uneven(pi[1]),
    ),
    "a game in general position": (strategies.games(), general_game),
    "a flat box": (
        strategies.boxes((2,)),
        lambda box: (box.low == box.high).any() and box.diameter > 0.0,
    ),
    "a point on the boundary": (
        strategies.points(Simplices((2, 3))),
        lambda x: (x.min(axis=-1) == 0.0).any() and (x.min(axis=-1) > 0.0).any(),
    ),
    "rewards and transitions that depend on x": (
        strategies.families(),
        lambda f: (
            isinstance(f.reward, LinearReward)
            and f.reward.features_isa.any()
            and isinstance(f.kernel, SoftmaxKernel)
            and np.ptp(f.kernel.features_isat) > 0.0
            and np.isfinite(f.kernel.logits_sat).all()
        ),
    ),
    "x with two axes": (
        strategies.families(),
        lambda f: isinstance(f.reward, LinearReward) and len(f.domain.shape) == 2,
    ),
    "a direct leader of a general game": (
        strategies.stackelberg_games(),
        lambda g: (
            isinstance(g.leader, DirectPolicy) and len({*g.P_sabt.shape}) == 3 and g.tau_leader > 0.0
        ),
    ),
    "different regularisers of the players": (
        strategies.games(),
        lambda g: type(g.regularizer_1) is not type(g.regularizer_2),
    ),
    "a cost": (strategies.incentive_problems(), lambda p: uneven(p.cost_s)),
    "a delay": (strategies.preference_problems(), lambda p: p.delay > 0 and p.segment_length > 1),
}


@pytest.mark.parametrize("case", CASES)
def test_reaches(case: str) -> None:
    strategy, condition = CASES[case]
    found = find(strategy, lambda value: bool(condition(value)), settings=SEARCH)
    assert condition(found)


@pytest.mark.parametrize("kind", [NegativeEntropy, Quadratic, KLDivergence, Weighted])
def test_reaches_every_regularizer(kind: type) -> None:
    find(strategies.regularizers(2, 3), lambda h: isinstance(h, kind), settings=SEARCH)


@pytest.mark.parametrize("kind", [Euclidean, Box, Ball, Simplices])
def test_reaches_every_domain(kind: type) -> None:
    find(strategies.domains((2, 3)), lambda domain: isinstance(domain, kind), settings=SEARCH)


@pytest.mark.parametrize(
    "kind", [TabularReward, LinearReward, BoundedIncentive, PotentialShaping, FixedReward]
)
def test_reaches_every_reward(kind: type) -> None:
    find(strategies.families(), lambda f: isinstance(f.reward, kind), settings=SEARCH)


@pytest.mark.parametrize("kind", [MdpFamily, StackelbergGame, Rlhf, RewardShaping])
def test_reaches_every_parametric_mdp(kind: type) -> None:
    find(strategies.parametric_mdps(), lambda problem: isinstance(problem, kind), settings=SEARCH)


@pytest.mark.parametrize("kind", [GameFamily, IncentiveDesign])
def test_reaches_every_parametric_game(kind: type) -> None:
    find(strategies.parametric_games(), lambda problem: isinstance(problem, kind), settings=SEARCH)


def test_shrinks_to_a_readable_problem() -> None:
    """The least MDP with two actions of different reward has nothing else to it."""
    mdp: Mdp = find(
        strategies.mdps(),
        lambda m: bool(np.ptp(m.r_sa, axis=-1).any()),
        settings=settings(SEARCH, phases=[Phase.generate, Phase.shrink]),
    )
    assert mdp.P_sat.shape == (1, 2, 1)
    assert sorted(np.abs(mdp.r_sa[0])) == [0.0, 0.125]
    assert isinstance(mdp.regularizer, Quadratic)

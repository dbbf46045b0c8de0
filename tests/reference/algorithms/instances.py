"""Small bilevel problems in general position; direct policies come with the quadratic regulariser."""

from typing import Any

import numpy as np

from reference.algorithms.bilevel import Bilevel
from reference.domains import Box, Euclidean
from reference.objectives import incentive_design, reward_shaping, rlhf
from reference.objectives import stackelberg as leader
from reference.policies import DirectPolicy, PolicyMap, SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedKernel,
    LinearReward,
    SoftmaxKernel,
    TabularReward,
)
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import BradleyTerryLabels, Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.structure import stack
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import NegativeEntropy, Quadratic, Regularizer
from reference.validation import Array

S, A, B = 3, 2, 3
GAMMA = 0.7
EPS = float(np.finfo(np.float64).eps)


def rounding(strength: float) -> float:
    """Bound on the rounding of a gradient of f + strength p in the problems below.

    Visits and values solve systems of condition (1 + gamma) / (1 - gamma) with S unknowns; their
    product, of size at most 5 / (1 - gamma)^2 for rewards with regularisation up to 5, is summed over
    states and actions.
    """
    condition = (1.0 + GAMMA) / (1.0 - GAMMA)
    return 4.0 * EPS * (S**2 + S * A * B) * condition * 5.0 / (1.0 - GAMMA) ** 2 * (1.0 + strength)


def maps(*actions: int, direct: bool) -> tuple[PolicyMap, ...]:
    return tuple(DirectPolicy((S, n)) if direct else SoftmaxPolicy((S, n)) for n in actions)


def stackelberg_game(seed: int, *, direct: bool = False) -> StackelbergGame:
    g = np.random.default_rng(seed)
    h: Regularizer = Quadratic() if direct else NegativeEntropy()
    return StackelbergGame(
        P_sabt=g.dirichlet(np.full(S, 0.5), (S, A, B)),
        r_leader_sab=g.normal(size=(S, A, B)),
        r_follower_sab=g.normal(size=(S, A, B)),
        gamma=GAMMA,
        rho_s=g.dirichlet(np.full(S, 3.0)),
        tau=0.5,
        regularizer=h,
        leader=maps(A, direct=direct)[0],
        tau_leader=0.1,
        regularizer_leader=h,
    )


def stackelberg(seed: int, *, direct: bool = False, batch: int = 0) -> Bilevel[StackelbergGame]:
    games = [stackelberg_game(seed + i, direct=direct) for i in range(max(batch, 1))]
    problem = stack(games) if batch else games[0]
    return Bilevel(problem, leader.OBJECTIVE, maps(B, direct=direct))


def shaping(seed: int, *, direct: bool = False) -> Bilevel[RewardShaping]:
    g = np.random.default_rng(seed)
    h: Regularizer = Quadratic() if direct else NegativeEntropy()
    P = g.dirichlet(np.full(S, 0.5), (S, A))
    rho = g.dirichlet(np.full(S, 3.0))
    original = Mdp(P, g.normal(size=(S, A)), GAMMA, rho, 0.5, h)
    box = Box(np.full((S, A), -0.5), np.full((S, A), 0.5))
    shaped = MdpFamily(TabularReward(box), FixedKernel(P), GAMMA, rho, 0.5, h)
    problem = RewardShaping(original, shaped)
    return Bilevel(problem, reward_shaping.OBJECTIVE, maps(A, direct=direct))


def preferences(seed: int) -> Bilevel[Rlhf]:
    g = np.random.default_rng(seed)
    P = g.dirichlet(np.full(S, 0.5), (S, A))
    reward = LinearReward(g.normal(size=(2, S, A)), g.normal(size=(S, A)), Euclidean((2,)))
    rho = g.dirichlet(np.full(S, 3.0))
    lower = MdpFamily(reward, FixedKernel(P), GAMMA, rho, 0.5, NegativeEntropy())
    problem = Rlhf(lower, g.normal(size=(S, A)), 2, BradleyTerryLabels(), delay=1)
    return Bilevel(problem, rlhf.objective(problem), maps(A, direct=False))


def incentive_problem(seed: int, *, direct: bool = False) -> IncentiveDesign:
    """The players' transitions depend on x too, unless x is a table of incentives."""
    g = np.random.default_rng(seed)
    h: Regularizer = Quadratic() if direct else NegativeEntropy()
    rho = g.dirichlet(np.full(S, 3.0))
    if direct:
        table = Euclidean((S, A, B))
        reward = BoundedIncentive(g.normal(size=(S, A, B)), 0.9, table)
        fixed = FixedKernel(g.dirichlet(np.ones(S), (S, A * B)))
        family = GameFamily(reward, fixed, GAMMA, rho, 0.5, h, h)
    else:
        box = Box(np.full(2, -1.0), np.full(2, 1.0))
        linear = LinearReward(g.normal(size=(2, S, A, B)), g.normal(size=(S, A, B)), box)
        kernel = SoftmaxKernel(g.normal(size=(S, A * B, S)), g.normal(size=(2, S, A * B, S)), box)
        family = GameFamily(linear, kernel, GAMMA, rho, 0.5, h, h)
    P_design = g.dirichlet(np.full(S, 0.5), (S, A, B))
    return IncentiveDesign(family, P_design, g.normal(size=(S, A, B)), g.normal(size=S))


def incentive(seed: int, *, direct: bool = False, batch: int = 0) -> Bilevel[IncentiveDesign]:
    made = [incentive_problem(seed + i, direct=direct) for i in range(max(batch, 1))]
    problem = stack(made) if batch else made[0]
    return Bilevel(problem, incentive_design.OBJECTIVE, maps(A, B, direct=direct))


def player_mdps(bilevel: Bilevel[Any], x: Array, policies: tuple[Array, ...]) -> tuple[Mdp, ...]:
    """Each player's MDP, by the problem's own definitions."""
    lower = bilevel.problem.at(x)
    if isinstance(lower, Mdp):
        return (lower,)
    return lower.for_player_1(policies[1]), lower.for_player_2(policies[0])

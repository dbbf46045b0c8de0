"""Problems that are over after two steps, so that nothing is truncated by trajectories of two.

States 0 and 1 lead to 2 and 3, these to 4, where nothing is earned and nothing depends on anything: the
regularisation of uniform policies there is a constant that everyone gets from the same step on.
"""

from typing import Any

import numpy as np

from reference.domains import Ball, Box, Euclidean, Simplices
from reference.policies import DirectPolicy, PolicyMap, SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedKernel,
    LinearReward,
    SoftmaxKernel,
)
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import BradleyTerryLabels, Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import NegativeEntropy, Quadratic, Regularizer, Weighted
from reference.validation import Array

S, A, B = 5, 2, 3
STEPS = 2
GAMMA = 0.7
LAYERS = ((0, 1), (2, 3), (4,))


def arrival() -> Array:
    """Whether state t can follow state s."""
    can_st = np.zeros((S, S))
    for here, there in zip(LAYERS, (*LAYERS[1:], LAYERS[-1]), strict=True):
        can_st[np.ix_(here, there)] = 1.0
    return can_st


def transitions(g: np.random.Generator, *actions: int) -> Array:
    """Transitions from each layer to the next, all of them possible; (S, *actions, S)."""
    weights = g.exponential(size=(S, *actions, S)) + 0.1
    weights *= arrival().reshape(S, *(1,) * len(actions), S)
    return np.asarray(weights / weights.sum(-1, keepdims=True))


def rewards(g: np.random.Generator, *actions: int) -> Array:
    """Rewards, none in the last state; (S, *actions)."""
    numbers = g.normal(size=(S, *actions))
    numbers[-1] = 0.0
    return numbers


def features(g: np.random.Generator, *actions: int) -> Array:
    """Two features of rewards."""
    return np.stack([rewards(g, *actions) for _ in range(2)])


def start(g: np.random.Generator) -> Array:
    """An uneven start; (S,)."""
    return g.dirichlet(np.full(S, 3.0))


def rule(g: np.random.Generator, direct: bool) -> Regularizer:
    """A regulariser that weighs states; direct policies may have zeros, where entropy has no slope."""
    return Weighted(Quadratic() if direct else NegativeEntropy(), g.uniform(0.5, 1.5, S))


def policy_map(n: int, direct: bool) -> PolicyMap:
    """Policies over n actions, themselves the parameters or from logits."""
    return DirectPolicy((S, n)) if direct else SoftmaxPolicy((S, n))


def stackelberg(seed: int, *, direct: bool = False) -> StackelbergGame:
    """A Stackelberg game; x is the leader's parameter."""
    g = np.random.default_rng(seed)
    return StackelbergGame(
        P_sabt=transitions(g, A, B),
        r_leader_sab=rewards(g, A, B),
        r_follower_sab=rewards(g, A, B),
        gamma=GAMMA,
        rho_s=start(g),
        tau=0.5,
        regularizer=rule(g, direct),
        leader=policy_map(A, direct),
        tau_leader=0.1,
        regularizer_leader=rule(g, direct),
    )


def kernel(g: np.random.Generator, joint: int, domain: Any) -> SoftmaxKernel:
    """Transitions of joint actions that depend on x, from each layer to the next."""
    with np.errstate(divide="ignore"):
        possible = np.log(arrival())[:, None, :]
    logits = possible + g.normal(size=(S, joint, S))
    return SoftmaxKernel(logits, g.normal(size=(2, S, joint, S)), domain)


def incentive(seed: int, *, direct: bool = False) -> IncentiveDesign:
    """With direct policies x is a table of incentives; else transitions depend on x, too."""
    g = np.random.default_rng(seed)
    h_1, h_2 = rule(g, direct), rule(g, direct)
    if direct:
        # Zero in the last state is the middle of the incentive there.
        bounded = BoundedIncentive(rewards(g, A, B), 0.9, Euclidean((S, A, B)))
        fixed = FixedKernel(transitions(g, A * B))
        family = GameFamily(bounded, fixed, GAMMA, start(g), 0.5, h_1, h_2)
    else:
        domain = Box(np.full(2, -0.6), np.full(2, 0.6))
        linear = LinearReward(features(g, A, B), rewards(g, A, B), domain)
        family = GameFamily(linear, kernel(g, A * B, domain), GAMMA, start(g), 0.5, h_1, h_2)
    return IncentiveDesign(
        family, transitions(g, A, B), rewards(g, A, B), np.append(g.normal(size=4), 0.0)
    )


def shaping(seed: int, *, direct: bool = False) -> RewardShaping:
    """Reward shaping with x in a ball."""
    g = np.random.default_rng(seed)
    P, rho, h = transitions(g, B), start(g), rule(g, direct)
    ball = Ball(np.zeros(2), 0.5)
    shaped = MdpFamily(
        LinearReward(features(g, B), rewards(g, B), ball), FixedKernel(P), GAMMA, rho, 0.5, h
    )
    return RewardShaping(Mdp(P, rewards(g, B), GAMMA, rho, 0.5, h), shaped)


def preferences(seed: int) -> Rlhf:
    """Preferences of segments of two steps."""
    g = np.random.default_rng(seed)
    reward = LinearReward(features(g, A), rewards(g, A), Euclidean((2,)))
    lower = MdpFamily(
        reward, FixedKernel(transitions(g, A)), GAMMA, start(g), 0.5, rule(g, direct=False)
    )
    return Rlhf(lower, rewards(g, A), 2, BradleyTerryLabels(), delay=0)


def point(seed: int, bilevel: Any) -> tuple[Array, tuple[Array, ...]]:
    """A point of Z in general position but for the last state, where policies are uniform."""
    g = np.random.default_rng(seed)
    domain = bilevel.problem.domain
    x, y = bilevel.start(domain.project(np.zeros(domain.shape)), None)
    centre = x
    x = domain.project(x + 0.3 * g.normal(size=x.shape))
    if isinstance(domain, Simplices):
        x = 0.5 * (centre + x)  # scores of samples know nothing of actions that are never taken
    if x.shape[:1] == (S,):
        x[-1] = domain.project(np.zeros(domain.shape))[-1]
    parts = []
    for policy, uniform in zip(bilevel.policy_maps, y, strict=True):
        moved = policy.domain.project(uniform + 0.2 * g.normal(size=uniform.shape))
        moved[-1] = uniform[-1]
        # Through the policy: logits are those that the exact oracle would begin at.
        parts.append(policy.inverse(policy(0.5 * (moved + uniform))))
    return x, tuple(parts)

"""Hypothesis strategies for domains, regularisers, policies and every kind of problem.

All numbers are small multiples of a power of two, or ratios of small whole numbers, so that shrinking
ends at instances that can be read: zero rewards, uniform distributions, one state and one action.
``test_strategies.py`` proves that the interesting cases are reached.
"""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference.domains import Ball, Box, Domain, Euclidean, Simplices, some_point
from reference.policies import DirectPolicy, PolicyMap, SmoothMap, SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import Mdp, MdpFamily, ParametricMdp
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedKernel,
    FixedReward,
    Kernel,
    LinearReward,
    PotentialShaping,
    SoftmaxKernel,
    TabularReward,
)
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import BradleyTerryLabels, LabelByReturn, LabelRule, Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily, ParametricGame, ZeroSumGame
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer, Weighted
from reference.validation import Array

MAX_SIZE = 3

sizes = st.integers(1, MAX_SIZE)
discounts = st.sampled_from([0.5, 0.9, 0.0, 0.99])
temperatures = st.sampled_from([1.0, 0.25, 8.0, 1 / 64])


# Numbers.


def tables(shape: tuple[int, ...], *, largest: int = 16) -> st.SearchStrategy[Array]:
    """Multiples of 1/8 of absolute value at most ``largest / 8``."""
    whole = arrays(np.int64, shape, elements=st.integers(-largest, largest))
    return whole.map(lambda table: table / 8.0)


def distributions(shape: tuple[int, ...], *, positive: bool = False) -> st.SearchStrategy[Array]:
    """Rows proportional to whole numbers of 0 to 8, or 1 to 9."""

    def normalised(weights: Array) -> Array:
        # All weights zero is the simplest draw: it stands for the uniform distribution.
        weights = np.where(weights.sum(axis=-1, keepdims=True) == 0, 1, weights)
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True))

    weights = arrays(np.int64, shape, elements=st.integers(0, 8))
    return weights.map(lambda w: normalised(w + 1 if positive else w))


def policies(n_states: int, n_actions: int, *, interior: bool = False) -> st.SearchStrategy[Array]:
    """Policies (S, A), some of them on the boundary unless ``interior``."""
    return distributions((n_states, n_actions), positive=interior)


# Parts.


@st.composite
def regularizers(draw: st.DrawFn, n_states: int, n_actions: int) -> Regularizer:
    """Every regulariser, plain or with weights of the states."""
    base: Regularizer = draw(
        st.one_of(
            st.just(Quadratic()),
            st.just(NegativeEntropy()),
            policies(n_states, n_actions, interior=True).map(KLDivergence),
        )
    )
    if not draw(st.booleans()):
        return base
    weight_s = draw(arrays(np.int64, (n_states,), elements=st.integers(1, 16)))
    return Weighted(base, weight_s / 8.0)


@st.composite
def boxes(draw: st.DrawFn, shape: tuple[int, ...]) -> Box:
    """Boxes, some of them flat in some direction."""
    low = draw(tables(shape))
    width = draw(arrays(np.int64, shape, elements=st.integers(0, 16)))
    return Box(low, low + width / 8.0)


def domains(shape: tuple[int, ...]) -> st.SearchStrategy[Domain]:
    """Every kind of domain of one shape."""
    return st.one_of(
        st.just(Euclidean(shape)),
        boxes(shape),
        st.builds(Ball, tables(shape), st.integers(1, 16).map(lambda n: n / 8.0)),
        st.just(Simplices(shape)),
    )


def points(domain: Domain) -> st.SearchStrategy[Array]:
    """Points of a domain, often on its boundary."""
    return tables(domain.shape, largest=32).map(domain.project)


def interior_points(domain: Domain) -> st.SearchStrategy[Array]:
    """Points with room around them, as far as the domain has any."""
    match domain:
        case Simplices(shape):
            return distributions(shape, positive=True)
        case Box(low, high):
            share = tables(low.shape, largest=6)
            return share.map(lambda u: (low + high) / 2.0 + u / 2.0 * (high - low))
        case Ball(centre, radius):
            limit = 2.0 * max(1.0, float(np.sqrt(centre.size)))
            return tables(centre.shape, largest=12).map(lambda u: centre + u / limit * radius)
        case _:
            return tables(domain.shape)


# Problems.


@st.composite
def mdps(draw: st.DrawFn, *, positive_start: bool = True) -> Mdp:
    """MDPs, with tau > 0."""
    n_states, n_actions = draw(sizes), draw(sizes)
    return Mdp(
        draw(distributions((n_states, n_actions, n_states))),
        draw(tables((n_states, n_actions))),
        draw(discounts),
        draw(distributions((n_states,), positive=positive_start)),
        draw(temperatures),
        draw(regularizers(n_states, n_actions)),
    )


@st.composite
def games(draw: st.DrawFn) -> ZeroSumGame:
    """Zero-sum games, with tau > 0."""
    n_states, n_first, n_second = draw(sizes), draw(sizes), draw(sizes)
    return ZeroSumGame(
        draw(distributions((n_states, n_first, n_second, n_states))),
        draw(tables((n_states, n_first, n_second))),
        draw(discounts),
        draw(distributions((n_states,), positive=True)),
        draw(temperatures),
        draw(regularizers(n_states, n_first)),
        draw(regularizers(n_states, n_second)),
    )


@st.composite
def softmax_kernels(draw: st.DrawFn, domain: Domain, n_states: int, n_actions: int) -> SoftmaxKernel:
    """Kernels tilted by x, some transitions of which may be impossible."""
    P_sat = draw(distributions((n_states, n_actions, n_states)))
    features = draw(tables((*domain.shape, *P_sat.shape), largest=8))
    with np.errstate(divide="ignore"):
        return SoftmaxKernel(np.log(P_sat), features, domain)


@st.composite
def kernels(draw: st.DrawFn, domain: Domain, n_states: int, n_actions: int) -> Kernel:
    """Fixed kernels, and kernels tilted by x."""
    if draw(st.booleans()):
        return draw(softmax_kernels(domain, n_states, n_actions))
    return FixedKernel(draw(distributions((n_states, n_actions, n_states))))


@st.composite
def linear_rewards(draw: st.DrawFn, offset: Array) -> LinearReward:
    """Features of any shape of x, with a given offset."""
    x_shape = draw(st.lists(sizes, max_size=2).map(tuple))
    features = draw(tables((*x_shape, *offset.shape)))
    return LinearReward(features, offset, draw(domains(x_shape) if x_shape else st.just(Euclidean(()))))


def rewards(offset: Array) -> st.SearchStrategy[SmoothMap]:
    """Every reward map that suits one and two players alike."""
    domain, scale = domains(offset.shape), sizes.map(lambda n: n / 2.0)
    return st.one_of(
        st.builds(TabularReward, domain),
        linear_rewards(offset),
        st.builds(BoundedIncentive, st.just(offset), scale, domain),
        st.builds(FixedReward, st.just(offset), domains((2,))),
    )


def potentials(mdp: Mdp) -> st.SearchStrategy[SmoothMap]:
    """Shapings of an MDP by potentials."""
    return st.builds(
        PotentialShaping,
        st.just(mdp.r_sa),
        st.just(mdp.P_sat),
        st.just(mdp.gamma),
        domains((mdp.n_states,)),
    )


@st.composite
def families(draw: st.DrawFn) -> MdpFamily:
    """Every reward map with every kernel that takes the same x."""
    mdp = draw(mdps())
    reward = draw(st.one_of(rewards(mdp.r_sa), potentials(mdp)))
    kernel = draw(kernels(reward.domain, mdp.n_states, mdp.n_actions))
    return MdpFamily(reward, kernel, mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)


@st.composite
def game_families(draw: st.DrawFn) -> GameFamily:
    """Every reward map of two players with every kernel that takes the same x."""
    game = draw(games())
    reward = draw(rewards(game.r_sab))
    n_first, n_second = game.n_actions
    return GameFamily(
        reward,
        draw(kernels(reward.domain, game.n_states, n_first * n_second)),
        game.gamma,
        game.rho_s,
        game.tau,
        game.regularizer_1,
        game.regularizer_2,
    )


@st.composite
def stackelberg_games(draw: st.DrawFn) -> StackelbergGame:
    """Stackelberg games with either parameterisation of the leader."""
    game = draw(games())
    shape = (game.n_states, game.n_actions[0])
    leaders: list[PolicyMap] = [SoftmaxPolicy(shape), DirectPolicy(shape)]
    return StackelbergGame(
        game.P_sabt,
        draw(tables(game.r_sab.shape)),
        game.r_sab,
        game.gamma,
        game.rho_s,
        game.tau,
        game.regularizer_2,
        draw(st.sampled_from(leaders)),
        draw(st.sampled_from([0.0, 0.5])),
        game.regularizer_1,
    )


@st.composite
def learned(draw: st.DrawFn, mdp: Mdp) -> MdpFamily:
    """A linear model of the reward of an MDP, with its transitions."""
    reward = draw(linear_rewards(draw(tables(mdp.r_sa.shape))))
    return MdpFamily(reward, FixedKernel(mdp.P_sat), mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)


@st.composite
def preference_problems(draw: st.DrawFn) -> Rlhf:
    """Preference problems with either rule for the labels."""
    mdp = draw(mdps())
    rules: list[LabelRule] = [LabelByReturn(), BradleyTerryLabels(0.5)]
    labels = draw(st.sampled_from(rules))
    return Rlhf(draw(learned(mdp)), mdp.r_sa, draw(sizes), labels, draw(sizes) - 1)


@st.composite
def shaping_problems(draw: st.DrawFn) -> RewardShaping:
    """Shaping problems with linear features."""
    mdp = draw(mdps())
    return RewardShaping(mdp, draw(learned(mdp)))


@st.composite
def incentive_problems(draw: st.DrawFn) -> IncentiveDesign:
    """Incentive problems, with a cost."""
    family = draw(game_families())
    shape = family.reward(some_point(family.domain)).shape
    return IncentiveDesign(
        family,
        draw(distributions((*shape, shape[0]))),
        draw(tables(shape)),
        draw(tables(shape[:1])),
    )


def parametric_mdps() -> st.SearchStrategy[ParametricMdp]:
    """Everything that is an MDP for each x."""
    return st.one_of(families(), stackelberg_games(), preference_problems(), shaping_problems())


def parametric_games() -> st.SearchStrategy[ParametricGame]:
    """Everything that is a zero-sum game for each x."""
    return st.one_of(game_families(), incentive_problems())

"""Constants: by hand, attained, and held to gradients at pairs of points."""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import constants
from reference.constants import Bounds, Player
from reference.domains import Ball, Box, Domain, Euclidean, Simplices
from reference.errors import InputError
from reference.evaluation import evaluate, evaluate_joint, policy_gradient, value_gradient_x
from reference.optimality import policy_iteration
from reference.penalties import bellman, nikaido_isoda, value
from reference.problems.general_position import (
    general_game,
    general_game_family,
    general_mdp,
    general_point,
    linear_family,
    tabular_family,
)
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import (
    BoundedIncentive,
    FixedKernel,
    FixedReward,
    LinearReward,
    PotentialShaping,
    SoftmaxKernel,
    TabularReward,
    UserKernel,
    UserMap,
)
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import NegativeEntropy, Quadratic, Weighted
from reference.validation import Array

UP = np.array([1.0, -1.0])
INTERVAL = Box(np.full(1, -1.0), np.full(1, 1.0))


def bandit(
    features: Array, offset: Array, *, gamma: float = 0.0, tau: float = 0.0, domain: Domain = INTERVAL
) -> MdpFamily:
    """One state with rewards offset + x features."""
    reward = LinearReward(features[None, None], offset[None], domain)
    kernel = FixedKernel(np.ones((1, len(offset), 1)))
    return MdpFamily(reward, kernel, gamma, np.ones(1), tau, Quadratic())


# By hand.


def test_a_bandit_by_hand() -> None:
    """r = (x, -x), |x| <= 1, gamma = 0, tau = 3: V = x (p1 - p2) - 3 |p|^2 / 2."""
    given_ = constants.bounds(bandit(UP, np.zeros(2), tau=3.0))
    # Rewards from -1 to 1, and h from 1/4 to 1/2.
    assert given_.half_range == pytest.approx(0.5 * (2.0 + 3.0 / 4.0))
    np.testing.assert_allclose(given_.moves, [0.0, math.sqrt(2.0)])
    np.testing.assert_allclose(
        constants.value_blocks(given_), [[0.0, math.sqrt(2.0)], [math.sqrt(2.0), 3.0]]
    )
    assert constants.value_smoothness(given_) == pytest.approx((3.0 + math.sqrt(17.0)) / 2.0)
    assert constants.gradient_in_policy(given_) == pytest.approx(math.sqrt(2.0))
    # The optimal policy (1/2 + x/3, 1/2 - x/3) moves with sqrt(2) / 3.
    assert constants.response_slope(given_) == pytest.approx(math.sqrt(2.0) / 3.0)
    # p = 3 |pi - pi*|^2 / 2 has the blocks 2/3, -sqrt(2), 3; both constants allow for more in x.
    assert constants.value_penalty_smoothness(given_) == pytest.approx(
        float(np.linalg.eigvalsh([[2.0 / 3.0, math.sqrt(2.0)], [math.sqrt(2.0), 3.0]])[-1])
    )
    assert constants.bellman_penalty_smoothness(given_) == pytest.approx(
        float(np.linalg.eigvalsh([[2.0 / 3.0, math.sqrt(2.0)], [math.sqrt(2.0), 3.0]])[-1])
    )


def test_the_slope_of_solutions_is_attained_in_many_states() -> None:
    """Four states like that one, with weights 1/2 to 2: each policy moves with sqrt(2) / (3 w)."""
    reward = LinearReward(np.tile(UP, (1, 4, 1)), np.zeros((4, 2)), INTERVAL)
    kernel = FixedKernel(np.full((4, 2, 4), 0.25))
    rho_s = np.array([0.1, 0.2, 0.3, 0.4])
    plain = MdpFamily(reward, kernel, 0.0, rho_s, 3.0, Quadratic())
    given_ = constants.bounds(plain)
    ends = [policy_iteration(plain.at(np.full(1, x))).pi_sa for x in (-1.0, 1.0)]
    slope = float(np.linalg.norm(ends[1] - ends[0])) / 2.0
    assert constants.response_slope(given_) == pytest.approx(slope)
    assert slope == pytest.approx(2.0 * math.sqrt(2.0) / 3.0)

    weights = Weighted(Quadratic(), np.array([0.5, 1.0, 1.5, 2.0]))
    given_ = constants.bounds(replace(plain, regularizer=weights))
    # h ranges from 0.5 / 4 to 2 / 2; its gradient along the simplex is at most 2 sqrt(1/2).
    assert given_.half_range == pytest.approx(0.5 * (2.0 + 3.0 * (1.0 - 0.125)))
    (player,) = given_.players
    assert (player.h_slope, player.h_curvature, player.h_modulus) == pytest.approx(
        (math.sqrt(2.0), 2.0, 0.5)
    )
    assert constants.response_slope(given_) == pytest.approx(2.0 * slope)


def test_a_game_by_hand() -> None:
    """r = +-1 as the actions agree or not, no x, gamma = 0, tau = 2."""
    reward = FixedReward(np.outer(UP, UP)[None], INTERVAL)
    kernel = FixedKernel(np.ones((1, 4, 1)))
    family = GameFamily(reward, kernel, 0.0, np.ones(1), 2.0, Quadratic(), Quadratic())
    given_ = constants.bounds(family)
    # Half the range of r, and of 2 h for either player: 1 + 1/4 + 1/4.
    assert given_.half_range == pytest.approx(1.5)
    blocks = constants.value_blocks(given_)
    np.testing.assert_allclose(blocks, [[0.0, 0.0, 0.0], [0.0, 2.0, 3.0], [0.0, 3.0, 2.0]])
    assert constants.value_smoothness(given_) == pytest.approx(5.0)
    slope = math.sqrt(2.0) * (math.sqrt(2.0) * 1.5 + 2.0 * math.sqrt(0.5)) / 2.0
    assert constants.response_slope(given_, 1) == pytest.approx(slope)
    assert constants.nikaido_isoda_smoothness(given_) == pytest.approx(10.0 * math.hypot(1.0, slope))


def test_gradient_dominance_by_hand() -> None:
    """gamma = rho = 1/2: 1/3, attained by leaving the good state and staying in the bad one."""
    mdp = Mdp(
        np.eye(2)[[[0, 1], [0, 1]]],
        np.array([[1.0, 0.0], [0.0, 0.0]]),
        0.5,
        np.array([0.5, 0.5]),
        0.0,
        Quadratic(),
    )
    assert constants.gradient_dominance(mdp) == pytest.approx(1.0 / 3.0)
    own = evaluate(mdp, np.array([[0.0, 1.0], [0.0, 1.0]]))
    gradient = policy_gradient(own)
    dominance = float((gradient.max(axis=1) - (gradient * own.pi_sa).sum(axis=1)).sum())
    gap = float(policy_iteration(mdp).value - own.value)
    assert dominance == pytest.approx(gap / 3.0)


@pytest.mark.parametrize(
    ("n_actions", "spread"), [(1, 0.0), (2, math.sqrt(2.0)), (3, math.sqrt(8.0 / 3.0)), (4, 2.0)]
)
def test_policy_spread(n_actions: int, spread: float) -> None:
    assert constants.policy_spread(n_actions) == pytest.approx(spread)
    generator = np.random.default_rng(0)
    u = generator.standard_normal((1000, n_actions))
    u -= u.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(u, axis=1)
    assert np.all(np.abs(u).sum(axis=1) <= spread * norms + 1e-12)
    assert spread <= math.sqrt(n_actions)


def test_constants_grow_with_the_horizon() -> None:
    """(1-gamma)^{-3} from the policy, as in (C.22): 2 gamma b^2 beta / (1-gamma)^3 at tau = 0."""
    for gamma in (0.0, 0.5, 0.9, 0.99):
        given_ = constants.bounds(bandit(0.0 * UP, UP, gamma=gamma))
        expected = 4.0 * gamma / (1.0 - gamma) ** 3
        assert constants.value_blocks(given_)[1, 1] == pytest.approx(expected, rel=1e-12)


def test_curved_policies_bend_the_value() -> None:
    """b' counts with beta / (1-gamma)^2."""
    given_ = constants.bounds(bandit(0.0 * UP, UP, gamma=0.5))
    bent = replace(given_, players=(Player(2, math.sqrt(2.0), 3.0, 0.0, 0.0, 1.0),))
    gained = constants.value_blocks(bent)[1, 1] - constants.value_blocks(given_)[1, 1]
    assert gained == pytest.approx(3.0 * 1.0 / 0.25)


# Bounds of the data.


def domains(shape: tuple[int, ...]) -> Iterator[Domain]:
    generator = np.random.default_rng(3)
    low = generator.standard_normal(shape)
    yield Box(low, low + generator.random(shape))
    yield Ball(generator.standard_normal(shape), 0.7)
    yield Simplices(shape)


def reward_maps() -> Iterator[Any]:
    generator = np.random.default_rng(4)
    for domain in domains((2, 3)):
        yield TabularReward(domain)
        yield LinearReward(
            generator.standard_normal((2, 3, 2, 3)), generator.standard_normal((2, 3)), domain
        )
        yield BoundedIncentive(generator.standard_normal((2, 3)), -0.6, domain)
        yield FixedReward(generator.standard_normal((2, 3)), domain)
    P_sat = generator.dirichlet(np.ones(2), (2, 3))
    for domain in domains((2,)):
        yield PotentialShaping(generator.standard_normal((2, 3)), P_sat, 0.8, domain)


@pytest.mark.parametrize("reward", list(reward_maps()), ids=lambda reward: type(reward).__name__)
def test_bounds_of_rewards_hold(reward: Any) -> None:
    """Ranges, slopes and second slopes at random points."""
    kernel = FixedKernel(np.full((2, 3, 2), 0.5))
    given_ = constants.bounds(MdpFamily(reward, kernel, 0.8, np.full(2, 0.5), 0.0, Quadratic()))
    generator = np.random.default_rng(5)
    domain, widest = reward.domain, 0.0
    for _ in range(200):
        x = domain.project(3.0 * generator.standard_normal(domain.shape))
        widest = max(widest, float(np.ptp(reward(x))))
        jacobian = np.array([reward.pullback(x, g.reshape(2, 3)).ravel() for g in np.eye(6)])
        assert np.linalg.norm(jacobian, axis=1).max() <= given_.reward_slope + 1e-12
        other = domain.project(x + 1e-4 * generator.standard_normal(domain.shape))
        moved = np.array([reward.pullback(other, g.reshape(2, 3)).ravel() for g in np.eye(6)]) - jacobian
        apart = float(np.linalg.norm(other - x))
        assert np.linalg.norm(moved, axis=1).max() <= (given_.reward_curvature + 1e-6) * apart + 1e-15
    assert widest <= 2.0 * given_.half_range + 1e-12


@given(st.integers(0, 10_000))
@settings(max_examples=25, derandomize=True, deadline=None)
def test_bounds_of_kernels_hold(seed: int) -> None:
    generator = np.random.default_rng(seed)
    domain = Ball(np.zeros(2), 1.0)
    logits = generator.standard_normal((3, 2, 3))
    logits[0, 0, 1] = -np.inf
    features = generator.standard_normal((2, 3, 2, 3))
    # A feature of an impossible transition counts for nothing.
    features[:, 0, 0, 1] = 1e6
    kernel = SoftmaxKernel(logits, features, domain)
    family = MdpFamily(
        LinearReward(np.zeros((2, 3, 2)), np.zeros((3, 2)), domain),
        kernel,
        0.5,
        np.full(3, 1 / 3),
        0.0,
        Quadratic(),
    )
    given_ = constants.bounds(family)
    assert given_.kernel_slope < 10.0
    x, u = (generator.standard_normal(2) for _ in range(2))
    x, u = domain.project(x), u / np.linalg.norm(u)
    h = 1e-4
    ahead, here, behind = (kernel(x + k * h * u) for k in (1, 0, -1))
    assert np.abs(ahead - behind).sum(axis=-1).max() / (2.0 * h) <= given_.kernel_slope + 1e-6
    bend = np.abs(ahead - 2.0 * here + behind).sum(axis=-1).max() / h**2
    assert bend <= given_.kernel_curvature + 1e-5


def test_the_slope_of_a_kernel_is_attained() -> None:
    """Two next states at even odds with features 1 and -1: P changes by 1/2 up and 1/2 down."""
    kernel = SoftmaxKernel(np.zeros((2, 1, 2)), np.broadcast_to(UP, (1, 2, 1, 2)), INTERVAL)
    reward = FixedReward(np.zeros((2, 1)), INTERVAL)
    family = MdpFamily(reward, kernel, 0.5, np.full(2, 0.5), 0.0, Quadratic())
    assert constants.bounds(family).kernel_slope == pytest.approx(1.0)
    change = (kernel(np.full(1, 1e-6)) - kernel(np.full(1, -1e-6))) / 2e-6
    np.testing.assert_allclose(np.abs(change).sum(axis=-1), 1.0)


# Gradients at pairs of points.


def tangential(gradient: Array) -> Array:
    return np.asarray(gradient - gradient.mean(axis=-1, keepdims=True))


def families(seed: int) -> Iterator[MdpFamily]:
    """In general position, with plain and weighted quadratics and rewards of every kind."""
    generator = np.random.default_rng(seed)
    n_states, n_actions = (int(k) for k in generator.integers(1, 4, 2))
    gamma, tau = float(generator.choice([0.0, 0.3, 0.8])), float(generator.choice([0.1, 1.0]))
    weights = Weighted(Quadratic(), generator.uniform(0.5, 2.0, n_states))
    h = Quadratic() if seed % 2 else weights
    mdp = general_mdp(
        generator, n_states=n_states, n_actions=n_actions, gamma=gamma, tau=tau, regularizer=h
    )
    yield linear_family(generator, mdp)
    room = Box(mdp.r_sa - 0.3, mdp.r_sa + 0.5)
    yield tabular_family(generator, mdp, domain=room)
    box = Box(np.full(mdp.r_sa.shape, -1.0), np.full(mdp.r_sa.shape, 2.0))
    yield MdpFamily(
        BoundedIncentive(mdp.r_sa, 1.5, box), FixedKernel(mdp.P_sat), gamma, mdp.rho_s, tau, h
    )


def two_points(generator: np.random.Generator, domain: Domain, near: float) -> tuple[Array, Array]:
    x, far = (general_point(generator, domain) for _ in range(2))
    return x, domain.project(x + near * (far - x))


def two_policies(
    generator: np.random.Generator, shape: tuple[int, ...], near: float
) -> tuple[Array, Array]:
    pi, far = generator.dirichlet(np.full(shape[-1], 0.3), (2, *shape[:-1]))
    return pi, pi + near * (far - pi)


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0]))
@settings(max_examples=25, derandomize=True, deadline=None)
def test_blocks_of_the_value(seed: int, near: float) -> None:
    """Each block: how gradients in x and along the simplices change with x, and with the policy."""
    generator = np.random.default_rng(seed)
    for family in families(seed):
        L = constants.value_blocks(constants.bounds(family))
        x, x_ = two_points(generator, family.domain, near)
        shape = family.at(x).r_sa.shape
        pi, pi_ = two_policies(generator, shape, near)
        start, in_x, in_pi = (evaluate(family.at(at), p) for at, p in ((x, pi), (x_, pi), (x, pi_)))
        dx, dpi = float(np.linalg.norm(x - x_)), float(np.linalg.norm(pi - pi_))
        slack = 1e-12 / near * L.max()
        for moved, at, apart, column in ((in_x, x_, dx, 0), (in_pi, x, dpi, 1)):
            change = value_gradient_x(family, at, moved) - value_gradient_x(family, x, start)
            assert np.linalg.norm(change) <= L[0, column] * apart + slack
            flat = tangential(policy_gradient(moved) - policy_gradient(start))
            assert np.linalg.norm(flat) <= L[1, column] * apart + slack


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0]))
@settings(max_examples=25, derandomize=True, deadline=None)
def test_optimal_policies_and_penalties(seed: int, near: float) -> None:
    generator = np.random.default_rng(seed)
    for family in families(seed):
        given_ = constants.bounds(family)
        x, x_ = two_points(generator, family.domain, near)
        pi, pi_ = two_policies(generator, family.at(x).r_sa.shape, near)
        best, best_ = (policy_iteration(family.at(at)).pi_sa for at in (x, x_))
        dx = float(np.linalg.norm(x - x_))
        assert np.linalg.norm(best - best_) <= constants.response_slope(given_) * dx + 1e-12
        apart = float(np.hypot(dx, np.linalg.norm(pi - pi_)))
        for penalty, constant in (
            (value.PENALTY, constants.value_penalty_smoothness(given_)),
            (bellman.PENALTY, constants.bellman_penalty_smoothness(given_)),
        ):
            first, second = penalty.exact(family, x, (pi,)), penalty.exact(family, x_, (pi_,))
            flat = tangential(first.grad_policies[0] - second.grad_policies[0])
            change = np.hypot(np.linalg.norm(first.grad_x - second.grad_x), np.linalg.norm(flat))
            assert change <= constant * apart + 1e-10


@given(st.integers(0, 10_000), st.sampled_from([1e-3, 1.0]))
@settings(max_examples=15, derandomize=True, deadline=None)
def test_games(seed: int, near: float) -> None:
    """Values of one start state, best responses, and the Nikaido-Isoda function."""
    generator = np.random.default_rng(seed)
    n_states, n_first, n_second = (int(k) for k in generator.integers(1, 4, 3))
    game = general_game(
        generator,
        n_states=n_states,
        n_first=n_first,
        n_second=n_second,
        gamma=float(generator.choice([0.0, 0.6])),
        regularizer_1=Quadratic(),
        regularizer_2=Weighted(Quadratic(), generator.uniform(0.5, 2.0, n_states)),
    )
    family = general_game_family(generator, game)
    given_ = constants.bounds(family)
    x, x_ = two_points(generator, family.domain, near)
    first, first_ = two_policies(generator, (n_states, n_first), near)
    second, second_ = two_policies(generator, (n_states, n_second), near)
    apart = math.sqrt(
        sum(float(((a - b) ** 2).sum()) for a, b in ((x, x_), (first, first_), (second, second_)))
    )
    one, other = (
        nikaido_isoda.PENALTY.exact(family, at, policies)
        for at, policies in ((x, (first, second)), (x_, (first_, second_)))
    )
    flats = [tangential(a - b) for a, b in zip(one.grad_policies, other.grad_policies, strict=True)]
    squares = [float((part**2).sum()) for part in (one.grad_x - other.grad_x, *flats)]
    assert math.sqrt(sum(squares)) <= constants.nikaido_isoda_smoothness(given_) * apart + 1e-10
    at, at_ = family.at(x), family.at(x_)
    for player, responses in enumerate(
        (
            (at.for_player_1(second), at_.for_player_1(second_)),
            (at.for_player_2(first), at_.for_player_2(first_)),
        )
    ):
        moved = np.linalg.norm(np.subtract(*(policy_iteration(mdp).pi_sa for mdp in responses)))
        assert moved <= constants.response_slope(given_, player) * apart + 1e-12


def test_the_mixed_block_of_games_is_attained() -> None:
    """V = <p, R q> with R = +-1: the gradient in p moves with 2 |dq|, and the block is 2."""
    game = ZeroSumGame(
        np.ones((1, 2, 2, 1)), np.outer(UP, UP)[None], 0.0, np.ones(1), 0.0, Quadratic(), Quadratic()
    )
    reward, kernel = FixedReward(game.r_sab, INTERVAL), FixedKernel(np.ones((1, 4, 1)))
    family = GameFamily(reward, kernel, 0.0, np.ones(1), 0.0, Quadratic(), Quadratic())
    blocks = constants.value_blocks(constants.bounds(family))
    np.testing.assert_allclose(blocks[1:, 1:], [[0.0, 2.0], [2.0, 0.0]])
    e1, e2 = np.eye(2)[:, None]
    one, other = (evaluate_joint(game, e1, q) for q in (e1, e2))
    change = (one.q_sab @ e1[0] - other.q_sab @ e2[0])[0]
    assert np.linalg.norm(tangential(change)) == pytest.approx(2.0 * math.sqrt(2.0))


# What is refused.


def test_unbounded_rewards_are_refused() -> None:
    free = bandit(UP, np.zeros(2), domain=Euclidean((1,)))
    with pytest.raises(InputError, match="use a box or a ball"):
        constants.bounds(free)


def test_entropies_are_refused_unless_they_do_not_count() -> None:
    family = bandit(UP, np.zeros(2), tau=1.0)
    with pytest.raises(InputError, match="NegativeEntropy has no bound"):
        constants.bounds(replace(family, regularizer=NegativeEntropy()))
    constants.bounds(replace(family, regularizer=NegativeEntropy(), tau=0.0))


def test_maps_of_the_user_are_refused() -> None:
    family = bandit(UP, np.zeros(2))
    reward = UserMap(family.reward, family.reward.pullback, INTERVAL)
    with pytest.raises(InputError, match="give Bounds yourself"):
        constants.bounds(replace(family, reward=reward))
    kernel = UserKernel(lambda x: np.ones((1, 2, 1)), lambda x, g: np.zeros(1), INTERVAL)  # noqa: ARG005 - a kernel that is fixed
    with pytest.raises(InputError, match="UserKernel"):
        constants.bounds(replace(family, kernel=kernel))


def test_batches_are_refused() -> None:
    family = bandit(UP, np.zeros(2))
    with pytest.raises(InputError, match="one at a time"):
        constants.bounds(replace(family, rho_s=np.ones((3, 1))))


def test_tau_zero_has_no_slope_of_solutions() -> None:
    with pytest.raises(InputError, match="optimal policies jump"):
        constants.response_slope(constants.bounds(bandit(UP, np.zeros(2))))


def test_bounds_can_be_given() -> None:
    """A user's own numbers, for maps that are not known here."""
    player = Player(2, math.sqrt(2.0), 0.0, math.sqrt(0.5), 1.0, 1.0)
    mine = Bounds(1, 0.0, 3.0, 1.0, 1.0, 1.375, 1.0, 0.0, 0.0, 0.0, (player,))
    assert mine == constants.bounds(bandit(UP, np.zeros(2), tau=3.0))

"""Equilibria against known solutions, the players' own optima, and an iteration of one's own."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import LinearConstraint, brentq, minimize

from reference.domains import Euclidean
from reference.equilibrium import (
    Equilibrium,
    best_response_1,
    best_response_2,
    certified,
    nash_equilibrium,
)
from reference.errors import ConvergenceError, InputError
from reference.evaluation import evaluate_joint
from reference.optimality import policy_iteration
from reference.penalties.nikaido_isoda import PENALTY
from reference.problems.mdp import Mdp
from reference.problems.parametrizations import FixedKernel, TabularReward
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer, Weighted
from reference.resolvents import UNIT
from reference.validation import Array
from tests import strategies
from tests.reference import corner_cases

MODEST = settings(max_examples=25, deadline=None, derandomize=True)


def pairs(
    generator: np.random.Generator, sizes: tuple[int, int, int]
) -> list[tuple[Regularizer, Regularizer]]:
    """Every regulariser against every other."""
    n_states, n_first, n_second = sizes
    return [
        (first, second)
        for first in corner_cases.regularizers(generator, n_states, n_first)
        for second in corner_cases.regularizers(generator, n_states, n_second)
    ]


def assert_true(found: Equilibrium) -> None:
    """The certificate against best responses in 60 digits."""
    game = found.game
    high = corner_cases.exact_response_1(game, found.pi_sb)
    low = -corner_cases.exact_response_1(corner_cases.mirrored(game), found.pi_sa)
    exact_gap = float(sum(corner_cases.lifted(game.rho_s) * (high - low)))
    assert exact_gap <= found.ni_gap
    # The value of the game lies between the two.
    assert corner_cases.largest_error(found.v_s, high) <= found.error
    assert corner_cases.largest_error(found.v_s, low) <= found.error
    # Half of what float64 attains is lost to the bounds' own rounding; nothing else may be.
    assert found.ni_gap <= exact_gap + found.attainable


# Known solutions.


@pytest.mark.parametrize("tau", [1e-3, 0.1, 1.0, 1e3])
@pytest.mark.parametrize("gamma", [0.0, 0.9])
def test_matching_pennies(gamma: float, tau: float) -> None:
    generator = np.random.default_rng(41)
    r = np.tile([[1.0, -1.0], [-1.0, 1.0]], (3, 1, 1))
    P = np.repeat(np.repeat(generator.dirichlet(np.ones(3), (3, 1, 1)), 2, axis=1), 2, axis=2)
    for regularizer in (NegativeEntropy(), Quadratic()):
        game = ZeroSumGame(P, r, gamma, np.full(3, 1 / 3), tau, regularizer, regularizer)
        found = nash_equilibrium(game)
        # Strong convexity turns the gap of a stage game into a distance: gap >= tau m / 2 |.|^2.
        distance = np.sqrt(2.0 * 3.0 * float(found.ni_gap) / (tau * regularizer.strong_convexity))
        assert np.abs(found.pi_sa - 0.5).max() <= distance
        assert np.abs(found.pi_sb - 0.5).max() <= distance
        assert np.abs(found.v_s).max() <= found.error


def manufactured(
    generator: np.random.Generator, sizes: tuple[int, int, int], gamma: float, tau: float
) -> Callable[[Regularizer, Regularizer], tuple[ZeroSumGame, Array, Array, Array]]:
    """A game in general position that has given policies and values as its equilibrium."""
    n_states, n_first, n_second = sizes
    P = generator.dirichlet(np.full(n_states, 0.5), (n_states, n_first, n_second))
    rho = generator.dirichlet(np.ones(n_states))
    v = 10.0 * generator.standard_normal(n_states)
    base = generator.standard_normal(sizes)

    def policy(regularizer: Regularizer, n_actions: int) -> tuple[Array, Array]:
        """A policy, and payoffs in units of tau for which it is the only maximiser."""
        pi = generator.dirichlet(np.ones(n_actions), n_states)
        if isinstance(regularizer, Quadratic) and n_actions > 1:
            pi[::2, 0] = 0.0
            pi = pi / pi.sum(axis=-1, keepdims=True)
        payoff = np.array(regularizer.gradient(pi))
        payoff[pi == 0.0] -= 0.3
        return pi, payoff

    def build(first: Regularizer, second: Regularizer) -> tuple[ZeroSumGame, Array, Array, Array]:
        (p, x), (q, y) = policy(first, n_first), policy(second, n_second)
        # M q = tau x and -M' p = tau y up to constants, which rank-one terms arrange.
        left = tau * x - np.einsum("sab,sb->sa", base, q)
        right = -tau * y - np.einsum("sab,sa->sb", base, p)
        M = base + left[:, :, None] + right[:, None, :]
        value = np.einsum("sa,sab,sb->s", p, M, q)
        value = value - tau * corner_cases.regularization(first, np.maximum(p, 1e-300))
        value = value + tau * corner_cases.regularization(second, np.maximum(q, 1e-300))
        M = M + (v - value)[:, None, None]
        r = M - gamma * np.einsum("sabt,t->sab", P, v)
        return ZeroSumGame(P, r, gamma, rho, tau, first, second), p, q, v

    return build


@pytest.mark.parametrize("sizes", [(4, 3, 5), (3, 2, 2), (1, 4, 3)])
@pytest.mark.parametrize(("gamma", "tau"), [(0.0, 0.5), (0.9, 0.05), (0.99, 2.0)])
def test_manufactured_equilibria(sizes: tuple[int, int, int], gamma: float, tau: float) -> None:
    generator = np.random.default_rng(42)
    build = manufactured(generator, sizes, gamma, tau)
    for first, second in pairs(generator, sizes)[::2]:
        game, p, q, v = build(first, second)
        found = nash_equilibrium(game)
        # The reward is rounded, by a few units of v, and so then is the value.
        size = np.abs(game.r_sab).max() + np.abs(v).max() + 10.0 * tau
        rounded = 40.0 * UNIT * sum(sizes) * size / (1.0 - gamma)
        assert np.abs(found.v_s - v).max() <= found.error + rounded
        assert found.ni_gap <= found.attainable
        # Policies are Lipschitz in the stage games with constant 1 / (tau m).
        modulus = tau * min(first.strong_convexity, second.strong_convexity)
        allowed = 4.0 * np.sqrt(sum(sizes)) * (float(found.error) + rounded) / modulus
        assert np.abs(found.pi_sa - p).max() <= allowed
        assert np.abs(found.pi_sb - q).max() <= allowed


def test_one_stage_games_against_a_general_minimiser() -> None:
    generator = np.random.default_rng(43)
    sizes = (2, 3, 4)
    for first, second in pairs(generator, sizes)[::2]:
        tau = 0.3
        game = corner_cases.game(generator, sizes, 0.0, tau, first, second)
        found = nash_equilibrium(game)

        def excess(flat: Array, game: ZeroSumGame = game) -> float:
            """What player 1 secures against q, summed over the states."""
            q = flat.reshape(2, 4)
            payoff = np.einsum("sab,sb->sa", game.r_sab, q)
            best = game.regularizer_1.conjugate(payoff, game.tau)
            return float((best + game.tau * corner_cases.regularization(game.regularizer_2, q)).sum())

        solved = minimize(
            excess,
            np.full(8, 0.25),
            bounds=[(1e-9, 1.0)] * 8,
            constraints=LinearConstraint(np.kron(np.eye(2), np.ones(4)), 1.0, 1.0),
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 500},
        )
        # The minimiser's gradients are differences, of accuracy sqrt(u): its value errs by about u,
        # its point by about sqrt(u), and its bounds keep it 1e-9 inside.
        slack = 1e3 * np.sqrt(UNIT)
        assert float(found.v_s.sum()) - 2.0 * found.error <= solved.fun
        assert solved.fun <= float(found.v_s.sum()) + slack
        modulus = tau * second.strong_convexity
        distance = np.linalg.norm(solved.x.reshape(2, 4) - found.pi_sb)
        assert distance**2 <= 2.0 * (solved.fun - found.v_s.sum() + 2.0 * found.error + 1e-7) / modulus


@pytest.mark.parametrize("gamma", [0.5, 0.9])
def test_plain_shapley_iteration(gamma: float) -> None:
    # With two actions the stage game is a scalar equation: where player 2 is indifferent.
    generator = np.random.default_rng(44)
    for first, second in (
        (NegativeEntropy(), Quadratic()),
        (Quadratic(), NegativeEntropy()),
        (
            KLDivergence(generator.dirichlet(np.ones(3), 2)),
            Weighted(NegativeEntropy(), np.array([0.5, 2.0])),
        ),
    ):
        game = corner_cases.game(generator, (2, 3, 2), gamma, 0.2, first, second)

        def stage_value(M: Array, s: int, game: ZeroSumGame = game) -> float:
            def rows(vector: Array, n: int) -> Array:
                table = np.full((2, n), 1.0 / n)
                table[s] = vector
                return table

            def payoff(z: float) -> Array:
                return rows(M @ np.array([1.0 - z, z]), 3)

            def slope(z: float) -> float:
                p = game.regularizer_1.argmax(payoff(z), game.tau)[s]
                h = game.regularizer_2.gradient(rows(np.array([1.0 - z, z]), 2))[s]
                return float(p @ (M[:, 1] - M[:, 0]) + game.tau * (h[1] - h[0]))

            ends = (1e-12, 1.0 - 1e-12)
            z = next((e for e, sign in zip(ends, (1, -1), strict=True) if sign * slope(e) >= 0), None)
            z = brentq(slope, *ends, xtol=1e-15) if z is None else z
            best = game.regularizer_1.conjugate(payoff(z), game.tau)[s]
            h = game.regularizer_2.value(rows(np.array([1.0 - z, z]), 2))[s]
            return float(best + game.tau * h)

        v = np.zeros(2)
        sweeps = int(np.ceil(np.log(1e-9) / np.log(gamma)))
        for _ in range(sweeps):
            M = game.r_sab + gamma * np.einsum("sabt,t->sab", game.P_sabt, v)
            v = np.array([stage_value(M[s], s) for s in range(2)])
        found = nash_equilibrium(game)
        # What is left of the first error, and of the ends at 1e-12 in each sweep.
        tail = gamma**sweeps * np.abs(found.v_s).max()
        ends = 1e-12 * 100.0 * (np.abs(game.r_sab).max() + np.abs(found.v_s).max()) / (1.0 - gamma)
        assert np.abs(found.v_s - v).max() <= tail + ends + float(found.error)


# Structure.


@pytest.mark.parametrize("gamma", [0.0, 0.95])
def test_one_action_leaves_an_mdp(gamma: float) -> None:
    generator = np.random.default_rng(45)
    for first, second in pairs(generator, (4, 3, 1)):
        game = corner_cases.game(generator, (4, 3, 1), gamma, 0.3, first, second)
        one = np.ones((4, 1))
        alone = policy_iteration(
            Mdp(
                game.P_sabt[:, :, 0],
                game.r_sab[:, :, 0] + game.tau * second.value(one)[:, None],
                gamma,
                game.rho_s,
                game.tau,
                first,
            )
        )
        found = nash_equilibrium(game)
        assert np.abs(found.v_s - alone.v_s).max() <= found.error + alone.error
        assert (found.pi_sb == 1.0).all()
        mirror = nash_equilibrium(corner_cases.mirrored(game))
        assert np.abs(mirror.v_s + alone.v_s).max() <= mirror.error + alone.error
        assert (mirror.pi_sa == 1.0).all()


@MODEST
@given(strategies.games())
def test_certificate_symmetry_and_shift(game: ZeroSumGame) -> None:
    found = nash_equilibrium(game)
    assert found.ni_gap <= found.attainable
    assert_true(found)
    modulus = game.tau * min(game.regularizer_1.strong_convexity, game.regularizer_2.strong_convexity)

    swapped = nash_equilibrium(corner_cases.mirrored(game))
    assert np.abs(swapped.v_s + found.v_s).max() <= swapped.error + found.error
    close = 6.0 * float(swapped.error + found.error) / modulus
    assert np.abs(swapped.pi_sa - found.pi_sb).max() <= close
    assert np.abs(swapped.pi_sb - found.pi_sa).max() <= close

    shifted = nash_equilibrium(replace(game, r_sab=game.r_sab + 2.0))
    shift = 2.0 / (1.0 - game.gamma)
    assert (
        np.abs(shifted.v_s - found.v_s - shift).max() <= shifted.error + found.error + 1e-12 * shift**2
    )

    joint = evaluate_joint(game, found.pi_sa, found.pi_sb)
    assert np.abs(joint.v_s - found.v_s).max() <= joint.error + found.error
    assert found.value == pytest.approx(float(game.rho_s @ found.v_s))


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0 - 1e-6])
@pytest.mark.parametrize("tau", [0.0, 0.4])
def test_certificate_of_any_pair(gamma: float, tau: float) -> None:
    generator = np.random.default_rng(46)
    sizes = (4, 3, 2)
    for first, second in pairs(generator, sizes)[:: 1 if gamma < 1.0 - 1e-3 else 6]:
        game = corner_cases.game(generator, sizes, gamma, tau, first, second, kind="slow")
        found = certified(game, generator.dirichlet(np.ones(3), 4), generator.dirichlet(np.ones(2), 4))
        assert_true(found)


def test_gap_is_the_penalty() -> None:
    generator = np.random.default_rng(47)
    sizes = (4, 3, 2)
    for first, second in pairs(generator, sizes):
        game = corner_cases.game(generator, sizes, 0.9, 0.3, first, second)
        family = GameFamily(
            TabularReward(Euclidean(sizes)),
            FixedKernel(game.P_sabt.reshape(4, 6, 4)),
            game.gamma,
            game.rho_s,
            game.tau,
            first,
            second,
        )
        for pair in (
            (generator.dirichlet(np.ones(3), 4), generator.dirichlet(np.ones(2), 4)),
            (nash_equilibrium(game).pi_sa, nash_equilibrium(game).pi_sb),
        ):
            found = certified(game, *pair)
            responses = found.responses
            penalty = PENALTY.exact(family, game.r_sab, pair)
            # The penalty evaluates the greedy policies, which lose at most 2 gamma e / (1 - gamma).
            loss = 4.0 * sum(float(best.error) for best in responses) / (1.0 - game.gamma)
            assert float(penalty.value) <= found.ni_gap + loss
            assert found.ni_gap <= float(penalty.value) + float(found.attainable) + loss
            own_1, own_2 = best_response_1(game, pair[1]), best_response_2(game, pair[0])
            assert (own_1.v_s == responses[0].v_s).all()
            assert (own_2.v_s == responses[1].v_s).all()


# Hard cases.


@pytest.mark.parametrize(
    ("tau", "gamma"), [(1e-5, 0.9), (1e-3, 1.0 - 1e-6), (1e-2, 0.99), (1e3, 1.0 - 1e-6)]
)
def test_gap_is_what_float64_attains(tau: float, gamma: float) -> None:
    generator = np.random.default_rng(48)
    sizes = (6, 4, 3)
    kinds = itertools.cycle(("dense", "slow", "deterministic"))
    for kind, (first, second) in zip(kinds, pairs(generator, sizes)[::4], strict=False):
        game = corner_cases.game(generator, sizes, gamma, tau, first, second, kind=kind)
        # Few values make degenerate games, where supports change in several actions at once.
        for r in (game.r_sab, np.round(game.r_sab)):
            found = nash_equilibrium(replace(game, r_sab=r))
            assert found.ni_gap <= found.attainable


def test_truth_in_hard_cases() -> None:
    generator = np.random.default_rng(49)
    sizes = (3, 4, 3)
    for gamma, tau in ((0.99, 1e-4), (1.0 - 1e-6, 0.1), (0.9, 1e3)):
        for first, second in pairs(generator, sizes)[::3]:
            assert_true(nash_equilibrium(corner_cases.game(generator, sizes, gamma, tau, first, second)))


def test_stage_games_with_copies_of_actions() -> None:
    generator = np.random.default_rng(50)
    game = corner_cases.game(generator, (3, 2, 2), 0.9, 0.01, Quadratic(), Quadratic())
    doubled = replace(
        game,
        P_sabt=np.repeat(np.repeat(game.P_sabt, 2, axis=1), 2, axis=2),
        r_sab=np.repeat(np.repeat(game.r_sab, 2, axis=1), 2, axis=2),
    )
    found = nash_equilibrium(doubled)
    assert found.ni_gap <= found.attainable
    close = 8.0 * float(found.error) / game.tau
    assert np.abs(found.pi_sa[:, ::2] - found.pi_sa[:, 1::2]).max() <= close
    assert np.abs(found.pi_sb[:, ::2] - found.pi_sb[:, 1::2]).max() <= close


# Batches and starts.


def test_batches_agree_with_the_loop() -> None:
    generator = np.random.default_rng(51)
    sizes = (4, 3, 2)
    reference = generator.dirichlet(np.ones(3), (4, 4))
    games = [
        corner_cases.game(generator, sizes, 0.9, 0.1, KLDivergence(m), Quadratic(), kind=kind)
        for m, kind in zip(reference, ("dense", "slow", "corridor", "dense"), strict=True)
    ]
    games[-1] = replace(games[-1], r_sab=1e-3 * games[-1].r_sab)
    batch = ZeroSumGame(
        np.stack([g.P_sabt for g in games]),
        np.stack([g.r_sab for g in games]),
        0.9,
        games[0].rho_s,
        0.1,
        KLDivergence(reference),
        Quadratic(),
    )
    for tolerance in (None, 1e-3):
        together = nash_equilibrium(batch, tolerance=tolerance)
        assert together.ni_gap.shape == (4,)
        for i, game in enumerate(games):
            alone = nash_equilibrium(game)
            assert np.abs(together.v_s[i] - alone.v_s).max() <= together.error[i] + alone.error
            goal = 1.01 * alone.attainable if tolerance is None else tolerance
            assert together.ni_gap[i] <= goal
            same = certified(replace(game, rho_s=games[0].rho_s), together.pi_sa[i], together.pi_sb[i])
            assert abs(same.ni_gap - together.ni_gap[i]) <= same.attainable


def test_member_that_meets_the_tolerance_stays() -> None:
    generator = np.random.default_rng(55)
    easy, hard = (
        corner_cases.game(generator, (8, 3, 3), 0.95, 0.5, NegativeEntropy(), Quadratic(), kind=kind)
        for kind in ("dense", "deterministic")
    )
    hard = replace(hard, r_sab=100.0 * hard.r_sab)
    batch = ZeroSumGame(
        np.stack([easy.P_sabt, hard.P_sabt]),
        np.stack([easy.r_sab, hard.r_sab]),
        0.95,
        np.stack([easy.rho_s, hard.rho_s]),
        0.5,
        NegativeEntropy(),
        Quadratic(),
    )
    together, alone = nash_equilibrium(batch, tolerance=0.1), nash_equilibrium(easy, tolerance=0.1)
    assert alone.iterations < together.iterations
    assert together.ni_gap[0] == pytest.approx(alone.ni_gap, rel=1e-6)
    assert together.v_s[0] == pytest.approx(alone.v_s, rel=1e-9)


def test_starts_and_tolerances() -> None:
    generator = np.random.default_rng(52)
    game = corner_cases.game(
        generator, (20, 3, 4), 0.95, 0.05, NegativeEntropy(), NegativeEntropy(), kind="deterministic"
    )
    cold = nash_equilibrium(game)
    warm = nash_equilibrium(game, start_s=cold.v_s)
    assert warm.iterations == 1 < cold.iterations
    loose = nash_equilibrium(game, tolerance=1.0)
    assert loose.iterations < cold.iterations
    assert cold.ni_gap < loose.ni_gap <= 1.0
    for found in (warm, loose):
        assert np.abs(found.v_s - cold.v_s).max() <= found.error + cold.error


# What is refused.


def test_refusals() -> None:
    generator = np.random.default_rng(53)
    game = corner_cases.game(generator, (3, 2, 4), 0.9, 0.1, Quadratic(), NegativeEntropy())
    with pytest.raises(InputError, match="need not be unique: use tau > 0"):
        nash_equilibrium(replace(game, tau=0.0))
    with pytest.raises(ConvergenceError, match=r"gap of at most .* \(float64 attains"):
        nash_equilibrium(game, tolerance=1e-30)
    with pytest.raises(ConvergenceError, match="after 1 iterations"):
        nash_equilibrium(game, max_iterations=1)
    for tau in (1e-15, 1e-300):
        with pytest.raises(ConvergenceError, match="rounding hides the solution: raise tau"):
            nash_equilibrium(replace(game, tau=tau))
    with pytest.raises(InputError, match="tolerance"):
        nash_equilibrium(game, tolerance=-1.0)
    with pytest.raises(InputError, match="max_iterations"):
        nash_equilibrium(game, max_iterations=0)
    with pytest.raises(InputError, match=r"start_s has shape \(2,\)"):
        nash_equilibrium(game, start_s=np.zeros(2))
    with pytest.raises(InputError, match="pi_sb has shape"):
        best_response_1(game, np.full((3, 2), 0.5))
    with pytest.raises(InputError, match=r"pi_sa\[0\] sums to 2"):
        best_response_2(game, np.ones((3, 2)))


def test_other_regularizers_are_refused() -> None:
    class Doubled:
        """Half the squared norm, twice: all that a regulariser must have."""

        base = Quadratic()
        strong_convexity = smoothness = 2.0

        def value(self, pi_sa: Array) -> Array:
            return 2.0 * self.base.value(pi_sa)

        def gradient(self, pi_sa: Array) -> Array:
            return 2.0 * self.base.gradient(pi_sa)

        def argmax(self, q_sa: Array, tau: float | Array) -> Array:
            return self.base.argmax(q_sa, 2.0 * tau)

        def conjugate(self, q_sa: Array, tau: float | Array) -> Array:
            return self.base.conjugate(q_sa, 2.0 * tau)

        def bound(self, n_actions: int) -> float:
            return 2.0 * self.base.bound(n_actions)

    generator = np.random.default_rng(54)
    game = corner_cases.game(generator, (3, 2, 4), 0.9, 0.1, Doubled(), NegativeEntropy())
    with pytest.raises(InputError, match="no second derivative is known of Doubled"):
        nash_equilibrium(game)
    # Best responses need none.
    assert certified(game, np.full((3, 2), 0.5), np.full((3, 4), 0.25)).ni_gap > 0.0

"""Values, occupancies and gradients against series, complex steps and identities."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from flint import arb, arb_mat, ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from reference.domains import Euclidean
from reference.errors import InputError, NotDifferentiableError
from reference.evaluation import (
    JointEvaluation,
    PolicyEvaluation,
    evaluate,
    evaluate_joint,
    joint_backup,
    joint_policy_gradients,
    parameter_policy_gradient,
    policy_gradient,
    q_gradient_x,
    value_gradient_x,
)
from reference.policies import DirectPolicy, SoftmaxPolicy
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import LinearReward, SoftmaxKernel
from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer
from reference.resolvents import UNIT, discounted_sum, resolvent
from reference.validation import Array
from tests import strategies
from tests.reference import corner_cases

Numbers = npt.NDArray[Any]
MODEST = settings(max_examples=60, deadline=None, derandomize=True)
ULPS = 16.0
"""Roundings per operation that a tolerance allows, where the operations are counted only roughly."""


def horizon(problem: Mdp | ZeroSumGame) -> float:
    return 1.0 / (1.0 - problem.gamma)


def digits(problem: Mdp | ZeroSumGame) -> float:
    """Relative rounding of one solve: unit roundoff x operations x condition of I - gamma P."""
    actions = np.sum(problem.n_actions)
    return float(ULPS * UNIT * (problem.n_states + actions + 4) * 2.0 * horizon(problem))


# The definition, in plain NumPy and over complex numbers.


def plain_value(mdp: Mdp, pi: Numbers, r: Numbers | None = None, P: Numbers | None = None) -> Numbers:
    """V from one dense solve."""
    r, P = mdp.r_sa if r is None else r, mdp.P_sat if P is None else P
    c = (pi * r).sum(axis=-1)
    if mdp.tau > 0.0:
        c = c - mdp.tau * corner_cases.regularization(mdp.regularizer, pi)
    chain = np.einsum("sa,sat->st", pi, P)
    return np.asarray(np.linalg.solve(np.eye(mdp.n_states) - mdp.gamma * chain, c))


def start_value(mdp: Mdp, pi: Numbers) -> Any:
    return (mdp.rho_s * plain_value(mdp, pi)).sum()


def plain_joint_value(game: ZeroSumGame, pi_1: Numbers, pi_2: Numbers) -> Numbers:
    c = np.einsum("sa,sb,sab->s", pi_1, pi_2, game.r_sab)
    c = c - game.tau * corner_cases.regularization(game.regularizer_1, pi_1)
    c = c + game.tau * corner_cases.regularization(game.regularizer_2, pi_2)
    chain = np.einsum("sa,sb,sabt->st", pi_1, pi_2, game.P_sabt)
    return np.asarray(np.linalg.solve(np.eye(game.n_states) - game.gamma * chain, c))


def complex_step(function: Callable[[Numbers], Any], x: Array) -> Array:
    """Gradient of a real analytic function, without differences: Im f(x + ih e) / h."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        z = x.astype(complex)
        z[index] += 1e-30j
        gradient[index] = function(z).imag / 1e-30
    return gradient


# Values.


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0 - 1e-6])
@pytest.mark.parametrize("kind", corner_cases.KINDS)
def test_value_is_the_sum_of_discounted_rewards(kind: str, gamma: float) -> None:
    generator = np.random.default_rng(1)
    for regularizer in corner_cases.regularizers(generator, 6, 3):
        mdp = corner_cases.mdp(kind, generator, 6, 3, gamma, 0.7, regularizer)
        pi = generator.dirichlet(np.ones(3), 6)
        c = (pi * mdp.r_sa).sum(axis=-1) - mdp.tau * corner_cases.regularization(regularizer, pi)
        step = gamma * np.einsum("sa,sat->st", pi, mdp.P_sat)
        total, terms = c, 1
        # Doubling: the first 2n terms are the first n, and gamma^n P^n times them.
        while gamma**terms > UNIT:
            total, step, terms = total + step @ total, step @ step, 2 * terms
        tail = gamma**terms * horizon(mdp) * np.abs(c).max()
        found = evaluate(mdp, pi)
        rounding = digits(mdp) * np.abs(found.v_s).max()
        assert np.abs(found.v_s - total).max() <= tail + rounding + float(found.error)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 0.99, 1.0 - 1e-6, 1.0 - 1e-9])
@pytest.mark.parametrize("kind", corner_cases.KINDS)
def test_error_bound_holds_and_is_near_what_float64_attains(kind: str, gamma: float) -> None:
    generator = np.random.default_rng(2)
    for n_states, n_actions in ((1, 1), (1, 3), (5, 1), (7, 3)):
        mdp = corner_cases.mdp(kind, generator, n_states, n_actions, gamma, 0.4, Quadratic())
        pi = generator.dirichlet(np.full(n_actions, 0.5), n_states)
        found = evaluate(mdp, pi)
        with ctx.workdps(60):
            exact_pi = corner_cases.lifted(pi)
            c = (exact_pi * corner_cases.lifted(mdp.r_sa)).sum(axis=1)
            c = c - arb(mdp.tau) * (exact_pi * exact_pi).sum(axis=1) / 2
            chain = (exact_pi[:, :, None] * corner_cases.lifted(mdp.P_sat)).sum(axis=1)
            system = corner_cases.lifted(np.eye(n_states)) - arb(gamma) * chain
            v = arb_mat(n_states, n_states, list(system.flat)).solve(arb_mat(n_states, 1, list(c)))
            error = corner_cases.largest_error(found.v_s, np.array(v.entries(), dtype=object))
        assert error <= found.error
        size = np.abs(mdp.r_sa).max() + 0.5 * mdp.tau + np.abs(found.v_s).max()
        operations = n_states + (n_actions + 4) ** 2
        assert found.error <= 4.0 * UNIT * operations * size * horizon(mdp)


@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0 - 1e-6])
def test_error_bound_of_a_pair_holds(gamma: float) -> None:
    generator = np.random.default_rng(2)
    for kind in corner_cases.KINDS:
        game = corner_cases.game(generator, (5, 3, 2), gamma, 0.4, Quadratic(), Quadratic(), kind=kind)
        pi_1, pi_2 = generator.dirichlet(np.ones(3), 5), generator.dirichlet(np.ones(2), 5)
        found = evaluate_joint(game, pi_1, pi_2)
        with ctx.workdps(60):
            p, q = corner_cases.lifted(pi_1), corner_cases.lifted(pi_2)
            joint = p[:, :, None] * q[:, None, :]
            bonus = arb(game.tau) * ((q * q).sum(axis=1) - (p * p).sum(axis=1)) / 2
            c = (joint * corner_cases.lifted(game.r_sab)).sum(axis=(1, 2)) + bonus
            chain = (joint[..., None] * corner_cases.lifted(game.P_sabt)).sum(axis=(1, 2))
            system = corner_cases.lifted(np.eye(5)) - arb(gamma) * chain
            v = arb_mat(5, 5, list(system.flat)).solve(arb_mat(5, 1, list(c)))
            error = corner_cases.largest_error(found.v_s, np.array(v.entries(), dtype=object))
        assert error <= found.error
        size = np.abs(game.r_sab).max() + game.tau + np.abs(found.v_s).max()
        assert found.error <= 4.0 * UNIT * (5 + (6 + 4) ** 2) * size * horizon(game)


@MODEST
@given(strategies.mdps(), st.data())
def test_advantage_has_mean_zero_and_difference_of_values(mdp: Mdp, data: st.DataObject) -> None:
    draw = strategies.policies(mdp.n_states, mdp.n_actions)
    found, other = evaluate(mdp, data.draw(draw)), evaluate(mdp, data.draw(draw))
    scale = mdp.reward_bound + np.abs(found.v_s).max()
    tolerance = digits(mdp) * scale
    assert np.abs((found.pi_sa * found.advantage_sa).sum(axis=-1)).max() <= tolerance
    # V' - V = M' ( <pi', Q> - tau h(pi') - V ).
    gain_s = (other.pi_sa * found.q_sa).sum(axis=-1) - mdp.tau * mdp.regularizer.value(other.pi_sa)
    difference = (other.visits(mdp.rho_s) * (gain_s - found.v_s)).sum()
    assert abs(other.value - found.value - difference) <= 2.0 * horizon(mdp) * tolerance


@MODEST
@given(strategies.mdps(positive_start=False), st.data())
def test_occupancy_is_the_discounted_sum_of_state_distributions(mdp: Mdp, data: st.DataObject) -> None:
    pi = data.draw(strategies.policies(mdp.n_states, mdp.n_actions))
    signed = data.draw(strategies.tables((mdp.n_states,)))
    found = evaluate(mdp, pi)
    chain = np.einsum("sa,sat->st", pi, mdp.P_sat)
    for mu in (mdp.rho_s, signed):
        term, total = (1.0 - mdp.gamma) * mu, np.zeros(mdp.n_states)
        while np.abs(term).sum() > UNIT * UNIT:
            total, term = total + term, mdp.gamma * term @ chain
        tolerance = digits(mdp) * np.abs(mu).sum()
        assert np.abs(found.occupancy(mu) - total).max() <= tolerance
        assert abs(found.occupancy(mu).sum() - mu.sum()) <= tolerance
        # Both sides of the resolvent agree on the value.
        value = (mu * found.v_s).sum()
        c_s = (pi * mdp.r_sa).sum(axis=-1) - mdp.tau * mdp.regularizer.value(pi)
        assert abs((found.visits(mu) * c_s).sum() - value) <= horizon(mdp) * tolerance * mdp.reward_bound


# Gradients.


@MODEST
@given(strategies.mdps(positive_start=False), st.data())
def test_policy_gradient(mdp: Mdp, data: st.DataObject) -> None:
    pi = data.draw(strategies.policies(mdp.n_states, mdp.n_actions, interior=True))
    found = evaluate(mdp, pi)
    expected = complex_step(partial(start_value, mdp), pi)
    slope = np.abs(found.q_sa).max() + mdp.tau * np.abs(mdp.regularizer.gradient(pi)).max()
    tolerance = digits(mdp) * horizon(mdp) * (slope + mdp.reward_bound)
    assert np.abs(policy_gradient(found) - expected).max() <= tolerance
    direct = parameter_policy_gradient(found, DirectPolicy(pi.shape), pi)
    assert np.abs(direct - expected).max() <= tolerance

    def of_logits(z: Numbers) -> Any:
        weights = np.exp(z)
        return start_value(mdp, weights / weights.sum(axis=-1, keepdims=True))

    logits = np.log(pi)
    through_softmax = parameter_policy_gradient(found, SoftmaxPolicy(pi.shape), logits)
    assert np.abs(through_softmax - complex_step(of_logits, logits)).max() <= 2.0 * tolerance


def test_policy_gradient_on_the_boundary() -> None:
    generator = np.random.default_rng(3)
    vertices = np.eye(3)[generator.integers(0, 3, 4)]
    regularizers: list[tuple[float, Regularizer]] = [(0.0, NegativeEntropy()), (0.5, Quadratic())]
    for tau, regularizer in regularizers:
        mdp = corner_cases.mdp("dense", generator, 4, 3, 0.9, tau, regularizer)
        found = evaluate(mdp, vertices)
        expected = complex_step(partial(start_value, mdp), vertices)
        tolerance = digits(mdp) * horizon(mdp) * (np.abs(found.q_sa).max() + mdp.reward_bound)
        assert np.abs(policy_gradient(found) - expected).max() <= tolerance
    entropic = corner_cases.mdp("dense", generator, 4, 3, 0.9, 0.5, NegativeEntropy())
    found = evaluate(entropic, vertices)
    with pytest.raises(NotDifferentiableError, match="no gradient on the boundary"):
        parameter_policy_gradient(found, DirectPolicy((4, 3)), vertices)
    # A limit of the softmax: the logit of an action that is never taken does not matter.
    logits = np.where(vertices > 0.0, 0.0, -1000.0)
    assert np.isfinite(parameter_policy_gradient(found, SoftmaxPolicy((4, 3)), logits)).all()


def test_state_without_visits_has_no_gradient() -> None:
    P = np.zeros((3, 2, 3))
    P[[0, 1], :, [1, 0]] = 1.0
    P[2, :, 0] = 1.0
    r = np.array([[1.0, 0.5], [0.0, 2.0], [3.0, 1.0]])
    mdp = Mdp(P, r, 0.9, np.array([0.5, 0.5, 0.0]), 1.0, NegativeEntropy())
    gradient = policy_gradient(evaluate(mdp, np.array([[0.5, 0.5], [0.2, 0.8], [1.0, 0.0]])))
    assert (gradient[2] == 0.0).all()
    assert (gradient[:2] != 0.0).all()


@pytest.fixture
def family() -> MdpFamily:
    """Rewards and transitions in general position that share x; some transitions impossible."""
    generator = np.random.default_rng(4)
    logits = np.where(generator.random((4, 3, 4)) < 0.2, -np.inf, generator.standard_normal((4, 3, 4)))
    logits[..., 0] = 0.0
    return MdpFamily(
        LinearReward(
            generator.standard_normal((2, 4, 3)), generator.standard_normal((4, 3)), Euclidean((2,))
        ),
        SoftmaxKernel(logits, generator.standard_normal((2, 4, 3, 4)), Euclidean((2,))),
        0.9,
        np.array([0.1, 0.2, 0.3, 0.4]),
        0.6,
        KLDivergence(generator.dirichlet(np.ones(3), 4)),
    )


def plain_parts(family: MdpFamily, x: Numbers) -> tuple[Numbers, Numbers]:
    """Reward and transitions at a complex x."""
    reward, kernel = family.reward, family.kernel
    assert isinstance(reward, LinearReward)
    assert isinstance(kernel, SoftmaxKernel)
    weights = np.exp(kernel.logits_sat + np.tensordot(x, kernel.features_isat, 1))
    r = reward.offset_sa + np.tensordot(x, reward.features_isa, 1)
    return r, weights / weights.sum(axis=-1, keepdims=True)


def test_gradients_in_x(family: MdpFamily) -> None:
    generator = np.random.default_rng(5)
    x, pi = np.array([0.3, -0.8]), generator.dirichlet(np.ones(3), 4)
    mdp = family.at(x)
    found = evaluate(mdp, pi)
    w = generator.standard_normal((4, 3))

    def value(z: Numbers) -> Any:
        return (mdp.rho_s * plain_value(mdp, pi, *plain_parts(family, z))).sum()

    def weighted_q(z: Numbers) -> Any:
        r, P = plain_parts(family, z)
        return (w * (r + mdp.gamma * P @ plain_value(mdp, pi, r, P))).sum()

    kernel = family.kernel
    assert isinstance(kernel, SoftmaxKernel)
    slope = 4.0 + 2.0 * np.abs(kernel.features_isat).max() * np.abs(found.v_s).max()
    tolerance = digits(mdp) * horizon(mdp) * slope
    error = value_gradient_x(family, x, found) - complex_step(value, x)
    assert np.abs(error).max() <= tolerance
    error = q_gradient_x(family, x, found, w) - complex_step(weighted_q, x)
    assert np.abs(error).max() <= tolerance * np.abs(w).sum()
    with pytest.raises(InputError, match=r"w_sa has shape \(3, 4\)"):
        q_gradient_x(family, x, found, w.T)


# Two players.


def joint_tolerance(found: JointEvaluation) -> float:
    game = found.game
    bonus = game.tau * (game.regularizer_1.bound(8) + game.regularizer_2.bound(8))
    scale = float(np.abs(game.r_sab).max() + bonus + np.abs(found.v_s).max())
    return digits(game) * scale


@MODEST
@given(strategies.games(), st.data())
def test_joint_evaluation(game: ZeroSumGame, data: st.DataObject) -> None:
    n_first, n_second = game.n_actions
    pi_1 = data.draw(strategies.policies(game.n_states, n_first, interior=True))
    pi_2 = data.draw(strategies.policies(game.n_states, n_second, interior=True))
    found = evaluate_joint(game, pi_1, pi_2)
    tolerance = joint_tolerance(found)
    expected = plain_joint_value(game, pi_1, pi_2)
    assert np.abs(found.v_s - expected).max() <= min(tolerance, float(found.error) + tolerance / 4.0)
    # Each player's own MDP has the same value, up to the sign.
    assert np.abs(evaluate(game.for_player_1(pi_2), pi_1).v_s - found.v_s).max() <= tolerance
    assert np.abs(evaluate(game.for_player_2(pi_1), pi_2).v_s + found.v_s).max() <= tolerance
    q = game.r_sab + game.gamma * np.einsum("sabt,t->sab", game.P_sabt, expected)
    assert np.abs(found.q_sab - q).max() <= 2.0 * tolerance
    mass = found.occupancy(game.rho_s).sum()
    assert abs(mass - 1.0) <= digits(game)
    entropy = game.tau * np.abs(game.regularizer_1.gradient(pi_1)).max()
    entropy = entropy + game.tau * np.abs(game.regularizer_2.gradient(pi_2)).max()
    allowed = horizon(game) * (tolerance + digits(game) * entropy)
    gradients = joint_policy_gradients(found, found.q_sab)
    first = complex_step(lambda z: (game.rho_s * plain_joint_value(game, z, pi_2)).sum(), pi_1)
    second = complex_step(lambda z: (game.rho_s * plain_joint_value(game, pi_1, z)).sum(), pi_2)
    assert np.abs(gradients[0] - first).max() <= allowed
    assert np.abs(gradients[1] - second).max() <= allowed


def test_joint_policy_gradients_without_regularization() -> None:
    generator = np.random.default_rng(6)
    game = corner_cases.game(generator, (3, 2, 4), 0.8, 0.0, NegativeEntropy(), NegativeEntropy())
    pi_1, pi_2 = np.eye(2)[[0, 1, 1]], np.eye(4)[[3, 0, 2]]
    found = evaluate_joint(game, pi_1, pi_2)
    gradient_1, gradient_2 = joint_policy_gradients(found, found.q_sab)
    visits = found.visits(game.rho_s)
    assert gradient_1 == pytest.approx(
        np.einsum("s,sab,sb->sa", visits, found.q_sab, pi_2), rel=digits(game)
    )
    assert gradient_2 == pytest.approx(
        np.einsum("s,sab,sa->sb", visits, found.q_sab, pi_1), rel=digits(game)
    )


# Batches.


def stacked(mdps: list[Mdp], regularizer: Regularizer, **shared: Array) -> Mdp:
    parts = {name: np.stack([getattr(m, name) for m in mdps]) for name in ("P_sat", "r_sa", "rho_s")}
    parts |= shared
    return Mdp(gamma=mdps[0].gamma, tau=mdps[0].tau, regularizer=regularizer, **parts)


def assert_alike(batch: PolicyEvaluation, alone: list[PolicyEvaluation]) -> None:
    scale = max(one.mdp.reward_bound + float(np.abs(one.v_s).max()) for one in alone)
    tolerance = digits(batch.mdp) * scale
    for name, allowed in (
        ("v_s", tolerance),
        ("q_sa", tolerance),
        ("advantage_sa", 2.0 * tolerance),
        ("value", tolerance),
        ("modulus", 8 * UNIT * batch.mdp.n_states),
    ):
        together = getattr(batch, name)
        assert np.abs(together - np.stack([getattr(one, name) for one in alone])).max() <= allowed, name
    assert (batch.error <= 2.0 * np.stack([one.error for one in alone]) + tolerance).all()
    expected = np.stack([policy_gradient(one) for one in alone])
    gradient = policy_gradient(batch)
    assert gradient.shape == expected.shape
    assert np.abs(gradient - expected).max() <= 2.0 * horizon(batch.mdp) * tolerance


def test_batches_agree_with_the_loop() -> None:
    generator = np.random.default_rng(7)
    kinds = ("dense", "slow", "corridor", "deterministic")
    mdps = [corner_cases.mdp(k, generator, 4, 3, 0.95, 0.3, NegativeEntropy()) for k in kinds]
    pi = generator.dirichlet(np.ones(3), (4, 4))
    alone = [evaluate(m, p) for m, p in zip(mdps, pi, strict=True)]
    assert_alike(evaluate(stacked(mdps, NegativeEntropy()), pi), alone)
    two_axes = evaluate(stacked(mdps, NegativeEntropy()), np.stack([pi, pi[::-1]]))
    assert np.abs(two_axes.v_s[0] - evaluate(stacked(mdps, NegativeEntropy()), pi).v_s).max() == 0.0

    # Parts without batch axes serve every member; there are as many members as states on purpose.
    rho = generator.dirichlet(np.ones(4))
    one_start = evaluate(stacked(mdps, NegativeEntropy(), rho_s=rho), pi)
    for i, m in enumerate(mdps):
        single = evaluate(Mdp(m.P_sat, m.r_sa, m.gamma, rho, m.tau, m.regularizer), pi[i])
        assert one_start.visits(rho)[i] == pytest.approx(single.visits(rho), rel=digits(m))
    P = mdps[0].P_sat
    one_chain = evaluate(stacked(mdps, NegativeEntropy(), P_sat=P), pi[0])
    assert_alike(
        one_chain,
        [evaluate(Mdp(P, m.r_sa, m.gamma, m.rho_s, m.tau, m.regularizer), pi[0]) for m in mdps],
    )


def test_joint_batches_agree_with_the_loop() -> None:
    generator = np.random.default_rng(8)
    games = [
        corner_cases.game(generator, (3, 2, 4), 0.9, 0.5, NegativeEntropy(), Quadratic())
        for _ in range(3)
    ]
    batch = ZeroSumGame(
        np.stack([g.P_sabt for g in games]),
        np.stack([g.r_sab for g in games]),
        0.9,
        games[0].rho_s,
        0.5,
        NegativeEntropy(),
        Quadratic(),
    )
    pi_1, pi_2 = generator.dirichlet(np.ones(2), (3, 3)), generator.dirichlet(np.ones(4), (3, 3))
    together = evaluate_joint(batch, pi_1, pi_2)
    gradients = joint_policy_gradients(together, together.q_sab)
    listed = joint_backup(batch, np.stack([together.v_s, 2.0 * together.v_s], axis=-2))
    assert listed.shape == (3, 2, 3, 2, 4)
    for i, game in enumerate(games):
        alone = evaluate_joint(game, pi_1[i], pi_2[i])
        tolerance = joint_tolerance(alone)
        assert np.abs(together.v_s[i] - alone.v_s).max() <= tolerance
        assert np.abs(listed[i, 0] - alone.q_sab).max() <= tolerance
        assert np.abs(listed[i, 1] - joint_backup(game, 2.0 * alone.v_s[None])[0]).max() <= 4 * tolerance
        visits = alone.visits(games[0].rho_s)
        assert together.visits(games[0].rho_s)[i] == pytest.approx(visits, rel=digits(game))
        alone = evaluate_joint(
            ZeroSumGame(
                game.P_sabt, game.r_sab, 0.9, games[0].rho_s, 0.5, NegativeEntropy(), Quadratic()
            ),
            pi_1[i],
            pi_2[i],
        )
        for ours, single in zip(gradients, joint_policy_gradients(alone, alone.q_sab), strict=True):
            assert np.abs(ours[i] - single).max() <= horizon(game) * tolerance * 8.0


def test_resolvent_takes_lists_of_vectors() -> None:
    generator = np.random.default_rng(9)
    chain = generator.dirichlet(np.ones(5), 5)
    right = generator.standard_normal((2, 5, 5))
    system = np.eye(5) - 0.9 * chain
    tolerance = ULPS * UNIT * 5 * 20.0 * 10.0 * 4.0
    for solver in (resolvent(chain, 0.9), resolvent(np.stack([chain, chain])[:, None], 0.9)):
        assert np.abs(solver.solve(right) @ system.T - right).max() <= tolerance
        assert np.abs(solver.solve_adjoint(right) @ system - right).max() <= tolerance
    found, mixing = discounted_sum(chain, 0.9, right[0])
    assert np.abs(found @ system.T - right[0]).max() <= tolerance
    assert not mixing


# What is refused.


def test_discount_within_rounding_of_one_is_refused() -> None:
    P, one = np.full((2, 1, 2), 0.5), np.ones((2, 1))
    mdp = Mdp(P, one, float(np.nextafter(1.0, 0.0)), np.array([1.0, 0.0]), 0.0, Quadratic())
    with pytest.raises(InputError, match="lower gamma"):
        evaluate(mdp, np.ones((2, 1)))


def test_policies_are_checked() -> None:
    generator = np.random.default_rng(10)
    mdp = corner_cases.mdp("dense", generator, 3, 2, 0.9, 0.1, Quadratic())
    game = corner_cases.game(generator, (3, 2, 4), 0.9, 0.1, Quadratic(), Quadratic())
    uniform = np.full((3, 2), 0.5)
    with pytest.raises(InputError, match=r"pi_sa has shape \(2, 3\)"):
        evaluate(mdp, uniform.T)
    with pytest.raises(InputError, match=r"pi_sa\[0\] sums to 0.5"):
        evaluate(mdp, 0.5 * uniform)
    with pytest.raises(InputError, match="pi_sb has shape"):
        evaluate_joint(game, uniform, uniform)
    with pytest.raises(InputError, match=r"pi_sa\[0, 0\] is -1"):
        evaluate_joint(game, np.tile([-1.0, 2.0], (3, 1)), softmax(np.zeros((3, 4)), axis=-1))

"""Optimal values against 60 digits, a linear program and a numerical minimiser; the bounds must hold."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from scipy.optimize import LinearConstraint, linprog, minimize

from reference.errors import ConvergenceError, InputError, NotDifferentiableError
from reference.evaluation import evaluate
from reference.optimality import (
    MirrorState,
    Optimum,
    certified,
    greedy,
    mirror_descent,
    mirror_iterates,
    mirror_start,
    mirror_step,
    optimal_backup,
    policy_iteration,
    value_iteration,
)
from reference.problems.mdp import Mdp
from reference.regularizers import KLDivergence, NegativeEntropy, Quadratic, Regularizer, Weighted
from reference.resolvents import UNIT
from reference.validation import Array
from tests import strategies
from tests.reference import corner_cases

MODEST = settings(max_examples=60, deadline=None, derandomize=True)


def descend(mdp: Mdp) -> Optimum:
    """Mirror descent with a step that lets the discount alone set the rate."""
    scale = np.abs(mdp.r_sa).max() + mdp.tau
    return mirror_descent(mdp, step=1e3 * scale / (max(mdp.tau, 1e-2) * (1.0 - mdp.gamma)))


METHODS: list[Callable[[Mdp], Optimum]] = [policy_iteration, descend, value_iteration]


def methods(gamma: float) -> list[Callable[[Mdp], Optimum]]:
    """Value iteration takes some 36 / (1 - gamma) sweeps."""
    return METHODS if gamma <= 0.9 else METHODS[:2]


def attainable(found: Optimum) -> float:
    """Unit roundoff x operations x scale / (1 - gamma), from the module's analysis of rounding."""
    mdp = found.mdp
    bonus = mdp.tau * mdp.regularizer.bound(mdp.n_actions)
    reward = float(np.abs(mdp.r_sa).max())
    units = (mdp.n_states + mdp.n_actions + 8) * (float(np.abs(found.v_s).max()) + reward)
    return 4.2 * UNIT * (units + (mdp.n_actions + 4) ** 2 * bonus) / (1.0 - mdp.gamma)


def assert_exact(found: Optimum, exact: tuple[corner_cases.Numbers, ...]) -> None:
    """The error bounds are true, and no worse than float64 requires."""
    v, q, pi = exact
    assert corner_cases.largest_error(found.v_s, v) <= found.error
    assert corner_cases.largest_error(found.q_sa, q) <= found.error
    rows = np.abs(np.array([[float(x) for x in row] for row in corner_cases.lifted(found.pi_sa) - pi]))
    assert np.sqrt((rows * rows).sum(axis=-1)).max() <= found.policy_error
    assert found.error <= attainable(found)


# Truth of the bounds.


@pytest.mark.parametrize("tau", [0.0, 1e-6, 1.0, 1e3])
@pytest.mark.parametrize("gamma", [0.0, 0.9, 1.0 - 1e-6])
@pytest.mark.parametrize("kind", corner_cases.KINDS)
def test_bounds_are_true_and_attained(kind: str, gamma: float, tau: float) -> None:
    generator = np.random.default_rng(11)
    for regularizer in corner_cases.regularizers(generator, 5, 3)[: 1 if tau == 0.0 else None]:
        mdp = corner_cases.mdp(kind, generator, 5, 3, gamma, tau, regularizer)
        exact = corner_cases.exact_optimum(mdp)
        for method in methods(gamma):
            assert_exact(method(mdp), exact)


def test_value_iteration_on_a_long_horizon() -> None:
    generator = np.random.default_rng(12)
    for kind, tau in (("slow", 0.01), ("ties", 0.0)):
        mdp = corner_cases.mdp(kind, generator, 5, 3, 0.995, tau, NegativeEntropy())
        assert_exact(value_iteration(mdp), corner_cases.exact_optimum(mdp))


@pytest.mark.parametrize(("n_states", "n_actions"), [(1, 1), (1, 4), (4, 1)])
@pytest.mark.parametrize("tau", [0.0, 1e-6, 1.0, 1e3])
def test_one_state_or_one_action(n_states: int, n_actions: int, tau: float) -> None:
    generator = np.random.default_rng(13)
    for gamma in (0.0, 0.9, 1.0 - 1e-6):
        for regularizer in corner_cases.regularizers(generator, n_states, n_actions):
            mdp = corner_cases.mdp("dense", generator, n_states, n_actions, gamma, tau, regularizer)
            exact = corner_cases.exact_optimum(mdp)
            for method in methods(gamma):
                found = method(mdp)
                assert_exact(found, exact)
                if n_actions == 1:
                    assert (found.pi_sa == 1.0).all()


@MODEST
@given(strategies.mdps(positive_start=False))
def test_bounds_are_true_in_general(mdp: Mdp) -> None:
    exact = corner_cases.exact_optimum(mdp)
    assert_exact(policy_iteration(mdp), exact)
    if mdp.gamma <= 0.9:
        assert_exact(value_iteration(mdp), exact)


def test_bound_counts_row_sums() -> None:
    # All rewards are 1 and rows sum to 1 + 1e-9, so V* = 1 / (1 - gamma (1 + 1e-9)); gamma is so
    # large that this is ten percent more than 1 / (1 - gamma), which would be the bound at v = 0.
    gamma = 1.0 - 1e-8
    row = np.full((2, 1, 2), 0.5 * (1.0 + 1e-9))
    mdp = Mdp.unchecked(row, np.ones((2, 1)), gamma, np.array([0.5, 0.5]), 0.0, Quadratic())
    exact = float(corner_cases.exact_optimum(mdp)[0][0])
    assert 1.05 / (1.0 - gamma) < exact
    found = certified(mdp, np.zeros(2), mdp.r_sa, 0)
    assert exact <= found.error <= exact * (1.0 + 1e-5)
    # Far from 1 the rows are not summed, but allowed for.
    mild = Mdp.unchecked(row, np.ones((2, 1)), 0.9, mdp.rho_s, 0.0, Quadratic())
    exact = float(corner_cases.exact_optimum(mild)[0][0])
    assert exact <= certified(mild, np.zeros(2), mild.r_sa, 0).error <= exact * (1.0 + 1e-4)


def test_bound_is_true_for_many_actions_of_large_value() -> None:
    # The projection's threshold sums up all actions, and its rounding meets numbers of the size 1e9.
    generator = np.random.default_rng(29)
    for n_actions in (30, 300):
        r = 1e9 + 1e-3 * generator.random((1, n_actions))
        for regularizer in corner_cases.regularizers(generator, 1, n_actions):
            mdp = Mdp(np.ones((1, n_actions, 1)), r, 0.5, np.ones(1), 1.0, regularizer)
            assert_exact(policy_iteration(mdp), corner_cases.exact_optimum(mdp))


# Policy iteration.


@pytest.mark.parametrize("kind", corner_cases.KINDS)
def test_policy_iteration_never_fails(kind: str) -> None:
    generator = np.random.default_rng(14)
    for n_states, n_actions in ((20, 3), (61, 2)):
        for gamma in (0.9, 1.0 - 1e-6, 1.0 - 1e-8):
            for tau in (0.0, 1e-8, 1e-5, 1e-2, 1e3):
                for regularizer in corner_cases.regularizers(generator, n_states, n_actions)[:3]:
                    mdp = corner_cases.mdp(kind, generator, n_states, n_actions, gamma, tau, regularizer)
                    found = policy_iteration(mdp)
                    assert found.error <= attainable(found)
                    assert found.iterations <= 2 * n_states * n_actions


def test_policy_iteration_passes_over_a_growing_residual() -> None:
    # Only once the second state is known to earn for long is the first worth leaving: the largest
    # residual grows from 1 to the order of 1 / (1 - gamma) on the way.
    P = np.zeros((3, 2, 3))
    P[0, 0, 0] = P[0, 1, 1] = P[1, :, 1] = P[2, :, 2] = 1.0
    r = np.array([[0.0, -1.0], [0.0, 1.0], [0.0, 0.0]])
    mdp = Mdp(P, r, 0.999, np.array([1.0, 0.0, 0.0]), 0.0, Quadratic())
    start = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    found = policy_iteration(mdp, start_sa=start)
    assert found.v_s == pytest.approx([-1.0 + 999.0, 1000.0, 0.0], rel=1e-10)
    assert found.pi_sa.argmax(axis=-1).tolist() == [1, 1, 0]


def program(mdp: Mdp) -> Array:
    """V* at tau = 0 from the linear program: the least v with v >= r + gamma P v."""
    n_states, n_actions = mdp.n_states, mdp.n_actions
    rows = np.repeat(np.eye(n_states), n_actions, axis=0) - mdp.gamma * mdp.P_sat.reshape(-1, n_states)
    solved = linprog(np.ones(n_states), -rows, -mdp.r_sa.reshape(-1), bounds=(None, None))
    assert solved.status == 0
    return np.asarray(solved.x)


@pytest.mark.parametrize("kind", corner_cases.KINDS)
def test_linear_program(kind: str) -> None:
    generator = np.random.default_rng(15)
    for gamma in (0.0, 0.5, 0.95):
        mdp = corner_cases.mdp(kind, generator, 7, 3, gamma, 0.0, Quadratic())
        # HiGHS meets its constraints to 1e-7; a violation counts for at most 1 / (1 - gamma).
        allowed = 7 * 1e-7 / (1.0 - gamma)
        for method in METHODS:
            found = method(mdp)
            assert np.abs(found.v_s - program(mdp)).max() <= allowed + found.error
            assert found.value == pytest.approx((mdp.rho_s * found.v_s).sum())


def test_ties_end_and_are_told() -> None:
    generator = np.random.default_rng(16)
    mdp = corner_cases.mdp("ties", generator, 9, 2, 0.99, 0.0, Quadratic())
    tied = Mdp(mdp.P_sat, np.repeat(mdp.r_sa[:, :1], 2, axis=1), 0.99, mdp.rho_s, 0.0, Quadratic())
    for start in (None, np.tile([0.0, 1.0], (9, 1)), np.full((9, 2), 0.5)):
        found = policy_iteration(tied, start_sa=start)
        assert found.iterations <= 20
        with pytest.raises(NotDifferentiableError, match=r"state .* are both optimal") as caught:
            found.unique_policy()
        assert "tau > 0" in str(caught.value)
    assert (found.policy_error == np.inf).all()


def test_unique_policies_are_returned() -> None:
    generator = np.random.default_rng(17)
    mdp = corner_cases.mdp("dense", generator, 5, 3, 0.9, 0.0, Quadratic())
    found = policy_iteration(mdp)
    assert (found.unique_policy() == found.pi_sa).all()
    one_action = corner_cases.mdp("dense", generator, 5, 1, 0.9, 0.0, Quadratic())
    assert (policy_iteration(one_action).unique_policy() == 1.0).all()
    # With tau > 0 actions of one value share the probability, and that policy is the only one.
    level = Mdp(mdp.P_sat, np.zeros((5, 3)), 0.9, mdp.rho_s, 0.5, NegativeEntropy())
    flat = policy_iteration(level)
    assert flat.unique_policy() == pytest.approx(np.full((5, 3), 1 / 3), abs=float(flat.policy_error))


def test_member_of_a_batch_with_a_tie_is_named() -> None:
    generator = np.random.default_rng(18)
    mdp = corner_cases.mdp("dense", generator, 3, 2, 0.5, 0.0, Quadratic())
    P, r = np.stack([mdp.P_sat, mdp.P_sat]), np.stack([mdp.r_sa, mdp.r_sa])
    P[1, 2, 1], r[1, 2, 1] = P[1, 2, 0], r[1, 2, 0]
    found = policy_iteration(Mdp(P, r, 0.5, mdp.rho_s, 0.0, Quadratic()))
    with pytest.raises(NotDifferentiableError, match=r"state \(1, 2\)"):
        found.unique_policy()


# Warm starts and batches.


@pytest.mark.parametrize("tau", [0.0, 0.3])
def test_warm_starts(tau: float) -> None:
    generator = np.random.default_rng(19)
    mdp = corner_cases.mdp("dense", generator, 8, 3, 0.95, tau, NegativeEntropy())
    cold = policy_iteration(mdp)
    warm = policy_iteration(mdp, start_sa=cold.pi_sa)
    assert warm.iterations == 0
    assert policy_iteration(mdp, start_s=cold.v_s).iterations == 0
    assert value_iteration(mdp, start_s=cold.v_s).iterations == 0
    assert np.abs(warm.v_s - cold.v_s).max() <= warm.error + cold.error
    if tau > 0.0:
        again = mirror_descent(mdp, step=1.0, start_sa=cold.pi_sa)
        assert again.iterations < mirror_descent(mdp, step=1.0).iterations / 4
    far = policy_iteration(mdp, start_sa=greedy(mdp, -cold.q_sa))
    assert np.abs(far.v_s - cold.v_s).max() <= far.error + cold.error


def batch_of(mdps: list[Mdp], **shared: Array) -> Mdp:
    first = mdps[0]
    parts = {name: np.stack([getattr(m, name) for m in mdps]) for name in ("P_sat", "r_sa", "rho_s")}
    parts |= shared
    return Mdp(gamma=first.gamma, tau=first.tau, regularizer=first.regularizer, **parts)


@pytest.mark.parametrize("tau", [0.0, 0.2])
@pytest.mark.parametrize("method", [policy_iteration, value_iteration, descend])
def test_members_of_a_batch_do_not_harm_each_other(method: Callable[[Mdp], Optimum], tau: float) -> None:
    generator = np.random.default_rng(20)
    shape = (6, 3, 0.9, tau, NegativeEntropy())
    mdps = [corner_cases.mdp(kind, generator, *shape) for kind in corner_cases.KINDS]
    # Scales far apart: a bound that is shared, or a member that moves on, would show in the small one.
    mdps += [Mdp(mdps[0].P_sat, 1e-9 * mdps[0].r_sa, 0.9, mdps[0].rho_s, tau, NegativeEntropy())]
    mdps += [Mdp(mdps[3].P_sat, 1e9 * mdps[3].r_sa, 0.9, mdps[3].rho_s, tau, NegativeEntropy())]
    together = method(batch_of(mdps))
    assert together.error.shape == (len(mdps),)
    for i, mdp in enumerate(mdps):
        alone = policy_iteration(mdp)
        assert np.abs(together.v_s[i] - alone.v_s).max() <= together.error[i] + alone.error
        assert np.abs(together.q_sa[i] - alone.q_sa).max() <= together.error[i] + alone.error
        assert together.error[i] <= attainable(alone) * 1.01
        assert np.sum(mdp.rho_s * together.v_s[i]) == pytest.approx(together.value[i])
        if tau > 0.0:
            rows = np.linalg.norm(together.pi_sa[i] - alone.pi_sa, axis=-1)
            assert rows.max() <= together.policy_error[i] + alone.policy_error


@pytest.mark.parametrize("method", [policy_iteration, value_iteration, mirror_descent])
def test_member_that_meets_the_tolerance_stays(method: Callable[..., Optimum]) -> None:
    generator = np.random.default_rng(21)
    options: dict[str, Any] = {"step": 2.0} if method is mirror_descent else {}
    easy = corner_cases.mdp("dense", generator, 12, 2, 0.9, 0.1, Quadratic())
    hard = corner_cases.mdp("corridor", generator, 12, 2, 0.9, 0.1, Quadratic())
    hard = Mdp(hard.P_sat, 100.0 * hard.r_sa, 0.9, hard.rho_s, 0.1, Quadratic())
    together = method(batch_of([easy, hard]), tolerance=0.5, **options)
    alone = method(easy, tolerance=0.5, **options)
    assert alone.iterations < together.iterations
    assert together.v_s[0] == pytest.approx(alone.v_s, rel=1e3 * UNIT)
    assert together.error[0] == pytest.approx(alone.error, rel=1e-6)


def test_parts_without_batch_axes() -> None:
    generator = np.random.default_rng(22)
    mdps = [corner_cases.mdp("dense", generator, 4, 3, 0.9, 0.3, NegativeEntropy()) for _ in range(4)]
    P, r = mdps[0].P_sat, mdps[0].r_sa
    reference = generator.dirichlet(np.ones(3), (4, 4))
    for tau in (0.0, 0.3):
        regularizer: Regularizer = NegativeEntropy() if tau == 0.0 else KLDivergence(reference)
        for problem, members in (
            (
                Mdp(P, np.stack([m.r_sa for m in mdps]), 0.9, mdps[0].rho_s, tau, NegativeEntropy()),
                [Mdp(P, m.r_sa, 0.9, m.rho_s, tau, NegativeEntropy()) for m in mdps],
            ),
            (
                Mdp(np.stack([m.P_sat for m in mdps]), r, 0.9, mdps[0].rho_s, tau, NegativeEntropy()),
                [Mdp(m.P_sat, r, 0.9, m.rho_s, tau, NegativeEntropy()) for m in mdps],
            ),
            (
                Mdp(P, r, 0.9, mdps[0].rho_s, tau, regularizer),
                [
                    Mdp(P, r, 0.9, mdps[0].rho_s, tau, KLDivergence(m) if tau > 0.0 else regularizer)
                    for m in reference
                ],
            ),
        ):
            for method in METHODS:
                found = method(problem)
                for i, member in enumerate(members):
                    alone = policy_iteration(member)
                    v_s = np.broadcast_to(found.v_s, (4, 4))[i]
                    allowed = np.broadcast_to(found.error, (4,))[i] + alone.error
                    assert np.abs(v_s - alone.v_s).max() <= allowed


# Mirror descent.


def subproblem(
    mdp: Mdp, state: MirrorState, q_sa: Array, step: float
) -> tuple[Callable[[Array], float], Callable[[Array], Array]]:
    """Objective of the update (C.32), summed over the states, and its gradient, of flat arrays."""

    def h(p: Array) -> Array:
        return np.asarray(corner_cases.regularization(mdp.regularizer, p))

    def objective(flat: Array) -> float:
        p = flat.reshape(q_sa.shape)
        bregman = h(p) - h(state.pi_sa) - (state.xi_sa * (p - state.pi_sa)).sum(axis=-1)
        return float((-(p * q_sa).sum(axis=-1) + mdp.tau * h(p) + bregman / step).sum())

    def gradient(flat: Array) -> Array:
        slope = mdp.regularizer.gradient(flat.reshape(q_sa.shape))
        return np.asarray(-q_sa + mdp.tau * slope + (slope - state.xi_sa) / step).reshape(-1)

    return objective, gradient


@pytest.mark.parametrize("index", range(5))
@pytest.mark.parametrize("tau", [0.0, 0.7])
def test_mirror_step_minimises_its_subproblem(index: int, tau: float) -> None:
    generator = np.random.default_rng(23)
    regularizer = corner_cases.regularizers(generator, 3, 4)[index]
    mdp = corner_cases.mdp("dense", generator, 3, 4, 0.8, tau, regularizer)
    state = mirror_start(mdp, generator.dirichlet(np.full(4, 2.0), 3))
    step = 0.35
    for _ in range(3):
        q_sa = evaluate(mdp, state.pi_sa).q_sa
        objective, gradient = subproblem(mdp, state, q_sa, step)
        moved = mirror_step(mdp, state, step)
        p, g = moved.pi_sa, gradient(moved.pi_sa).reshape(3, 4)

        # Certificate of optimality: no vertex of the simplex is downhill.
        scale = np.abs(q_sa).max() + np.abs(state.xi_sa).max() / step
        scale = scale + (tau + 1.0 / step) * (1.0 + np.abs(mdp.regularizer.gradient(p)).max())
        rounding = 16.0 * UNIT * (4 + 4) * scale
        assert ((p * g).sum(axis=-1) - g.min(axis=-1)).max() <= rounding

        # A general minimiser, which knows neither the closed form nor the dual point, ends nearby.
        solved = minimize(
            objective,
            np.full(12, 0.25),
            jac=gradient,
            bounds=[(1e-9, 1.0)] * 12,
            constraints=LinearConstraint(np.kron(np.eye(3), np.ones(4)), 1.0, 1.0),
            method="SLSQP",
            options={"ftol": 1e-13, "maxiter": 500},
        )
        excess = objective(solved.x) - objective(p)
        # The bounds keep the minimiser 1e-9 inside, which can only cost it.
        assert -3.0 * rounding - 12e-9 * scale <= excess <= 1e-7 * scale
        modulus = (tau + 1.0 / step) * mdp.regularizer.strong_convexity
        distance = np.linalg.norm(solved.x.reshape(3, 4) - p)
        assert distance**2 <= 2.0 * (excess + 12e-9 * scale + 3.0 * rounding) / modulus

        # The new dual point is a subgradient of h: normal to the simplex beyond its gradient.
        normal = moved.xi_sa - mdp.regularizer.gradient(p)
        on_support = np.where(p > 0.0, normal, -np.inf).max(axis=-1, keepdims=True)
        assert (normal <= on_support + rounding * (1.0 + step)).all()
        assert (np.abs(np.where(p > 0.0, normal - on_support, 0.0)) <= rounding * (1.0 + step)).all()
        state = moved


@pytest.mark.parametrize("step", [0.1, 2.0, 100.0])
def test_mirror_descent_converges_linearly(step: float) -> None:
    # With alpha = 1 / (1 + eta tau), q never decreases, so q^k >= tau xi^k - alpha^k D by induction,
    # D = |q^0 - tau xi^0|.  Hence V* - V^k <= e^k + alpha^k D for e^k = |Q* - tau xi^k|, and
    # e^(k+1) <= alpha e^k + (1 - alpha) gamma (e^k + alpha^k D): both together shrink by
    # alpha + (1 - alpha) gamma at each step.
    generator = np.random.default_rng(24)
    for regularizer in corner_cases.regularizers(generator, 6, 3):
        mdp = corner_cases.mdp("dense", generator, 6, 3, 0.9, 0.5, regularizer)
        best = policy_iteration(mdp)
        state = mirror_start(mdp)
        first = evaluate(mdp, state.pi_sa).q_sa
        alpha = 1.0 / (1.0 + step * mdp.tau)
        bound = np.abs(best.q_sa - mdp.tau * state.xi_sa).max()
        bound = bound + np.abs(first - mdp.tau * state.xi_sa).max()
        last = evaluate(mdp, state.pi_sa).v_s
        for k, moved in zip(range(1, 200), mirror_iterates(mdp, state, step), strict=False):
            v_s = evaluate(mdp, moved.pi_sa).v_s
            rounding = 4.0 * float(best.error)
            assert (v_s >= last - rounding).all()
            assert (best.v_s - v_s).max() <= (alpha + (1.0 - alpha) * mdp.gamma) ** k * bound + rounding
            last = v_s


def test_mirror_descent_returns_its_last_value() -> None:
    generator = np.random.default_rng(25)
    mdp = corner_cases.mdp("dense", generator, 5, 3, 0.9, 0.5, Weighted(Quadratic(), np.full(5, 2.0)))
    found = mirror_descent(mdp, step=0.4, tolerance=1e-3)
    state = mirror_start(mdp)
    for _ in range(found.iterations):
        state = mirror_step(mdp, state, 0.4)
    last = evaluate(mdp, state.pi_sa)
    assert np.abs(last.v_s - found.v_s).max() <= 2.0 * last.error
    assert found.pi_sa == pytest.approx(greedy(mdp, last.q_sa), abs=1e-12)
    assert 0.1e-3 < found.error <= 1e-3


# What is refused.


def slow_mdp() -> Mdp:
    return corner_cases.mdp("slow", np.random.default_rng(26), 4, 3, 1.0 - 1e-6, 0.1, NegativeEntropy())


def test_unconverged_answers_are_not_returned() -> None:
    mdp = slow_mdp()
    with pytest.raises(ConvergenceError, match=r"value iteration stopped after 50 .* policy_iteration"):
        value_iteration(mdp, max_iterations=50)
    with pytest.raises(ConvergenceError, match=r"policy iteration stopped after 1 .* max_iterations"):
        policy_iteration(mdp, max_iterations=1)
    with pytest.raises(ConvergenceError, match=r"mirror descent stopped after 2 .* raise the step"):
        mirror_descent(mdp, step=1.0, max_iterations=2)
    with pytest.raises(ConvergenceError, match=r"float64 attains .*: raise the tolerance"):
        policy_iteration(mdp, tolerance=1e-30)


def test_one_member_is_enough_to_raise() -> None:
    hard = corner_cases.mdp("corridor", np.random.default_rng(27), 40, 2, 0.99, 0.0, Quadratic())
    easy = Mdp(hard.P_sat, np.zeros((40, 2)), 0.99, hard.rho_s, 0.0, Quadratic())
    for method in (policy_iteration, value_iteration):
        assert method(easy, max_iterations=1).iterations == 0
        with pytest.raises(ConvergenceError, match=r"stopped after 1 "):
            method(batch_of([easy, hard]), max_iterations=1)


def test_tolerance_ends_the_iteration() -> None:
    mdp = corner_cases.mdp("corridor", np.random.default_rng(27), 40, 2, 0.99, 0.0, Quadratic())
    loose, tight = policy_iteration(mdp, tolerance=50.0), policy_iteration(mdp)
    assert loose.iterations < tight.iterations
    assert tight.error < loose.error <= 50.0
    assert np.abs(loose.v_s - tight.v_s).max() <= loose.error + tight.error


def test_arguments_are_checked() -> None:
    mdp = slow_mdp()
    for solver in (policy_iteration, value_iteration):
        with pytest.raises(InputError, match="max_iterations is 0"):
            solver(mdp, max_iterations=0)
        with pytest.raises(InputError, match="tolerance"):
            solver(mdp, tolerance=float("nan"))
    with pytest.raises(InputError, match=r"pi_sa has shape \(3, 4\)"):
        policy_iteration(mdp, start_sa=np.full((3, 4), 0.25))
    for solver in (policy_iteration, value_iteration):
        with pytest.raises(InputError, match=r"start_s has shape \(3,\)"):
            solver(mdp, start_s=np.zeros(3))
    with pytest.raises(InputError, match="start from one of them"):
        policy_iteration(mdp, start_sa=np.full((4, 3), 1 / 3), start_s=np.zeros(4))
    with pytest.raises(InputError, match="step"):
        mirror_descent(mdp, step=0.0)
    with pytest.raises(InputError, match="step"):
        mirror_step(mdp, mirror_start(mdp), -1.0)
    with pytest.raises(InputError, match=r"pi_sa\[0, 1\] is 0, where the regulariser has no gradient"):
        mirror_start(mdp, np.tile([1.0, 0.0, 0.0], (4, 1)))
    with pytest.raises(InputError, match="lower gamma"):
        policy_iteration(
            Mdp(mdp.P_sat, mdp.r_sa, float(np.nextafter(1.0, 0.0)), mdp.rho_s, 0.0, Quadratic())
        )


def test_optimal_backup_is_the_maximum() -> None:
    generator = np.random.default_rng(28)
    for regularizer in corner_cases.regularizers(generator, 5, 3):
        for tau in (0.0, 1e-3, 2.0):
            mdp = corner_cases.mdp("dense", generator, 5, 3, 0.9, tau, regularizer)
            q_sa = 10.0 * generator.standard_normal((5, 3))
            top_s, best = optimal_backup(mdp, q_sa), greedy(mdp, q_sa)
            at_best = (best * q_sa).sum(axis=-1) - tau * regularizer.value(best)
            assert top_s == pytest.approx(at_best, abs=1e3 * UNIT * np.abs(q_sa).max())
            others = generator.dirichlet(np.ones(3), (100, 5))
            assert ((others * q_sa).sum(axis=-1) - tau * regularizer.value(others) <= top_s).all()

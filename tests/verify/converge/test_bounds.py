"""The bounds along runs: attained, and violated by every planted fault."""

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from reference import constants
from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant
from reference.algorithms.oracles import Exact, MirrorDescent
from reference.algorithms.pbrl import Pbrl
from reference.constants import bellman_companion_errors, bounds
from reference.domains import Box
from reference.evaluated import Evaluated
from reference.objectives.contract import Objective
from reference.optimality import policy_iteration
from reference.penalties import bellman, nikaido_isoda, value
from reference.problems.general_position import general_mdp, general_point, linear_family
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import FixedKernel, LinearReward
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.contract import Context, Level, Status
from verify.converge import checks, units
from verify.converge.bounds import (
    FORMS,
    PRINTED,
    PROVED,
    PROVED_AS_USED,
    SMALL_C1,
    SUMMED,
    Course,
    Form,
    as_said,
    as_used,
    finding,
    findings,
    first_failure,
    one_step,
    without_accuracy,
)
from verify.converge.findings import Finding, parse
from verify.converge.kinds import BELLMAN, KINDS, NIKAIDO_ISODA, VALUE, Kind
from verify.converge.oracles import Biased
from verify.converge.problems import Recipe, Separable, Setup, flips
from verify.converge.runs import moved, observed, recorded


def course_of(setup: Setup, iterations: int) -> Course:
    rows, _ = observed(setup.algorithm, setup.state, iterations, recorded)
    return Course.of(setup, rows)


@cache
def tight(kind: Kind) -> Course:
    return course_of(flips(kind, units.SHARES), 60)


@cache
def crude(kind: Kind) -> Course:
    """A bias that stays, with rewards that make it matter, in the inside of X."""
    recipe = Recipe(kind, "crude", 0, 4, gamma=0.0, scale=0.4, n_states=1)
    return course_of(recipe.setup(Biased(0.5)), 300 if kind is NIKAIDO_ISODA else 120)


# They hold, and are attained.


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_every_bound_holds_and_the_proved_ones_are_attained(kind: Kind) -> None:
    found = {one.key: one for one in findings(tight(kind))}
    assert all(one.holds for one in found.values())
    for form in (PROVED, SMALL_C1, PROVED_AS_USED, SUMMED):
        assert found[form.key].ratio > 0.997
    assert found["one_step"].ratio > 0.999
    # The printed constants are 7.1 and 16 times the proved ones.
    assert found[PRINTED.key].ratio < 0.14


@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.sampled_from(KINDS), st.integers(0, 2**31), st.sampled_from([0.0, 0.3, 0.8]), st.booleans())
def test_random_problems(kind: Kind, seed: int, gamma: float, warm: bool) -> None:
    oracle = (Exact(), MirrorDescent(0.3, 1), Biased(0.7))[seed % 3]
    setup = Recipe(kind, "random", seed, 2, gamma=gamma, tau=0.4, scale=0.7).setup(oracle, warm=warm)
    course = course_of(setup, 12)
    for one in findings(course):
        assert one.holds, one
    if warm:
        assert (course.F[0] - units._upper_value(setup) <= setup.value_rounding).all()


def test_two_readings_of_the_accuracy() -> None:
    course = tight(VALUE)
    share = np.array(units.SHARES)
    # z_{k+1} = -share z_k but for the mixed derivatives of p, which are of the order of kappa.
    squares = np.cumsum(share[None] ** (2.0 * np.arange(60))[:, None], axis=0) * 1e-16
    said = np.maximum(0.0, 20.0 * share**2 - (1.0 + share) ** 2) * squares
    used = np.maximum(0.0, 20.0 * share**2 - 1.0) * squares
    np.testing.assert_allclose(as_said(course), said, rtol=1e-4, atol=1e-20)
    np.testing.assert_allclose(as_used(course), used, rtol=1e-4, atol=1e-20)


# Planted faults in the bounds.


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
@pytest.mark.parametrize(
    ("form", "c1", "c2"),
    [
        (PROVED, 9.0 / 8.0, 1.0 / 16.0),
        (PROVED, 2.2, 1.0 / 16.0),
        (PROVED, 9.0 / 4.0, 1.0 / 32.0),
        (PROVED, 9.0 / 4.0, 0.06),
        (SMALL_C1, 2.15, 1.0),
        (PROVED_AS_USED, 2.08, 1.0 / 19.0),
        (PROVED_AS_USED, 40.0 / 19.0, 0.0515),
        (SUMMED, 1.98, 1.0),
        (SUMMED, 2.0, 0.98),
    ],
)
def test_smaller_constants_fail(kind: Kind, form: Form, c1: float, c2: float) -> None:
    planted = finding(replace(form, c1=c1, c2=c2), tight(kind))
    assert not planted.holds
    assert planted.ratio > 1.0


def test_the_other_reading_does_not_give_its_constants_by_the_steps_made() -> None:
    assert not finding(replace(PROVED_AS_USED, accuracy=as_said), tight(VALUE)).holds


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_without_the_accuracy_of_the_oracle_crude_ones_violate_it(kind: Kind) -> None:
    for course in (tight(kind), crude(kind)):
        assert finding(PROVED, course).holds
        assert not finding(without_accuracy(PROVED), course).holds


def test_errors_that_are_not_measured_violate_it() -> None:
    course = crude(VALUE)
    blind = replace(course, e=np.zeros_like(course.e))
    assert not finding(PROVED, blind).holds
    assert not one_step(blind).holds


def test_a_gap_that_is_too_small_violates_it() -> None:
    course = tight(VALUE)
    higher = replace(course.setup, lowest=course.setup.lowest + 0.01 * course.F[0])
    assert not finding(PROVED, replace(course, setup=higher)).holds


def test_what_is_no_number_does_not_hold() -> None:
    course = tight(VALUE)
    g = course.g.copy()
    g[20, 3] = np.nan
    broken = replace(course, g=g)
    assert not any(one.holds for one in findings(broken))
    assert not Finding("k", "w", 1.0, math.nan, 0.0, "", 1).holds
    assert first_failure(PROVED, broken) == 1


# Planted faults in the step.


def longest(form: Form) -> float:
    """On a parabola sum |G_k|^2 tends to D / (1 - alpha L / 2)."""
    return 2.0 - 2.0 / form.c1


@pytest.mark.parametrize("form", [PROVED, PRINTED], ids=lambda form: form.key)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_longer_steps_violate_it_from_where_theory_says(kind: Kind, form: Form) -> None:
    for factor, holds in ((0.99, True), (1.01, False)):
        course = course_of(flips(kind, (0.0,), multiple=factor * longest(form)), 60)
        assert finding(form, course).holds is holds
        assert (first_failure(form, course) is None) is holds


def test_the_search_for_the_largest_step_finds_it() -> None:
    found = units.Step("parabola", "parabola", units._Bowl(VALUE), 40, 4).run()["largest"]
    for form in (PROVED, PRINTED):
        assert found[form.key]["holds"] <= longest(form) * (1.0 + 1e-6)
        assert found[form.key]["fails"] >= longest(form) * (1.0 - 1e-6)
        assert found[form.key]["fails"] <= 1.01 * found[form.key]["holds"]


@dataclass(frozen=True)
class Interval:
    """pi_y = (y / M, 1 - y / M), y in [0, M]: a parametrisation with a small slope."""

    M: float

    @property
    def domain(self) -> Box:
        return Box(np.zeros((1, 1)), np.full((1, 1), self.M))

    def __call__(self, x: Array) -> Array:
        return np.concatenate([x / self.M, 1.0 - x / self.M], axis=-1)

    def pullback(self, x: Array, gradient: Array) -> Array:  # noqa: ARG002 - the contract's signature
        return np.asarray((gradient[..., :1] - gradient[..., 1:]) / self.M)

    def inverse(self, pi_sa: Array) -> Array:
        return np.asarray(pi_sa[..., :1] * self.M)


def test_the_step_printed_in_lemma_10_violates_it_for_other_parametrizations() -> None:
    M, tau = 100.0, 1.0
    box = Box(np.array([-0.5]), np.array([0.5]))
    reward = LinearReward(np.array([[[[1.0, -1.0]]]]), np.zeros((1, 1, 2)), box, batch_axes=1)
    family = MdpFamily(
        reward, FixedKernel(np.ones((1, 1, 2, 1))), 0.0, np.ones((1, 1)), tau, Quadratic()
    )
    nothing = Separable(np.zeros((1, 1)), np.zeros((1, 1)), (np.zeros((1, 1, 2)),))
    L_v, C_J = 2.0 / M + 2.0 * tau / M**2, math.sqrt(2.0)
    printed = 1.0 / (L_v * (2.0 + C_J / tau))
    course = {}
    for name, alpha in (("printed", 0.99 * printed), ("proved", 0.4)):
        algorithm = Pbrl[MdpFamily](
            Bilevel(family, Objective("zero", "-", nothing), (Interval(M),)),
            value.PENALTY,
            (Exact(),),
            Constant(alpha),
            Constant(1.0),
        )
        setup = Setup(
            name,
            VALUE,
            algorithm,
            algorithm.start(np.array([[0.5]]), (np.array([[[50.0]]]),)),
            np.zeros(1),
            0.0,
            1.0 / alpha,
            1e-13,
            1e-13,
            0.0,
            tau,
        )
        course[name] = course_of(setup, 200)
    assert not finding(PRINTED, course["printed"]).holds
    # p = (x - s)^2 with s = y / M - 1/2 has the constant 2 (1 + 1/M^2).
    assert finding(PROVED, course["proved"]).holds


# The parts of a bound.


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.integers(0, 2**31))
def test_infimum(seed: int) -> None:
    draws = np.random.default_rng(seed)
    n, d, S, A = 2, 2, 2, 3
    upper = Separable(
        draws.normal(size=(n, d)), draws.normal(size=(n, d)), (draws.normal(size=(n, S, A)),)
    )
    box = Box(-draws.uniform(0.1, 2.0, d), draws.uniform(0.1, 2.0, d))
    lowest = upper.infimum(box)
    x = draws.uniform(box.low, box.high, (200, 1, d))
    pi = draws.dirichlet(np.full(A, 0.2), size=(200, 1, S))
    values = upper(None, np.broadcast_to(x, (200, n, d)), (np.broadcast_to(pi, (200, n, S, A)),)).value
    assert (values >= lowest).all()
    for i in range(n):

        def f(z: Array, i: int = i) -> float:
            return float((upper.a[i] * z * z / 2.0 + upper.b[i] * z).sum())

        starts = np.concatenate([x[:8, 0], [box.low, box.high]])
        found = [minimize(f, z, bounds=list(zip(box.low, box.high, strict=True))).fun for z in starts]
        attained = min(found) + upper.weights[0][i].min(axis=-1).sum()
        assert lowest[i] == pytest.approx(attained, abs=1e-6)


def test_steps_are_admissible_and_members_share_the_largest_constant() -> None:
    for kind in KINDS:
        recipe = Recipe(kind, "steps", 3, 3, gamma=0.5, strength=7.0)
        setup = recipe.setup()
        own = [kind.smoothness(bounds(family)) for family in recipe.families()]
        assert setup.lower == max(own)
        assert setup.alpha * (setup.upper + 7.0 * setup.lower) <= 1.0
        assert setup.alpha * (setup.upper + 7.0 * setup.lower) > 1.0 - 1e-14
        assert setup.strength == 7.0


def test_a_warm_start_solves_the_lower_level() -> None:
    for kind in KINDS:
        recipe = Recipe(kind, "warm", 1, 3, gamma=0.6)
        setup = recipe.setup(warm=True)
        policies = setup.algorithm.bilevel.policies(setup.state.y)
        found = kind.penalty.exact(setup.algorithm.bilevel.problem, setup.state.x, policies)
        assert (np.abs(found.value) <= setup.value_rounding).all()
        cold = kind.penalty.exact(setup.algorithm.bilevel.problem, setup.state.x, recipe.setup().state.y)
        assert (cold.value > 0.01).all()


def test_rounding_of_gradients_is_bounded() -> None:
    """Policies that are computed from other starts differ by rounding alone, and so do gradients."""
    for kind in (VALUE, BELLMAN):
        setup = Recipe(kind, "rounding", 2, 4, gamma=0.9, scale=1.0).setup()
        x, y = setup.state.x, setup.state.y
        problem = setup.algorithm.bilevel.problem
        exact = kind.penalty.exact(problem, x, y)
        mdp = problem.at(x)
        for start in np.random.default_rng(0).normal(size=(5, *mdp.r_sa.shape[:-1])):
            other = kind.penalty.evaluate(problem, x, y, (policy_iteration(mdp, start_s=start).pi_sa,))
            parts = tuple(a - b for a, b in zip(other.grad_policies, exact.grad_policies, strict=True))
            apart = setup.algorithm.bilevel.norm(other.grad_x - exact.grad_x, parts)
            assert (setup.strength * apart <= setup.gradient_rounding).all()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(st.integers(0, 2**31))
def test_bellman_companion_errors(seed: int) -> None:
    draws = np.random.default_rng(seed)
    mdp = general_mdp(draws, gamma=float(draws.choice([0.0, 0.4, 0.8])), regularizer=Quadratic())
    family = linear_family(draws, mdp)
    x = general_point(draws, family.domain)
    best_sa = policy_iteration(family.at(x)).pi_sa
    along_x, along_pi = bellman_companion_errors(bounds(family))
    exact = bellman.bellman_penalty(family, x, best_sa, best_sa)
    for size in (1.0, 1e-3):
        near_sa = (1.0 - size) * best_sa + size * draws.dirichlet(np.ones(3), size=4)
        distance = float(np.linalg.norm(near_sa - best_sa))
        other = bellman.bellman_penalty(family, x, best_sa, near_sa)
        assert np.linalg.norm(other.grad_x - exact.grad_x) <= along_x * distance + 1e-12
        assert np.linalg.norm(other.grad_policies[0] - exact.grad_policies[0]) <= (
            along_pi * distance + 1e-12
        )


def test_the_error_of_the_bellman_penalty_in_x_is_attained_without_discount() -> None:
    box = Box(np.array([-1.0]), np.array([1.0]))
    rho_s = np.array([0.2, 0.8])
    features = np.broadcast_to(np.array([1.0, -1.0]), (1, 2, 2))
    reward = LinearReward(features, np.zeros((2, 2)), box)
    family = MdpFamily(reward, FixedKernel(np.full((2, 2, 2), 0.5)), 0.0, rho_s, 1.0, Quadratic())
    best_sa = np.full((2, 2), 0.5)
    move_sa = 0.1 * rho_s[:, None] * np.array([1.0, -1.0])
    exact, other = (
        bellman.bellman_penalty(family, np.zeros(1), best_sa, pi) for pi in (best_sa, best_sa + move_sa)
    )
    along_x, along_pi = bellman_companion_errors(bounds(family))
    error = float(np.linalg.norm(other.grad_x - exact.grad_x))
    assert error == pytest.approx(along_x * float(np.linalg.norm(move_sa)))
    assert along_pi == 0.0


# The group of checks.


def test_the_group_notices_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    context = Context(Level.QUICK, 1)
    outcomes = checks.run(VALUE.key, context)
    assert {outcome.status for outcome in outcomes} == {Status.AS_EXPECTED}
    assert len(outcomes) == len(FORMS) + 1
    planted = tuple(replace(form, c1=2.2) if form is PROVED else form for form in FORMS)
    monkeypatch.setattr("verify.converge.bounds.FORMS", planted)
    failing = [o.name for o in checks.run(VALUE.key, context) if o.status is Status.DEVIATION]
    assert failing == ["convergence.value_penalty.proved"]


def test_evaluations_are_separable() -> None:
    upper = Separable(np.ones((1, 1)), np.zeros((1, 1)), (np.array([[[1.0, 2.0]]]),))
    found = upper(None, np.array([[3.0]]), (np.array([[[0.5, 0.5]]]),))
    assert isinstance(found, Evaluated)
    assert found.value == pytest.approx([6.0])
    assert found.grad_x == pytest.approx(np.array([[3.0]]))


def test_findings_survive_json() -> None:
    for one in findings(tight(VALUE)):
        assert parse(one.document()) == one
    assert parse(Finding("k", "w", math.inf, 1.0, 0.0, "", 1).document()).holds is False


def test_moved_is_the_projected_gradient_of_exact_oracles() -> None:
    setup = Recipe(BELLMAN, "moved", 0, 3).setup()
    rows, _ = observed(setup.algorithm, setup.state, 5, moved)
    course = course_of(setup, 5)
    np.testing.assert_allclose(rows[:, 0], course.g, atol=2.0 * course.slip)
    assert (course.e <= setup.gradient_rounding).all()


def test_every_penalty_has_its_own_constants() -> None:
    proved = {
        VALUE: (constants.value_penalty_smoothness, constants.gradient_in_policy),
        NIKAIDO_ISODA: (constants.nikaido_isoda_smoothness, constants.value_smoothness),
    }
    for kind, functions in proved.items():
        assert (kind.smoothness, kind.companion_error) == functions
    assert BELLMAN.smoothness is constants.bellman_penalty_smoothness
    given_ = bounds(Recipe(BELLMAN, "own", 0, 1).families()[0])
    assert BELLMAN.companion_error(given_) == math.hypot(*bellman_companion_errors(given_))
    penalties = (value.PENALTY, bellman.PENALTY, nikaido_isoda.PENALTY)
    assert tuple(kind.penalty for kind in KINDS) == penalties
    assert [kind.theorem for kind in KINDS] == ["Theorem 11", "Theorem 11", "Theorem 16"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.key)
def test_gradients_change_no_faster_than_the_constant_says(kind: Kind) -> None:
    setup = Recipe(kind, "pairs", 4, 30, gamma=0.3, n_states=2).setup()
    bilevel, draws = setup.algorithm.bilevel, np.random.default_rng(0)
    box = bilevel.problem.domain

    def point() -> tuple[Array, tuple[Array, ...], Evaluated]:
        x = draws.uniform(box.low, box.high, (30, 2))
        y = tuple(draws.dirichlet(np.full(n, 0.5), size=(30, 2)) for n in kind.actions)
        return x, y, kind.penalty.exact(bilevel.problem, x, y)

    (x, y, first), (other_x, other_y, second) = point(), point()
    apart = [a - b for a, b in zip(first.grad_policies, second.grad_policies, strict=True)]
    along = tuple(part - part.mean(axis=-1, keepdims=True) for part in apart)
    change = bilevel.norm(first.grad_x - second.grad_x, along)
    moved_by = bilevel.norm(x - other_x, tuple(a - b for a, b in zip(y, other_y, strict=True)))
    assert (change <= setup.lower * moved_by).all()
    assert (change > 0.01 * setup.lower * moved_by).any() or kind is NIKAIDO_ISODA

"""The routes themselves: on problems solved by hand, and against each other's guarantees."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from flint import ctx, fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.domains import Euclidean
from reference.problems.mdp import MdpFamily
from reference.problems.parametrizations import FixedKernel, TabularReward
from reference.regularizers import NegativeEntropy, Quadratic, Regularizer
from verify.crosscheck.run import routes
from verify.oracles import balls, definitions, linear_program, rational, series
from verify.oracles.arithmetic import Arithmetic, Native, eliminate
from verify.oracles.autodiff import ROUTE as AUTODIFF
from verify.oracles.complex_step import ROUTE as COMPLEX_STEP
from verify.oracles.route import Point, Request, Route, Variable, undefined

fractions = st.fractions(min_value=-5, max_value=5, max_denominator=12)


def dual(a: Fraction, b: Fraction) -> rational.Dual:
    return rational.Dual(fmpq(a.numerator, a.denominator), fmpq(b.numerator, b.denominator))


@given(fractions, fractions, fractions, fractions)
@settings(max_examples=50, derandomize=True, deadline=None)
def test_duals_differentiate_a_quotient(a: Fraction, u: Fraction, b: Fraction, w: Fraction) -> None:
    """d (x y - x) / y by the rules of calculus, in Python's own fractions."""
    if b == 0:
        return
    x, y = dual(a, u), dual(b, w)
    z = (x * y - x) / y
    slope = u - u / b + a * w / b**2
    assert Fraction(int(z.a.p), int(z.a.q)) == a - a / b
    assert Fraction(int(z.b.p), int(z.b.q)) == slope


@given(st.integers(0, 10_000))
@settings(max_examples=20, derandomize=True, deadline=None)
def test_elimination_solves_exactly(seed: int) -> None:
    generator = np.random.default_rng(seed)
    matrix = np.array([[fmpq(int(k), 7) for k in row] for row in generator.integers(-9, 9, (4, 4))])
    right = np.array([fmpq(int(k), 3) for k in generator.integers(-9, 9, 4)])
    try:
        solution = eliminate(matrix, right)
    except ZeroDivisionError:  # a singular matrix
        return
    assert all(sum(row * solution) == b for row, b in zip(matrix, right, strict=True))


# One state with two actions: V = (sum_a pi r - tau h) / (1 - gamma), and with entropy
# V* = tau log(sum exp(r / tau)) / (1 - gamma).

REWARD = np.array([[1.0, -0.5]])
POLICY = np.array([[0.25, 0.75]])
GAMMA, TAU = 0.75, 0.5


def problem(h: Regularizer, tau: float) -> MdpFamily:
    kernel = FixedKernel(np.ones((1, 2, 1)))
    return MdpFamily(TabularReward(Euclidean((1, 2))), kernel, GAMMA, np.ones(1), tau, h)


def own_value(family: MdpFamily, number: Arithmetic, point: Point) -> Native:
    m = definitions.model(number, family, point.x)
    return definitions.evaluate(number, m, point.policies[0])[0]


def best_value(family: MdpFamily, number: Arithmetic, point: Point) -> Native:
    return definitions.optimal_values(number, definitions.model(number, family, point.x))[0]


def ask(family: MdpFamily, *, optimum: bool, variable: Variable | None) -> Request:
    define = best_value if optimum else own_value
    return Request(
        define=lambda number, point: define(family, number, point),
        point=Point(REWARD, (POLICY,)),
        variable=variable,
        directions=(np.array([[1.0, 0.0]]), np.array([[0.5, 2.0]])),
        gamma=GAMMA,
        n_states=1,
        transcendental=isinstance(family.regularizer, NegativeEntropy) and family.tau > 0.0,
        optimum=optimum,
        unregularized=family.tau == 0.0,
    )


ROUTES = (AUTODIFF, COMPLEX_STEP, series.ROUTE, rational.ROUTE, balls.ROUTE, linear_program.ROUTE)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_routes_on_one_state(route: Route) -> None:
    tried = 0
    weights = np.exp(REWARD / TAU) / np.exp(REWARD / TAU).sum()
    by_hand = [
        (
            problem(NegativeEntropy(), TAU),
            False,
            float((POLICY * (REWARD - TAU * np.log(POLICY))).sum()),
        ),
        (problem(Quadratic(), TAU), False, float((POLICY * REWARD - TAU / 2 * POLICY**2).sum())),
        (problem(NegativeEntropy(), TAU), True, TAU * float(np.log(np.exp(REWARD / TAU).sum()))),
        (problem(Quadratic(), 0.0), True, 1.0),
    ]
    for family, optimum, one_step in by_hand:
        asked = ask(family, optimum=optimum, variable=None)
        if route.applies(asked):
            tried += 1
            answer = route.answer(asked)
            value = one_step / (1.0 - GAMMA)
            assert abs(float(answer.values) - value) <= 1e-14 * abs(value) + answer.error
        asked = ask(family, optimum=optimum, variable=Variable("x"))
        if route.applies(asked):
            tried += 1
            best = weights if family.tau > 0.0 else np.array([[1.0, 0.0]])
            gradient = (best if optimum else POLICY) / (1.0 - GAMMA)
            answer = route.answer(asked)
            expected = (
                np.array([(gradient * u).sum() for u in asked.directions]) if answer.slopes else gradient
            )
            np.testing.assert_allclose(answer.values, expected, rtol=1e-13, atol=answer.error)
    assert tried >= 1


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 0.9, 0.99]))
@settings(max_examples=20, derandomize=True, deadline=None)
def test_series_tail_is_below_rounding(seed: int, gamma: float) -> None:
    generator = np.random.default_rng(seed)
    P, c = generator.dirichlet(np.ones(4), 4), generator.normal(size=4)
    summed = series.FLOATS.solve(P, np.float64(gamma), c)
    solved = np.linalg.solve(np.eye(4) - gamma * P, c)
    # The tail, and one rounding of the bound per term.
    allowed = (series.terms(gamma) + 20) * np.finfo(float).eps * np.abs(c).max() / (1.0 - gamma)
    assert np.abs(summed - solved).max() <= allowed


def test_balls_enclose_and_restore_the_precision() -> None:
    before = ctx.dps
    answer = balls.ROUTE.answer(ask(problem(NegativeEntropy(), TAU), optimum=True, variable=None))
    assert ctx.dps == before
    assert 0.0 < answer.error < 1e-70


def test_a_failed_program_is_an_error() -> None:
    family = problem(Quadratic(), 0.0)
    asked = ask(family, optimum=True, variable=None)
    broken = Request(
        define=asked.define,
        point=Point(np.array([[np.inf, 0.0]]), (POLICY,)),
        variable=None,
        directions=(),
        gamma=GAMMA,
        n_states=1,
        transcendental=False,
        optimum=True,
        unregularized=True,
    )
    with pytest.raises((ArithmeticError, ValueError)):
        linear_program.ROUTE.answer(broken)


def test_without_a_definition_only_samples_answer() -> None:
    """Whatever the routes need: each of these requests is answered by some route if it is defined."""
    asked = (
        ask(problem(Quadratic(), TAU), optimum=False, variable=None),
        ask(problem(Quadratic(), TAU), optimum=False, variable=Variable("x")),
        ask(problem(Quadratic(), 0.0), optimum=True, variable=None),
    )
    assert {r.name for r in routes() for request in asked if r.applies(request)} == {
        r.name for r in routes() if r.name != "every trajectory"
    }
    for request in asked:
        bare = replace(request, define=undefined)
        assert not any(route.applies(bare) for route in routes())
        sampled = replace(bare, estimate=lambda z: (z.sum(), 0.0))
        assert [r.name for r in routes() if r.applies(sampled)] == ["every trajectory"]
    with pytest.raises(ValueError, match="no definition"):
        undefined(balls.BALLS, asked[0].point)

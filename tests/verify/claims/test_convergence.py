"""Theorems 11 and 16 and what belongs to them: proofs, certificates, runs, tightness and faults."""

import importlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from reference.algorithms.oracles import Exact
from reference.domains import project_to_simplex
from reference.evaluated import Evaluated
from reference.penalties import bellman, nikaido_isoda, value
from reference.validation import Array
from verify.claims import assumption_03, eq_c30, eq_c39, exact, table_1, theorem_11, theorem_16
from verify.claims.contract import CertificateError, Margin, PremiseError
from verify.claims.exact import descent, pbrl
from verify.claims.exact.gram import Space, follows, identical, nonnegative
from verify.claims.judge import judge, noticed
from verify.claims.trials import contextual, courses, flips, runs
from verify.claims.trials.search import evolved
from verify.contract import Context, Level
from verify.oracles.rational import nearest

VERDICTS = {
    "theorem_11": {"printed": "REFUTED", "meant": "PROVED", "proved": "PROVED"},
    "theorem_16": {"printed": "PROVED", "proved": "PROVED"},
    "eq_c38": {"printed": "PROVED", "proved": "PROVED"},
    "eq_c39": {"printed": "REFUTED", "proved": "PROVED"},
    "eq_c30": {"printed": "REFUTED", "proved": "SURVIVED"},
    "eq_d10": {"printed": "PROVED", "proved": "PROVED"},
    "eq_c32": {"printed": "PROVED", "proved": "PROVED"},
    "assumption_03": {"printed": "REFUTED", "meant": "UNTESTABLE", "proved": "SURVIVED"},
    "appendix_c7": {"printed": "UNTESTABLE", "proved": "SURVIVED"},
    "table_1": {"printed": "REFUTED", "proved": "PROVED"},
}

TIGHT = 0.99
"""What every proved form attains, as its file says."""


def quick(seed: int) -> Context:
    return Context(Level.QUICK, seed)


def claim_of(file: str) -> Any:
    return importlib.import_module(f"verify.claims.{file}").CLAIM


# Files within a seed: they share their runs.


@pytest.mark.parametrize("file", VERDICTS)
@pytest.mark.parametrize("seed", range(5))
def test_verdicts_tightness_and_faults(seed: int, file: str) -> None:
    claim = claim_of(file)
    if seed < 3:
        forms = {name: getattr(claim, name) for name in ("printed", "meant", "proved")}
        found = {name: judge(form, quick(seed)) for name, form in forms.items() if form is not None}
        assert {name: judgement.verdict.value for name, judgement in found.items()} == VERDICTS[file]
        assert TIGHT <= found["proved"].ratio <= 1.0 + 1e-3
    for fault in claim.faults:
        assert noticed(fault.trials, quick(seed))[0], fault.name


# Certificates.

Verify = Callable[[dict[str, Any]], None]

FLIP = (
    *("c1", "lhs", "rhs", "eps", "share", "x", "y", "alpha", "tau", "offset", "feature", "X", "f"),
    *("lambda", "repeats", "iterations"),
)

GAME = partial(pbrl.too_small, game=True)

# Data that do not enter both sides, such as c2 at eps_orac = 0, are left out.
CERTIFICATES: dict[str, tuple[Verify, tuple[str, ...]]] = {
    "T11_Lp": (
        theorem_11.refute_printed_step,
        (
            *("lhs", "rhs", "M", "tau", "lambda", "alpha", "K", "L_v", "C_J", "eps", "x", "y", "X"),
            *("feature", "offset", "f"),
        ),
    ),
    "T11_c1": (pbrl.too_small, FLIP),
    "T11_c2": (pbrl.too_small, (*FLIP, "c2")),
    "T11_both": (pbrl.too_small, (*FLIP, "c2")),
    "T16_c1": (GAME, FLIP),
    "T16_c2": (GAME, (*FLIP, "c2")),
    "T16_both": (GAME, (*FLIP, "c2")),
    "C39_step": (
        eq_c39.refute_step,
        ("lhs", "rhs", "eps", "share", "x", "y", "alpha", "tau", "X", "feature", "offset", "f"),
    ),
    "C30_constant": (eq_c30.refute_constant, ("lhs", "rhs", "slope", "companion", "mdp")),
    "C30_constant_g": (eq_c30.refute_constant, ("lhs", "rhs", "slope", "companion", "mdp")),
    "A3_sufficient": (
        assumption_03.refute_without_constant,
        ("lhs", "rhs", "eps", "x", "y", "f", "feature", "offset", "companion", "lambda"),
    ),
    "TAB1_lambda": (
        table_1.refute_order,
        ("lhs", "rhs", "eps", "C", "log", "lambda", "tau", "y", "feature", "f"),
    ),
}


def altered(datum: Any) -> Any:
    """The same with its last number larger by a seventh, or 1/7 in place of 0."""
    if isinstance(datum, dict):
        return datum | {"gamma": altered(datum["gamma"])}
    if isinstance(datum, list):
        return [*datum[:-1], altered(datum[-1])]
    if isinstance(datum, int):
        return datum + 1
    number = exact.fraction(datum)
    return str(number * fmpq(8, 7) if number != 0 else fmpq(1, 7))


@pytest.mark.parametrize("name", CERTIFICATES)
def test_an_altered_certificate_is_refused(name: str) -> None:
    verify, fields = CERTIFICATES[name]
    content = exact.load(name)
    verify(content)
    for field in fields:
        refused = False
        try:
            verify(content | {field: altered(content[field])})
        except CertificateError:
            refused = True
        assert refused, f"{name} verifies with an altered {field}"


def test_constants_that_hold_cannot_be_refuted() -> None:
    """The certificates against 2.15, 0.062 and 2.23 say nothing against the proved constants."""
    for name in ("T11_c1", "T11_c2", "T11_both"):
        content = exact.load(name) | {"c1": "9/4", "c2": "1/16"}
        with pytest.raises(CertificateError, match="right side"):
            pbrl.too_small(content)
        c1, c2 = theorem_11.SMALLEST_C1
        sums = run_of(content)
        eps = max(fmpq(0), 20 * sums.errors - sums.moves)
        slack = c1 * nearest(sums.gap / exact.fraction(content["alpha"])) + c2 * nearest(eps)
        assert slack >= nearest(sums.squares)


def run_of(content: dict[str, Any]) -> pbrl.ExactSums:
    problem, alpha = pbrl.ExactBilevel.parse(content), exact.fraction(content["alpha"])
    companion = pbrl.flipping(problem, exact.fraction(content["share"]))
    x, y_a = exact.fraction(content["x"]), exact.fractions(content["y"])
    return pbrl.exact_run(problem, x, y_a, companion, alpha, content["iterations"])[0]


# Exact arithmetic.


def test_the_exact_run_is_that_of_the_algorithm() -> None:
    """Every sum of Theorem 11, against the run of `reference` on the same flips."""
    kappa, share = 1e-3, 2.0 / 7.0
    setup = flips.flip(np.array([share]), kappa=kappa)
    course = runs.observed(setup, 6)
    alpha = fmpq(1, 1) / (1 + 7 * fmpq(1, 1000))
    content = exact.load("T11_c1") | {
        "tau": "1/1000",
        "X": ["-1/1000", "1/1000"],
        "feature": ["0", "1/1000", "-1/1000"],
        "x": "1/1000",
        "alpha": str(alpha),
        "iterations": 6,
    }
    sums = run_of(content)
    for found, expected in (
        (course.G, sums.squares),
        (course.E, sums.errors),
        (course.U, sums.moves),
        (course.D, sums.gap / alpha),
    ):
        np.testing.assert_allclose(found[-1, 0], nearest(expected), rtol=1e-9)


@given(st.lists(st.fractions(-3, 3, max_denominator=9), min_size=1, max_size=5))
@settings(max_examples=40, derandomize=True, deadline=None)
def test_the_exact_projection(entries: list[Any]) -> None:
    point = np.array([fmpq(p.numerator, p.denominator) for p in entries], dtype=object)
    projected = pbrl.to_simplex(point)
    floats = project_to_simplex(np.array([float(p) for p in entries]))
    np.testing.assert_allclose([nearest(p) for p in projected], floats, atol=1e-14)
    # Optimality: no vertex is closer in direction.
    slope = projected - point
    assert all(exact.total(slope * projected) <= s for s in slope)


def test_combinations_are_checked() -> None:
    space = Space("u v", "a")
    u, v = space.vectors
    (a,) = space.numbers
    square = space.square(u - v)
    young = space.square(u) + space.square(v) - 2 * space.dot(u, v)
    follows("Young", young, [(1, square)])
    with pytest.raises(CertificateError, match="differ"):
        follows("Young", 2 * young, [(1, square)])
    with pytest.raises(CertificateError, match="negative"):
        follows("Young", -young, [(-1, square)])
    with pytest.raises(CertificateError, match="differ"):
        identical("a", a, a * a)
    # Symmetric, bilinear.
    identical("bilinear", space.dot(a * u + v, v), a * space.dot(v, u) + space.square(v))


def test_nonnegative_polynomials() -> None:
    nonnegative("(1 - t)^2", [1, -2, 1], fmpq(0), fmpq(1))
    nonnegative("t", [0, 1], fmpq(0), fmpq(2))
    below: list[list[int | fmpq]] = [[-1, 1], [1, -3, 2], [fmpq(-1, 100), 0, 1]]
    for coefficients in below:
        with pytest.raises(CertificateError, match="Bernstein"):
            nonnegative("negative somewhere", coefficients, fmpq(0), fmpq(1))


def test_wrong_descent_steps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the smoothness term, or other steps, and the identities do not hold."""
    monkeypatch.setattr(descent, "HALF", fmpq(49, 100))
    for step in (descent.paper_descent, descent.one_step, descent.needed):
        with pytest.raises(CertificateError):
            step()
    monkeypatch.setattr(descent, "HALF", fmpq(1, 2))
    for longest in ((fmpq(1448, 1000), fmpq(1449, 1000)), (fmpq(1447, 1000), fmpq(14478, 10000))):
        monkeypatch.setattr(descent, "LONGEST", longest)
        with pytest.raises(CertificateError):
            descent.long_steps()


@given(st.fractions(0, 1, max_denominator=40), st.integers(1, 30))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_flips_meet_the_front(share: Any, iterations: int) -> None:
    """Every point of the front holds on every flip, exactly."""
    squares, drop, accuracy = descent.flip_sums(fmpq(share.numerator, share.denominator), iterations)
    for t in (fmpq(3, 10), fmpq(1, 2), fmpq(3, 4), fmpq(1)):
        scale = 18 * t - 1 - t * t
        assert 2 * (19 * t - 1) * drop + t * accuracy >= scale * squares


def test_linear_programming_finds_the_front() -> None:
    """The least weighted sums of constants that a thousand flips leave are those of the front."""
    share = np.linspace(theorem_11.ETA, 1.0, 1001)
    demands = -np.stack([0.5 * (1.0 - share**2), 19.0 * share**2 - 2.0 * share - 1.0], axis=1)
    for weight in (1e-4, 1e-3, 0.02, 0.03, 1.0):
        found = linprog([weight, 1.0], A_ub=demands, b_ub=-np.ones(1001), bounds=[(0, None), (0, None)])
        t = np.linspace(theorem_11.ETA, 1.0, 20001)
        scale = 18.0 * t - 1.0 - t * t
        best = (weight * 2.0 * (19.0 * t - 1.0) + t) / scale
        # Between two flips of the grid the front may lie higher by the square of their distance.
        assert best.min() - 1e-6 * (1.0 + weight) <= found.fun <= best.min() + 1e-9
    cheap = linprog([1e-9, 1.0], A_ub=demands, b_ub=-np.ones(1001), bounds=[(0, None), (0, None)])
    assert cheap.x is not None
    np.testing.assert_allclose(cheap.x, np.array([9.0 / 4.0, 1.0 / 16.0]), atol=2e-3)


def test_the_ends_of_the_front() -> None:
    c1, c2 = theorem_11.SMALLEST_C1
    assert c1 == pytest.approx((85.0 + np.sqrt(5.0)) / 40.0, rel=1e-14)
    t = theorem_11.ETA
    scale = 18.0 * t - 1.0 - t * t
    assert (c1, c2) == pytest.approx((2.0 * (19.0 * t - 1.0) / scale, t / scale), rel=1e-13)
    assert pytest.approx(38.0 / (20.0 + np.sqrt(39.0)), abs=2e-4) == float(nearest(descent.LONGEST[0]))


# Runs.


def gradient(setup: runs.Setup, x: Array, y: tuple[Array, ...]) -> Array:
    """grad F_lambda along the simplices, flattened per member."""
    algorithm = setup.algorithm
    bilevel, policies = algorithm.bilevel, algorithm.bilevel.policies(y)
    companions = algorithm.penalty.companions(bilevel.problem, x, policies)
    penalty = algorithm.penalty.evaluate(bilevel.problem, x, policies, companions)
    total = bilevel.evaluate(x, y) + algorithm.strength(0) * penalty
    rows = [g - g.mean(axis=-1, keepdims=True) for g in total.grad_policies]
    return np.concatenate([part.reshape(len(x), -1) for part in (total.grad_x, *rows)], axis=1)


def setups(seed: int) -> list[runs.Setup]:
    g = np.random.default_rng(seed)
    exact_oracles = (Exact(), Exact())
    return [
        contextual.contextual_mdp(g, 8, value.PENALTY, Exact()),
        contextual.contextual_mdp(g, 8, bellman.PENALTY, Exact()),
        contextual.contextual_game(g, 8, exact_oracles),
        contextual.general(g, value.PENALTY, exact_oracles[:1]),
        contextual.general(g, bellman.PENALTY, exact_oracles[:1]),
        contextual.general(g, nikaido_isoda.PENALTY, exact_oracles),
        flips.flip(np.linspace(0.1, 1.0, 8)),
        flips.flip(np.linspace(0.1, 1.0, 8), penalty=nikaido_isoda.PENALTY),
    ]


@pytest.mark.parametrize("seed", range(2))
def test_the_smoothness_that_steps_rely_on(seed: int) -> None:
    """No pair of points has gradients further apart; inf f is below f; penalties are not negative."""
    g = np.random.default_rng(100 + seed)
    for setup in setups(seed):
        problem, batch = setup.algorithm.bilevel.problem, len(setup.state.x)
        box, maps = problem.domain, setup.algorithm.bilevel.policy_maps
        points = []
        for sharp in (0.1, 1.0):
            x = g.uniform(box.low, box.high, (batch, *box.shape))
            shapes = [(batch, *m.domain.shape) for m in maps]
            points.append((x, tuple(g.dirichlet(np.full(s[-1], sharp), s[:-1]) for s in shapes)))
        (x, y), (u, v) = points
        # Near pairs too, where the ratio is that of a derivative.
        for t in (1.0, 1e-3):
            near = (x + t * (u - x), tuple(a + t * (b - a) for a, b in zip(y, v, strict=True)))
            apart = np.linalg.norm(gradient(setup, *near) - gradient(setup, x, y), axis=1)
            moved = setup.algorithm.bilevel.norm(
                near[0] - x, tuple(b - a for a, b in zip(y, near[1], strict=True))
            )
            assert (apart <= setup.smoothness * moved + 4.0 * setup.rounding).all(), setup.name
        assert (setup.algorithm.bilevel.evaluate(x, y).value >= setup.lowest - 1e-12).all()
        assert setup.admissible


def test_inf_f_is_attained() -> None:
    """At a corner of the simplices and an end or the stationary point of every coordinate."""
    g = np.random.default_rng(5)
    setup = contextual.contextual_mdp(g, 4, value.PENALTY, Exact())
    box = setup.algorithm.bilevel.problem.domain
    d = box.shape[0]
    grid = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, 41)] * d), axis=-1).reshape(-1, d)
    points = box.low + grid * (box.high - box.low)
    zero = tuple(np.zeros_like(part) for part in setup.state.y)
    best = np.min(
        [setup.algorithm.bilevel.evaluate(np.tile(p, (4, 1)), zero).value for p in points], axis=0
    )
    slope = setup.algorithm.bilevel.evaluate(np.zeros((4, d)), zero).grad_policies[0]
    found = best + slope.min(axis=-1).sum(axis=-1)
    assert (found >= setup.lowest - 1e-12).all()
    np.testing.assert_allclose(found, setup.lowest, atol=0.02)


def test_premises_are_filters() -> None:
    """Where Assumption 4, 5 or 8 fails, or a step is too long, a run is not counted."""
    for setup in (
        flips.rough_objective(),
        flips.rough_penalty(),
        flips.rough_penalty(nikaido_isoda.PENALTY),
        flips.flip_for_ever(fmpq(3, 2)),
    ):
        assert not setup.admissible
    for game in (False, True):
        for course in courses.courses(quick(0), game=game):
            assert course.setup.admissible
            assert (-course.objective_rounding <= course.D).all()
            least = 20.0 * course.E - course.U
            assert (course.k >= least).all()
            assert (course.k >= 0.0).all()


def test_runs_are_held_to_the_smoothness_that_their_steps_rely_on() -> None:
    """Assumptions 4, 5 and 8, on the run itself: F rises no faster than its constant allows."""
    setup = flips.flip(np.array([0.9]))
    runs.smooth(setup)
    with pytest.raises(PremiseError, match=r"F is not smooth with 0\.99 on flips"):
        runs.smooth(replace(setup, smoothness=0.99))
    runs.smooth(replace(setup, smoothness=np.inf))
    for rough in (flips.rough_objective(), flips.rough_penalty(nikaido_isoda.PENALTY)):
        runs.smooth(rough)
        with pytest.raises(PremiseError, match="F is not smooth"):
            runs.observed(replace(rough, smoothness=1.9), 1)


def test_values_that_do_not_belong_to_the_gradients_are_no_run() -> None:
    setup = flips.cold_start(1.0)
    right = setup.algorithm.penalty

    def evaluate(
        lower: Any, x: Array, policies: tuple[Array, ...], companions: tuple[Array, ...]
    ) -> Evaluated:
        found = right.evaluate(lower, x, policies, companions)
        return Evaluated(1.01 * found.value, found.grad_x, found.grad_policies)

    algorithm = replace(setup.algorithm, penalty=replace(right, evaluate=evaluate))
    with pytest.raises(PremiseError, match="start at a vertex"):
        runs.smooth(replace(setup, algorithm=algorithm))


def test_the_tightest_iteration_is_reported() -> None:
    setup = flips.flip(np.array([0.9]))
    course = runs.observed(setup, 3)
    lhs, rhs = np.array([[1.0], [3.0], [2.0]]), np.array([[2.0], [3.5], [1.0]])
    (margin,) = runs.worst(course, lhs, rhs, np.zeros((3, 1)))
    assert (margin.lhs, margin.rhs) == (2.0, 1.0)
    (margin,) = runs.worst(course, lhs, rhs + 2.0, np.zeros((3, 1)))
    assert margin.lhs == 2.0 / 1.0
    nan = np.array([[1.0], [np.nan], [1.0]])
    (margin,) = runs.worst(course, nan, rhs, np.zeros((3, 1)))
    assert margin.violated


def test_the_search_climbs() -> None:
    def ratios(z: Array) -> Array:
        return np.asarray(np.exp(-((z - np.array([1.0, -2.0])) ** 2).sum(axis=1)))

    best = evolved(quick(0), "hill", 2, ratios, generations=60)
    np.testing.assert_allclose(best, [1.0, -2.0], atol=0.02)
    assert isinstance(evolved(quick(0), "flat", 1, lambda z: np.full(len(z), np.nan)), np.ndarray)


def test_theorem_16_survives_the_slip_of_d9() -> None:
    theorem_16.slip_of_d9()
    theorem_16.cannot_be_smaller()


def test_margins_are_finite() -> None:
    margins: list[Margin] = []
    for file in ("eq_d10", "appendix_c7"):
        margins += claim_of(file).proved.trials(quick(0))
    for margin in margins:
        assert np.isfinite([margin.lhs, margin.rhs, margin.tolerance]).all(), margin.where
        assert margin.tolerance > 0.0

"""Both ways to solve a chain: small residuals, agreement, and the way back when mixing is slow."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.resolvents import (
    LARGE,
    UNIT,
    _Factorized,
    _Mixing,
    discounted_sum,
    factorized,
    resolvent,
)
from reference.validation import Array


def mixing(generator: np.random.Generator, n: int) -> Array:
    P_st = generator.random((n, n)) ** 3
    return np.asarray(P_st / P_st.sum(axis=1, keepdims=True))


def blocks(n: int, leak: float) -> Array:
    """Two halves that are left once in 1 / leak steps: the second eigenvalue is 1 - 2 leak."""
    half = n // 2
    P_st = np.full((n, n), leak / half)
    for part in (slice(None, half), slice(half, None)):
        P_st[part, part] = (1.0 - leak) / half
    return P_st


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 0.9, 0.999]))
@settings(max_examples=12, derandomize=True, deadline=None)
def test_corrections_have_residuals_of_rounding(seed: int, gamma: float) -> None:
    """The residual of either solve, in exact enough arithmetic, against a backward stable one."""
    generator = np.random.default_rng(seed)
    P_st, b_s = mixing(generator, LARGE), generator.standard_normal(LARGE)
    solver = resolvent(P_st, gamma)
    assert isinstance(solver, _Mixing)
    for x_s, matrix in ((solver.solve(b_s), P_st), (solver.solve_adjoint(b_s), P_st.T)):
        exact = b_s + gamma * (matrix.astype(np.longdouble) @ x_s) - x_s
        size = np.linalg.norm(b_s) + 2.0 * np.linalg.norm(x_s)
        # The accepted residual, and the rounding of computing it: n products per entry.
        assert np.linalg.norm(np.asarray(exact, dtype=float)) <= (4.0 + LARGE) * UNIT * size
    assert "_factorized" not in vars(solver)


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.9, 0.999]))
@settings(max_examples=8, derandomize=True, deadline=None)
def test_both_ways_agree(seed: int, gamma: float) -> None:
    generator = np.random.default_rng(seed)
    P_st, b_s = mixing(generator, LARGE), generator.standard_normal(LARGE)
    fast, sure = resolvent(P_st, gamma), factorized(P_st, gamma)
    allowed = 20.0 * LARGE * UNIT / (1.0 - gamma)
    for own, other in (
        (fast.solve(b_s), sure.solve(b_s)),
        (fast.solve_adjoint(b_s), sure.solve_adjoint(b_s)),
    ):
        assert np.abs(own - other).max() <= allowed * (np.abs(other).max() + np.abs(b_s).sum())


def test_slow_chains_are_factorised_at_once() -> None:
    """From the uniform start a cycle stands still, but two unequal halves give themselves away."""
    P_st = blocks(LARGE, 1e-4)
    P_st[: LARGE // 4] = P_st[-1]
    assert isinstance(resolvent(P_st, 0.99), _Factorized)


@pytest.mark.parametrize("leak", [1e-3, 1e-6])
def test_slow_chains_that_look_fast_are_factorised_after_all(leak: float) -> None:
    """The uniform distribution is stationary here, so that nothing is noticed before the solve."""
    P_st, gamma = blocks(LARGE, leak), 0.99
    solver = resolvent(P_st, gamma)
    assert isinstance(solver, _Mixing)
    b_s = np.where(np.arange(LARGE) < LARGE // 2, 1.0, -1.0)
    x_s = solver.solve(b_s)
    # b is an eigenvector with eigenvalue 1 - 2 leak.
    assert np.abs(x_s - b_s / (1.0 - gamma * (1.0 - 2.0 * leak))).max() <= 1e-8 * np.abs(x_s).max()
    assert "_factorized" in vars(solver)
    np.testing.assert_allclose(solver.solve_adjoint(b_s), x_s, rtol=1e-8)


def test_lists_of_vectors_are_left_to_the_factors() -> None:
    generator = np.random.default_rng(0)
    P_st, b_ks = mixing(generator, LARGE), generator.standard_normal((3, LARGE))
    solver = resolvent(P_st, 0.9)
    rows = np.stack([solver.solve(b_s) for b_s in b_ks])
    np.testing.assert_allclose(solver.solve(b_ks), rows, rtol=1e-10)


def test_small_chains_are_factorised() -> None:
    assert isinstance(resolvent(mixing(np.random.default_rng(0), LARGE - 1), 0.9), _Factorized)


def test_one_use_of_a_chain_says_whether_corrections_served() -> None:
    generator = np.random.default_rng(6)
    c_s = generator.standard_normal(LARGE)
    for P_st, fast in ((mixing(generator, LARGE), True), (blocks(LARGE, 1e-4), False)):
        v_s, served = discounted_sum(P_st, 0.9, c_s)
        assert served == fast
        others, never = discounted_sum(P_st.copy(), 0.9, c_s, owned=True, mixing=False)
        assert not never
        for found in (v_s, others):
            left = np.abs(c_s + 0.9 * P_st @ found - found).max()
            assert left <= 20.0 * LARGE * UNIT * np.abs(found).max()

r"""Worst cases of Theorem 11 by performance estimation (PEPit), beside the proved bounds.

With alpha = L = 1 and D = 1, the largest average of |G_k|^2 over K iterations is sought over all smooth
F, all closed convex sets, all errors that meet Assumption 3 with accuracy eps, and all starts with
F(z_1) - inf F <= 1.  In inner products of gradients and points this is a semidefinite program; that F is
at least inf F is asked at the points that occur, so its value bounds the worst case from above.  The
flips bound it from below, and the proved bound is

    min over m of  2 w_1(m) / K + m eps,         `verify.claims.exact.horizon`.

PEPit is needed for `worst_case` only: ``pip install -c constraints.txt -e ".[estimation]"``.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from reference.errors import InputError
from reference.validation import Array

ACCURACY = 1e-6
"""Asked of the solver, which has double precision and a degenerate problem."""


@dataclass(frozen=True)
class Estimate:
    """Bounds of the average of |G_k|^2 for alpha = L = D = 1.

    Attributes
    ----------
    iterations : int
        K.
    accuracy : float
        eps_orac.
    printed : float
        16 / K + eps.
    asymptotic : float
        The least of 9/4 / K + eps / 16 and the rest of the front.
    proved : float
        With the constants of K iterations.
    flip : float
        Attained by a flip.
    estimated : float
        By performance estimation.
    smallest : float
        The same for the smallest |G_k|^2 in place of the average; an observation.
    """

    iterations: int
    accuracy: float
    printed: float
    asymptotic: float
    proved: float
    flip: float
    estimated: float
    smallest: float


def estimate(iterations: int, accuracy: float) -> Estimate:
    """All bounds for one K and eps.

    Raises
    ------
    InputError
        If K < 1 or eps < 0, or PEPit is not installed.
    """
    if iterations < 1 or not accuracy >= 0.0:
        raise InputError(f"K = {iterations} must be at least 1, and eps = {accuracy:g} at least 0")
    m = multiplier(iterations, accuracy)
    share, first = backwards(m, iterations)
    return Estimate(
        iterations,
        accuracy,
        16.0 / iterations + accuracy,
        front(iterations, accuracy),
        2.0 * first / iterations + m * accuracy,
        flip(share)[0] / iterations,
        worst_case(iterations, accuracy),
        worst_case(iterations, accuracy, smallest=True),
    )


def front(iterations: int, accuracy: float) -> float:
    """The least bound whose constants hold for all K."""
    t = np.linspace((1.0 + np.sqrt(20.0)) / 19.0, 1.0, 100_001)
    w = 18.0 * t - 1.0 - t * t
    return float((2.0 * (19.0 * t - 1.0) / (w * iterations) + accuracy * t / w).min())


def multiplier(iterations: int, accuracy: float) -> float:
    """The m of the least bound: its flip just uses up the accuracy.

    At m the flip asks for sum (20 E_k - U_k) of 2 D: less, the larger m.
    """
    if iterations == 1:
        return 0.0
    low = _least(iterations)

    def left(m: float) -> float:
        return flip(backwards(m, iterations)[0])[1] - iterations * accuracy

    high = 2.0 * low
    while left(high) > 0.0:
        high *= 2.0
    near = low * (1.0 + 1e-13)
    return float(brentq(left, near, high, xtol=1e-16, rtol=1e-14)) if left(near) > 0.0 else near


def _least(iterations: int) -> float:
    """Below it there are no weights: some w_{k+1} reaches 19 m."""
    low, high = 0.0, 1.0
    while high - low > 1e-16:
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        share, _ = backwards(middle, iterations)
        low, high = (low, middle) if np.isfinite(share).all() else (middle, high)
    return high


def backwards(m: float, iterations: int) -> tuple[Array, float]:
    """Shares s_1, ..., s_K and w_1; infinite where m is too small."""
    w, share = 0.0, np.zeros(iterations)
    for k in reversed(range(iterations)):
        if w >= 19.0 * m > 0.0:
            return np.full(iterations, np.inf), np.inf
        share[k] = m / (19.0 * m - w) if m > 0.0 else 1.0 / 19.0
        w = 1.0 + m + m * share[k]
    return share, w


def flip(share: Array) -> tuple[float, float]:
    """Sums of G and of 20 E - U along the flip with D = 1."""
    size = 2.0 * np.cumprod(np.concatenate([[1.0], share[:-1] ** 2]))
    return float(size.sum()), float((size * (20.0 * share**2 - (1.0 + share) ** 2)).sum())


def worst_case(iterations: int, accuracy: float, *, smallest: bool = False) -> float:
    """Solve the semidefinite program.

    Raises
    ------
    InputError
        If PEPit is not installed.
    """
    try:
        from PEPit import PEP, Point  # type: ignore[import-untyped]  # PEPit ships no types
        from PEPit.functions import (  # type: ignore[import-untyped]  # PEPit ships no types
            ConvexIndicatorFunction,
            SmoothFunction,
        )
        from PEPit.primitive_steps import proximal_step  # type: ignore[import-untyped]  # PEPit ships no types
    except ImportError as error:
        raise InputError(
            'performance estimation needs PEPit: pip install -c constraints.txt -e ".[estimation]"'
        ) from error

    problem = PEP()
    smooth = problem.declare_function(SmoothFunction, L=1.0)
    members = problem.declare_function(ConvexIndicatorFunction)
    lowest = smooth((smooth + members).stationary_point())
    z, _, _ = proximal_step(problem.set_initial_point(), members, 1.0)
    problem.set_initial_condition(smooth(z) - lowest <= 1.0)
    squares, excess = [], 0.0
    for k in range(iterations + 1):
        gradient = smooth.gradient(z)
        exact, _, _ = proximal_step(z - gradient, members, 1.0)
        problem.add_constraint(smooth(exact) >= lowest)
        if k == iterations:
            break
        slip = Point()
        new, _, _ = proximal_step(z - gradient - slip, members, 1.0)
        problem.add_constraint(smooth(new) >= lowest)
        squares.append((z - exact) ** 2)
        excess = 20.0 * slip**2 - (z - new) ** 2 + excess
        z = new
    problem.add_constraint(excess <= iterations * accuracy)
    if smallest:
        for square in squares:
            problem.set_performance_metric(square)
    else:
        problem.set_performance_metric(sum(squares[1:], squares[0]) / iterations)
    limits = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), ACCURACY)
    return float(problem.solve(wrapper="cvxpy", solver="CLARABEL", verbose=0, **limits))

"""Least squares, with confidence intervals.

    y = X beta + residual,     s^2 = |residual|^2 / (n - p)
    beta_i  +-  t_{n-p}(0.975) s sqrt( [(X'X)^{-1}]_ii )

The numbers that are fitted here are not random: an interval says how straight the line is, not how
often it would cover a truth.  Where independent random problems are fitted one by one, the interval of
the mean of their slopes is a statistical one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from reference.errors import InputError
from reference.validation import Array
from verify.converge.findings import number

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"value": number(self.value), "low": number(self.low), "high": number(self.high)}

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def least_squares(predictors: Array, y: Array) -> tuple[Estimate, ...]:
    """Fit y by a constant and predictors (n, p); the constant's estimate is last.

    Raises
    ------
    InputError
        If there are not more points than coefficients, or the predictors determine none.
    """
    X = np.column_stack([predictors, np.ones(len(y))])
    n, p = X.shape
    if n <= p:
        raise InputError(f"{n} points do not determine {p} coefficients and their errors: give more")
    if np.linalg.matrix_rank(X - X.mean(axis=0) * (np.arange(p) < p - 1)) < p:
        raise InputError("the predictors are not independent: give points that differ in each of them")
    inverse = np.linalg.inv(X.T @ X)
    beta = np.linalg.lstsq(X, y, rcond=None)[0]
    spread = np.sqrt(((y - X @ beta) ** 2).sum() / (n - p) * np.diag(inverse))
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, n - p)) * spread
    return tuple(Estimate(float(b), float(b - h), float(b + h)) for b, h in zip(beta, half, strict=True))


def mean(values: Array) -> Estimate:
    """The mean of independent values, by Student's t.

    Raises
    ------
    InputError
        If there are fewer than two.
    """
    n = len(values)
    if n < 2:
        raise InputError(f"{n} values have no spread: give at least two")
    half = float(stats.t.ppf(0.5 + CONFIDENCE / 2.0, n - 1)) * float(values.std(ddof=1)) / np.sqrt(n)
    centre = float(values.mean())
    return Estimate(centre, centre - half, centre + half)


def spaced(length: int, points: int) -> Array:
    """Whole numbers from 1 to ``length``, evenly spaced in the logarithm, each of them once."""
    return np.unique(np.rint(np.geomspace(1.0, length, points)).astype(int))


def tail_exponent(values: Array, points: int = 24) -> tuple[Estimate, tuple[int, int]]:
    """Slope of log values against log K over the last decade of K = 1, 2, ..., and that range."""
    last = len(values)
    chosen = np.unique(np.rint(np.geomspace(max(1.0, last / 10.0), last, points)).astype(int))
    slope, _ = least_squares(np.log(chosen)[:, None], np.log(values[chosen - 1]))
    return slope, (int(chosen[0]), last)

"""Shared by the objectives' tests: a derivative with its own error bound."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

Slope = Callable[[Callable[[float], float], float], tuple[float, float]]


def _slope(function: Callable[[float], float], scale: float) -> tuple[float, float]:
    """Derivative at 0 by twice extrapolated central differences, and a bound on its error.

    The two extrapolations' disagreement bounds the truncation; ``scale`` bounds the sizes that are
    added up in the function, whose rounding is divided by the step.
    """
    h = 1e-2
    central = [(function(s) - function(-s)) / (2.0 * s) for s in (h, h / 2.0, h / 4.0)]
    first, second = ((4.0 * b - a) / 3.0 for a, b in itertools.pairwise(central))
    rounding = 256.0 * float(np.finfo(np.float64).eps) * scale / h
    return second, abs(second - first) + rounding


@pytest.fixture(scope="session")
def slope() -> Slope:
    return _slope

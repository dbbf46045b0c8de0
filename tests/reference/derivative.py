"""Directional derivatives by differences, with their own error bound."""

import itertools
from collections.abc import Callable

import numpy as np

from reference.validation import Array


def slope(
    function: Callable[[Array], float], point: Array, direction: Array, scale: float
) -> tuple[float, float]:
    """Derivative of a function at a point along a direction, and a bound on its error.

    Central differences at three steps, extrapolated twice: the two extrapolations' disagreement bounds
    the truncation.  ``scale`` bounds the sizes that are added up in the function, whose rounding is
    divided by the step.
    """
    steps = (1e-2, 5e-3, 2.5e-3)
    central = [
        (function(point + h * direction) - function(point - h * direction)) / (2.0 * h) for h in steps
    ]
    first, second = ((4.0 * b - a) / 3.0 for a, b in itertools.pairwise(central))
    rounding = 256.0 * float(np.finfo(np.float64).eps) * scale / steps[0]
    return second, abs(second - first) + rounding

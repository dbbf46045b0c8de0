"""Numerical derivatives with a tolerance of their own."""

from collections.abc import Callable

import numpy as np

_UNIT = float(np.finfo(np.float64).eps)


def derivative(
    function: Callable[[float], float], *, size: float, step: float = 1e-2
) -> tuple[float, float]:
    """Derivative at zero of a smooth function on [-step, step], and a bound on its error.

    Richardson's extrapolation R(h) = (4 D(h/2) - D(h)) / 3 of central differences D has an error of
    order h^4, so R(h/2) is off by less than |R(h) - R(h/2)| once h is small.  Added to that is the
    rounding of the function, whose terms have absolute values that sum to ``size``.
    """

    def central(h: float) -> float:
        return (function(h) - function(-h)) / (2.0 * h)

    d = [central(step / 2**i) for i in range(3)]
    coarse, fine = ((4.0 * d[i + 1] - d[i]) / 3.0 for i in range(2))
    return fine, abs(fine - coarse) + 256.0 * _UNIT * size / step

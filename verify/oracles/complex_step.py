"""Derivatives of the primitive value by a complex step: Im f(z + i h u) / h, with h = 1e-30.

There is no subtraction, so no step-size dilemma: the truncation is of order h^2.  It needs every
function to be analytic where it is used, which holds away from the kinks of a projection.
"""

from dataclasses import dataclass

import numpy as np

from verify.oracles.arithmetic import NumpyArithmetic
from verify.oracles.route import Answer, Request, moved

STEP = 1e-30

COMPLEX = NumpyArithmetic(
    number=complex,
    exponential=np.exp,
    logarithm=np.log,
    primal=lambda z: float(z.real),
    linear_solve=np.linalg.solve,
    dtype=np.complex128,
    rounds=True,
)


@dataclass(frozen=True)
class ComplexStep:
    """Slopes along given directions."""

    name: str = "complex step"

    def applies(self, request: Request) -> bool:
        """Derivatives only; values would be the same floats as elsewhere."""
        return request.is_defined and request.variable is not None

    def answer(self, request: Request) -> Answer:
        """One evaluation per direction."""
        slopes = [
            complex(request.define(COMPLEX, moved(COMPLEX, request, 1j * STEP, u))).imag / STEP
            for u in request.directions
        ]
        return Answer(np.array(slopes), 0.0, slopes=True)


ROUTE = ComplexStep()

"""Exact rational arithmetic, with exact derivatives by dual numbers.

Floats are rationals, so the definition is evaluated without any rounding; the only error is the
final conversion to the nearest float.  It needs definitions without exp and log: direct policies,
linear rewards, and the quadratic regulariser or none.  The optimum of a quadratically regularised
MDP is an algebraic number and in general irrational, unless gamma = 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from flint import fmpq

from verify.oracles.arithmetic import NumpyArithmetic, eliminate
from verify.oracles.route import Answer, Request, moved

LARGEST = 8
"""States above which the numbers grow too long."""


def rational(value: float) -> fmpq:
    """The float as the fraction that it is."""
    return fmpq(*float(value).as_integer_ratio())


def nearest(value: fmpq) -> float:
    """The float nearest to a fraction."""
    return int(value.p) / int(value.q)


@dataclass(frozen=True, eq=False)
class Dual:
    """a + b eps with eps^2 = 0: a number and its exact derivative along one direction."""

    a: fmpq
    b: fmpq

    # Whole numbers appear as the starts of sums; arrays are left to NumPy, which comes back entry
    # by entry.

    def __add__(self, other: object) -> "Dual":
        if isinstance(other, int):
            return Dual(self.a + other, self.b)
        if isinstance(other, Dual):
            return Dual(self.a + other.a, self.b + other.b)
        return NotImplemented

    def __radd__(self, other: int) -> "Dual":
        return self + other

    def __neg__(self) -> "Dual":
        return Dual(-self.a, -self.b)

    def __sub__(self, other: object) -> "Dual":
        return self + (-other) if isinstance(other, Dual) else NotImplemented

    def __mul__(self, other: object) -> "Dual":
        if isinstance(other, int):
            return Dual(self.a * other, self.b * other)
        if isinstance(other, Dual):
            return Dual(self.a * other.a, self.a * other.b + self.b * other.a)
        return NotImplemented

    def __rmul__(self, other: int) -> "Dual":
        return self * other

    def __truediv__(self, other: object) -> "Dual":
        if isinstance(other, Dual):
            quotient = self.a / other.a
            return Dual(quotient, (self.b - quotient * other.b) / other.a)
        return NotImplemented

    def __abs__(self) -> fmpq:
        return abs(self.a)


def _unavailable(value: Any) -> Any:
    raise TypeError(f"exp and log of {value} are not rational")


DUALS = NumpyArithmetic(
    number=lambda value: Dual(rational(value), fmpq(0)),
    exponential=_unavailable,
    logarithm=_unavailable,
    primal=lambda dual: nearest(dual.a),
    linear_solve=eliminate,
    dtype=object,
    rounds=False,
)


@dataclass(frozen=True)
class ExactRationals:
    """Values and slopes without rounding."""

    name: str = "rationals"

    def applies(self, request: Request) -> bool:
        """Small problems without exp and log whose optimum, if any, is rational."""
        rational_optimum = not request.optimum or request.unregularized or request.gamma == 0.0
        small = request.is_defined and request.n_states <= LARGEST
        return small and not request.transcendental and rational_optimum

    def answer(self, request: Request) -> Answer:
        """Run the definition on dual numbers."""
        if request.variable is None:
            values = request.define(DUALS, request.point.lifted(DUALS))
            return Answer(DUALS.real(values), 0.0)
        unit = Dual(fmpq(0), fmpq(1))
        slopes = [
            nearest(request.define(DUALS, moved(DUALS, request, unit, u)).b) for u in request.directions
        ]
        return Answer(np.array(slopes), 0.0, slopes=True)


ROUTE = ExactRationals()

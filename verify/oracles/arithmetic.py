"""What the definitions ask of a number system, and the NumPy half of the answer.

Floats, complex numbers, exact rationals, dual numbers and balls all live in NumPy arrays (the last
three as objects); tensors of PyTorch offer the same operators.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Native = Any
"""An array of the arithmetic at hand: a NumPy array of its numbers, or a tensor."""

Floats = npt.NDArray[np.float64]


class Arithmetic(Protocol):
    """Array operations over one number system."""

    @property
    def rounds(self) -> bool:
        """Whether numbers are rounded to the precision of float64."""
        ...

    def lift(self, values: npt.ArrayLike) -> Native:
        """Floats as numbers of this system, exactly."""
        ...

    def einsum(self, spec: str, *operands: Native) -> Native:
        """Sum of products, as in NumPy."""
        ...

    def stack(self, arrays: Sequence[Native]) -> Native:
        """Join arrays along a new first axis."""
        ...

    def exp(self, z: Native) -> Native:
        """Exponential, elementwise."""
        ...

    def log(self, z: Native) -> Native:
        """Logarithm, elementwise, of positive numbers."""
        ...

    def real(self, z: Native) -> Floats:
        """Nearest floats of the real (primal) parts, for comparisons only."""
        ...

    def sharpen(self, z: Native) -> Native:
        """Drop the error bounds that numbers carry: an iteration that corrects itself needs none."""
        ...

    def solve(self, P_st: Native, gamma: Native, c_s: Native) -> Native:
        """v with v = c + gamma P v; several right sides stand as columns (S, K)."""
        ...


@dataclass(frozen=True)
class NumpyArithmetic:
    """Number systems whose numbers are entries of NumPy arrays.

    Attributes
    ----------
    number : float -> one number of the system, exactly
    exponential, logarithm : functions of one number, or NumPy's of an array
    primal : number -> nearest float of its real part
    linear_solve : (matrix, right side) -> solution
    dtype : of the arrays
    rounds : whether numbers are rounded to the precision of float64
    centre : number -> the number without its error bound, where numbers carry one
    """

    number: Callable[[float], Any]
    exponential: Callable[[Any], Any]
    logarithm: Callable[[Any], Any]
    primal: Callable[[Any], float]
    linear_solve: Callable[[Native, Native], Native]
    dtype: type
    rounds: bool
    centre: Callable[[Any], Any] | None = None

    def lift(self, values: npt.ArrayLike) -> Native:
        """Convert entry by entry; numbers that NumPy has are converted at once."""
        floats = np.asarray(values, dtype=np.float64)
        return self._each(self.number, floats) if self.dtype is object else floats.astype(self.dtype)

    def einsum(self, spec: str, *operands: Native) -> Native:
        """``numpy.einsum``, which also sums products of objects."""
        return np.einsum(spec, *operands)

    def stack(self, arrays: Sequence[Native]) -> Native:
        """``numpy.stack``."""
        return np.stack(arrays)

    def exp(self, z: Native) -> Native:
        """Exponential of each entry."""
        return self._each(self.exponential, z) if self.dtype is object else self.exponential(z)

    def log(self, z: Native) -> Native:
        """Logarithm of each entry."""
        return self._each(self.logarithm, z) if self.dtype is object else self.logarithm(z)

    def real(self, z: Native) -> Floats:
        """Primal part of each entry."""
        if self.dtype is object:
            return np.asarray(self._each(self.primal, z), dtype=np.float64)
        return np.asarray(np.real(z), dtype=np.float64)

    def sharpen(self, z: Native) -> Native:
        """Take the centre of each entry."""
        return z if self.centre is None else self._each(self.centre, z)

    def solve(self, P_st: Native, gamma: Native, c_s: Native) -> Native:
        """Solve the linear system as it stands."""
        identity = self.lift(np.eye(len(c_s)))
        return self.linear_solve(identity - gamma * P_st, c_s)

    @staticmethod
    def _each(function: Callable[[Any], Any], z: Native) -> Native:
        z = np.asarray(z, dtype=object)
        out = np.empty(z.shape, dtype=object)
        for index in np.ndindex(z.shape):
            out[index] = function(z[index])
        return out


def eliminate(matrix: Native, right: Native) -> Native:
    """Gaussian elimination with the pivot of largest primal part, for arrays of any exact numbers."""
    a, b = matrix.copy(), right.copy()
    n = len(b)
    for column in range(n):
        pivot = max(range(column, n), key=lambda row: abs(a[row, column]))
        a[[column, pivot]], b[[column, pivot]] = a[[pivot, column]], b[[pivot, column]]
        for row in range(column + 1, n):
            factor = a[row, column] / a[column, column]
            a[row, column:] = a[row, column:] - factor * a[column, column:]
            b[row] = b[row] - factor * b[column]
    solution = b.copy()
    for row in reversed(range(n)):
        known = sum((a[row, j] * solution[j] for j in range(row + 1, n)), start=0 * b[row])
        solution[row] = (b[row] - known) / a[row, row]
    return solution

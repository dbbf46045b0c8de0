r"""Inner products as indeterminates: inequalities proved as nonnegative combinations over Q.

A vector is a formal combination of named vectors, and <u,v> is a polynomial in the inner products of
those.  An inequality ``slack >= 0`` follows from others if identically

    slack = sum_i multiplier_i slack_i,     multiplier_i >= 0,

and then it holds for all vectors of every space with an inner product.  Squares of vectors are slacks
that need no premise.  Multipliers that depend on a parameter are polynomials, shown to be nonnegative
on an interval by their coefficients in Bernstein's basis.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb

from flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx, fmpq_poly

from verify.claims.exact import require

Coefficient = int | fmpq | fmpq_mpoly

Terms = Iterable[tuple[Coefficient, fmpq_mpoly]]
"""Multipliers, each with the slack that it multiplies."""


@dataclass(frozen=True, eq=False)
class Vector:
    """A combination of the named vectors of a space.

    Attributes
    ----------
    coefficients : tuple of polynomials
        One for each name.
    """

    coefficients: tuple[fmpq_mpoly, ...]

    def __add__(self, other: "Vector") -> "Vector":
        """Sum."""
        pairs = zip(self.coefficients, other.coefficients, strict=True)
        return Vector(tuple(a + b for a, b in pairs))

    def __sub__(self, other: "Vector") -> "Vector":
        """Difference."""
        return self + (-1) * other

    def __neg__(self) -> "Vector":
        """Opposite."""
        return (-1) * self

    def __rmul__(self, factor: Coefficient) -> "Vector":
        """Multiple by a number or a polynomial."""
        return Vector(tuple(factor * a for a in self.coefficients))


class Space:
    """Vectors and numbers with names, about which nothing is assumed.

    Parameters
    ----------
    vectors, numbers : names, separated by blanks
    """

    def __init__(self, vectors: str, numbers: str = "") -> None:
        names = vectors.split()
        self._pairs = list(combinations_with_replacement(range(len(names)), 2))
        products = [f"<{names[i]},{names[j]}>" for i, j in self._pairs]
        self._context = fmpq_mpoly_ctx.get([*products, *numbers.split()])
        gens = self._context.gens()
        one, zero = self._context.constant(1), self._context.constant(0)
        self._products = dict(zip(self._pairs, gens, strict=False))
        self.vectors = tuple(
            Vector(tuple(one if i == j else zero for j in range(len(names)))) for i in range(len(names))
        )
        self.numbers = gens[len(products) :]

    def dot(self, u: Vector, v: Vector) -> fmpq_mpoly:
        """<u,v>."""
        total = self._context.constant(0)
        a, b = u.coefficients, v.coefficients
        for i, j in self._pairs:
            both = a[i] * b[j] + a[j] * b[i] if i != j else a[i] * b[i]
            total = total + both * self._products[i, j]
        return total

    def square(self, u: Vector) -> fmpq_mpoly:
        """|u|^2."""
        return self.dot(u, u)


def identical(what: str, left: fmpq_mpoly, right: fmpq_mpoly) -> None:
    """Require that two polynomials are the same."""
    require((left - right).is_zero(), f"{what}: the two sides differ by {left - right}")


def follows(what: str, slack: fmpq_mpoly, known: Terms) -> None:
    """Require that a slack is the combination of known ones with the given multipliers.

    Rational multipliers must not be negative; for polynomials see :func:`nonnegative`.
    """
    pairs = list(known)
    for multiplier, _ in pairs:
        if not isinstance(multiplier, fmpq_mpoly):
            require(fmpq(multiplier) >= 0, f"{what}: the multiplier {multiplier} is negative")
    identical(what, slack, sum((m * s for m, s in pairs), start=0 * slack))


def nonnegative(what: str, coefficients: Sequence[int | fmpq], low: fmpq, high: fmpq) -> None:
    """Require that a polynomial, lowest coefficient first, is nonnegative on [low, high].

    Its coefficients in Bernstein's basis, sum_i b_i C(n,i) t^i (1 - t)^(n - i), must be.
    """
    n = len(coefficients) - 1
    polynomial = fmpq_poly([fmpq(c) for c in coefficients])
    shifted = polynomial(fmpq_poly([low, high - low]))
    for i in range(n + 1):
        bernstein = sum((shifted[j] * fmpq(comb(i, j), comb(n, j)) for j in range(i + 1)), start=fmpq(0))
        require(bernstein >= 0, f"{what}: coefficient {i} in Bernstein's basis is {bernstein}")

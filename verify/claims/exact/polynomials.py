"""Polynomials over the rationals: identities, and signs on a box by Bernstein coefficients."""

from itertools import product
from math import comb, prod
from typing import Any

import numpy as np
from flint import fmpq, fmpq_mpoly, fmpq_mpoly_ctx

from verify.claims.exact.rationals import Rationals, require


def determinant(matrix: Rationals) -> Any:
    """Determinant over any commutative ring, by the first row."""
    if len(matrix) == 1:
        return matrix[0, 0]
    minors = (np.delete(matrix[1:], column, axis=1) for column in range(len(matrix)))
    return sum((-1) ** k * matrix[0, k] * determinant(minor) for k, minor in enumerate(minors))


def indeterminates(*names: str) -> tuple[fmpq_mpoly, ...]:
    """Indeterminates over the rationals."""
    return tuple(fmpq_mpoly_ctx.get(names, "lex").gens())


def combination(conclusion: fmpq_mpoly, *parts: tuple[fmpq_mpoly, fmpq_mpoly]) -> None:
    """Require that a conclusion is identically the sum of multiplier * slack.

    Then it is nonnegative with the slacks, where the indeterminates in the multipliers are: a multiplier
    must have no negative coefficient.
    """
    left_over = conclusion
    for multiplier, slack in parts:
        require(all(a >= 0 for a in multiplier.coeffs()), f"{multiplier} may be negative")
        left_over -= multiplier * slack
    require(left_over.is_zero(), f"the combination misses the conclusion by {left_over}")


def nonnegative(what: str, polynomial: fmpq_mpoly, *box: tuple[fmpq, fmpq]) -> None:
    """Require that a polynomial is nonnegative on a box: its Bernstein coefficients there are."""
    ring = polynomial.context()
    moved = polynomial.compose(
        *(low + (high - low) * x for (low, high), x in zip(box, ring.gens(), strict=True)), ctx=ring
    )
    degrees, powers = moved.degrees(), moved.to_dict()
    for index in product(*(range(n + 1) for n in degrees)):
        coefficient = sum(
            (
                a
                * prod((fmpq(comb(i, j), comb(n, j)) for i, j, n in zip(index, k, degrees, strict=True)))
                for k, a in powers.items()
                if all(j <= i for i, j in zip(index, k, strict=True))
            ),
            start=fmpq(0),
        )
        require(coefficient >= 0, f"{what}: a Bernstein coefficient is {coefficient}")

r"""Theorems 11 and 16 for K iterations: the smallest constants of each K.

Notation of `verify.claims.exact.descent`; G_k = |g|^2, E_k = |e|^2, U_k = |h|^2 of iteration k, and
Phi_k = (F(z_k) - inf f) / alpha, so that Phi_1 = D.  For a number m, the weight of the accuracy, let ::

    w_{K+1} = 0,     w_k = 1 + m + m s_k,     s_k = m / (19 m - w_{k+1})

as long as w_{k+1} < 19 m.  Then for every run

    sum_k G_k  <=  2 w_1 D + m sum_k (20 E_k - U_k)  <=  2 w_1 D + m K eps_orac,

and a flip with the shares s_1, ..., s_K attains it: x = 1, F = x^2 / 2, e_k = s_k x_k.  So, for each K,
the smallest bound is the least one over m.  For m >= 1/16 the weights exist for all K, and as K grows
2 w_1 increases to the c1 that goes with c2 = m for all K: 9/4 for m = 1/16.
"""

from collections.abc import Sequence
from itertools import pairwise

from flint import fmpq

from verify.claims.exact import require
from verify.claims.exact.gram import Space, Terms, follows, identical

ACCURACY = fmpq(1, 16), fmpq(2, 29), fmpq(1, 4)
"""Weights m for which the constants are verified, with K = 1, 2, 5 and more."""


def weights(m: fmpq, iterations: int) -> list[fmpq]:
    """w_1, ..., w_{K+1}.

    Raises
    ------
    CertificateError
        If m is too small for that many iterations.
    """
    found = [fmpq(0)]
    for _ in range(iterations):
        require(found[0] < 19 * m, f"m = {m} is too small for {iterations} iterations")
        found.insert(0, 1 + m + m * m / (19 * m - found[0]))
    return found


def shares(m: fmpq, iterations: int) -> list[fmpq]:
    """s_1, ..., s_K of the flip that attains the bound."""
    return [m / (19 * m - w) for w in weights(m, iterations)[1:]]


def one_iteration() -> None:
    """G - m (20 E - U) + 2 w' Phi' <= 2 w Phi, with w = 1 + m + m s and w' = 19 m - m / s; times s.

    From |h - g| <= |e|, the one-step lemma, and the one-step lemma for the exact step, whose end is not
    below inf f: G <= 2 Phi.  The last multiplier is s (w - w').
    """
    space = Space("", "G E U now next m s")
    G, E, U, now, new, m, s = space.numbers
    behind = m * (19 * s - 1)
    known: Terms = [
        (m, s * (1 + s) * G + (1 + s) * E - s * U),
        (behind, 2 * now - 2 * new + E - G),
        (s * (1 + m + m * s) - behind, 2 * now - G),
    ]
    conclusion = 2 * s * (1 + m + m * s) * now - s * (G - 20 * m * E + m * U) - 2 * behind * new
    follows("one iteration", conclusion, known)


def multipliers() -> None:
    """w_{k+1} < 19 m, and w_k >= w_{k+1}: every multiplier of every iteration is nonnegative."""
    for m in ACCURACY:
        for iterations in (1, 2, 5, 20):
            for now, new in pairwise(weights(m, iterations)):
                require(now >= new, f"the weights for m = {m} must not increase")


def attained() -> None:
    """The flips attain the bound, exactly."""
    for m in ACCURACY:
        for iterations in (1, 2, 5, 20):
            squares, allowed = sums(shares(m, iterations))
            bound = weights(m, iterations)[0] + m * allowed
            require(squares == bound, f"the flip for m = {m} gives {squares}, not {bound}")


def sums(parts: Sequence[fmpq]) -> tuple[fmpq, fmpq]:
    """Sums of G and of 20 E - U along a flip from x = 1; D = 1/2."""
    x, squares, allowed = fmpq(1), fmpq(0), fmpq(0)
    for s in parts:
        squares += x * x
        allowed += (20 * s * s - (1 + s) ** 2) * x * x
        x = -s * x
    return squares, allowed


def limit() -> None:
    """At m = 1/16 the weights increase to 9/8, the one fixed point: c1 = 2 w -> 9/4."""
    space = Space("", "w")
    (w,) = space.numbers
    m = fmpq(1, 16)
    # w (19 m - w) = (1 + m) (19 m - w) + m^2 at a fixed point.
    identical("one fixed point", (1 + m - w) * (19 * m - w) + m * m, (w - fmpq(9, 8)) ** 2)
    require(weights(m, 200)[0] > fmpq(9, 8) - fmpq(1, 1000), "the weights must come close")
    require(weights(m, 200)[0] < fmpq(9, 8), "the weights must stay below")

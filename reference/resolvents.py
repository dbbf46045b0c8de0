r"""(I - gamma P)^{-1} of a chain, applied from either side.

Two ways, behind one contract.  LU factors serve every chain.  A large chain that mixes fast needs
none: with w close to its stationary distribution and 1 the constant vector,

    M = I + gamma / (1 - gamma) 1 w'

inverts I - gamma P up to P - 1 w', which is small.  The corrections v <- v + M (c + gamma P v - v)
converge by a factor of about gamma |lambda_2| each, lambda_2 the second eigenvalue of P, and with M'
and P' they solve the adjoint.  A few products with P then cost less than a factorisation.

The answer is accepted only if its residual is as small as that of a backward stable solve; otherwise,
and whenever the corrections do not shrink fast, the chain is factorised after all.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
from scipy.linalg import lu_factor, lu_solve

from reference.contractions import chain_product, row_sums
from reference.errors import InputError
from reference.validation import Array, numbers, scalar, together

UNIT = float(np.finfo(np.float64).eps) / 2.0
"""Unit roundoff u of float64: a rounded operation errs by at most u, relative to its result."""

LARGE = 400
"""States from which on fast mixing is looked for: below, LU takes less time than the attempt."""

_POWERS = 3
"""Steps of the chain from its start to w."""

_UNMIXED = 0.05
"""Change of w in one more step above which the corrections would be slow."""

_CORRECTIONS = 16
"""Corrections after which a factorisation would have cost less."""


class Resolvent(Protocol):
    """(I - gamma P)^{-1} of a chain, applied from either side to vectors (..., S).

    Both refuse what is no array of one finite number per state with an :class:`InputError`.
    """

    def solve(self, c_s: Array) -> Array:
        """V with v = c + gamma P v."""
        ...

    def solve_adjoint(self, mu_s: Array) -> Array:
        """U with u = mu + gamma P' u."""
        ...


@dataclass(frozen=True, eq=False)
class _Factorized:
    """LU factors of the transpose of I - gamma P (LAPACK reads rows as columns: no copy)."""

    lu: tuple[Array, np.ndarray]

    def solve(self, c_s: Array) -> Array:
        c_s = numbers("c_s", c_s, "(state,)", self.lu[0].shape[-1:])
        return self._apply(c_s, trans=1)

    def solve_adjoint(self, mu_s: Array) -> Array:
        mu_s = numbers("mu_s", mu_s, "(state,)", self.lu[0].shape[-1:])
        return self._apply(mu_s, trans=0)

    def _apply(self, b_s: Array, *, trans: Literal[0, 1]) -> Array:
        columns = b_s.reshape(-1, b_s.shape[-1]).T
        return np.asarray(lu_solve(self.lu, columns, trans=trans, check_finite=False).T).reshape(
            b_s.shape
        )


@dataclass(frozen=True, eq=False)
class _Batch:
    """Systems I - gamma P of a batch, factorised at each use: NumPy keeps no batch of factors.

    An inverse would cost three factorisations, and its answers need not have small residuals.
    """

    system_st: Array

    def solve(self, c_s: Array) -> Array:
        c_s = numbers("c_s", c_s, "(state,)", self.system_st.shape[-1:])
        together(chain=self.system_st.shape[:-2], c_s=c_s.shape[:-1])
        return np.asarray(np.linalg.solve(self.system_st, c_s[..., None])[..., 0])

    def solve_adjoint(self, mu_s: Array) -> Array:
        mu_s = numbers("mu_s", mu_s, "(state,)", self.system_st.shape[-1:])
        together(chain=self.system_st.shape[:-2], mu_s=mu_s.shape[:-1])
        transposed = np.swapaxes(self.system_st, -1, -2)
        return np.asarray(np.linalg.solve(transposed, mu_s[..., None])[..., 0])


@dataclass(frozen=True, eq=False)
class _Mixing:
    """Corrections by M; a right side that they do not serve is left to the factors.

    Attributes
    ----------
    P_st : (S, S)
    gamma : float
    stationary_s : (S,)
        The distribution w.
    """

    P_st: Array
    gamma: float
    stationary_s: Array

    def solve(self, c_s: Array) -> Array:
        found = self.corrected(c_s)
        return self._factorized.solve(c_s) if found is None else found

    def corrected(self, c_s: Array) -> Array | None:
        """V with v = c + gamma P v by corrections alone, or nothing."""
        c_s = numbers("c_s", c_s, "(state,)", self.stationary_s.shape)
        ones = np.ones_like(self.stationary_s)
        return self._corrected(c_s, self.P_st, self.stationary_s, ones)

    def solve_adjoint(self, mu_s: Array) -> Array:
        mu_s = numbers("mu_s", mu_s, "(state,)", self.stationary_s.shape)
        ones = np.ones_like(self.stationary_s)
        found = self._corrected(mu_s, self.P_st.T, ones, self.stationary_s)
        return self._factorized.solve_adjoint(mu_s) if found is None else found

    @cached_property
    def _factorized(self) -> _Factorized:
        return _factorized(self.P_st, self.gamma)

    def _corrected(self, b_s: Array, P_st: Array, left_s: Array, right_s: Array) -> Array | None:
        """x with x = b + gamma P x by corrections r + gamma / (1 - gamma) <left, r> right, or None."""
        if b_s.ndim != 1:
            return None
        coarse = self.gamma / (1.0 - self.gamma)
        x_s, residual_s, last = np.zeros_like(b_s), b_s, np.inf
        for _ in range(_CORRECTIONS):
            x_s = x_s + residual_s + coarse * (left_s @ residual_s) * right_s
            residual_s = b_s + self.gamma * chain_product(P_st, x_s) - x_s
            size = float(np.linalg.norm(residual_s))
            # Two roundings per entry of x and b: what a residual has that cannot be told from zero.
            if size <= 4.0 * UNIT * (float(np.linalg.norm(b_s)) + 2.0 * float(np.linalg.norm(x_s))):
                return x_s
            if size > 0.25 * last:
                return None
            last = size
        return None


def _system(P_st: Array, gamma: float, *, overwrite: bool = False) -> Array:
    """I - gamma P, in the place of P if that may be overwritten."""
    system_st = np.multiply(P_st, -gamma, out=P_st if overwrite else None)
    diagonal = np.arange(P_st.shape[-1])
    system_st[..., diagonal, diagonal] += 1.0
    return system_st


def _chain(P_st: object, gamma: float) -> None:
    """Check a chain without a look at its single entries: that takes one product."""
    if not isinstance(P_st, np.ndarray) or P_st.dtype != np.float64:
        kind = getattr(P_st, "dtype", type(P_st).__name__)
        raise InputError(f"P_st is {kind}; it must be an array of float64: use np.asarray(P_st, float)")
    if P_st.ndim < 2 or P_st.shape[-1] != P_st.shape[-2] or P_st.shape[-1] == 0:
        raise InputError(
            f"P_st has shape {P_st.shape}; its last axes are (state, next state) and must be equal and "
            "positive: check their order"
        )
    gamma = scalar("gamma", gamma, low=0.0, high=1.0, open_high=True)
    sums = row_sums(P_st)
    # NaN is neither below 1 nor above -inf.
    if not (gamma * sums.max() < 1.0 and sums.min() > -np.inf):
        raise InputError(
            f"P_st has rows with the sums {sums.min():.17g} to {sums.max():.17g} for gamma = {gamma!r}; "
            "gamma times each must be finite and below 1: give rows that sum to 1, or lower gamma"
        )


def _factorized(P_st: Array, gamma: float) -> _Factorized:
    return _Factorized(lu_factor(_system(P_st, gamma).T, overwrite_a=True, check_finite=False))


def factorized(P_st: Array, gamma: float) -> _Factorized:
    """LU factors of one chain (S, S).

    Raises
    ------
    InputError
        If it is not one chain, or gamma is not in [0, 1).
    """
    _chain(P_st, gamma)
    if P_st.ndim > 2:
        raise InputError(f"P_st has shape {P_st.shape}; give one chain (S, S), or use `resolvent`")
    return _factorized(P_st, gamma)


def resolvent(P_st: Array, gamma: float, *, checked: bool = False) -> Resolvent:
    """Prepare the solves of one chain (S, S), or keep a batch of chains (..., S, S) as it is.

    ``checked`` says that the chain is of a checked tensor and that gamma times its row sums is below
    1: it is not read once more.

    Raises
    ------
    InputError
        If ``P_st`` is no chain, or gamma is not in [0, 1).
    """
    if not checked:
        _chain(P_st, gamma)
    if P_st.ndim > 2:
        return _Batch(_system(P_st, gamma))
    return _mixing(P_st, gamma) or _factorized(P_st, gamma)


def _mixing(P_st: Array, gamma: float) -> _Mixing | None:
    """The corrections for one chain, if it is large and seems to mix fast."""
    if len(P_st) < LARGE:
        return None
    # Half from everywhere, half from one state: few slow chains leave both unmoved.
    w_s = np.full(len(P_st), 0.5 / len(P_st))
    w_s[0] += 0.5
    for _ in range(_POWERS):
        previous_s, w_s = w_s, chain_product(P_st.T, w_s)
    return _Mixing(P_st, gamma, w_s) if np.abs(w_s - previous_s).sum() <= _UNMIXED else None


def discounted_sum(
    P_st: Array, gamma: float, c_s: Array, *, owned: bool = False, mixing: bool = True
) -> tuple[Array, bool]:
    """v = c + gamma P v, for one use of each chain: no factors are kept.

    Also says whether it was found by corrections; without ``mixing`` they are not tried, as for a chain
    like the last one, which they did not serve.  ``owned`` says that the chain was made for this call
    from a checked tensor: it is not read once more to check it, and may be overwritten.

    Raises
    ------
    InputError
        If ``P_st`` is no chain, gamma is not in [0, 1) or ``c_s`` is not one number per state.
    """
    if not owned:
        _chain(P_st, gamma)
    fast = _mixing(P_st, gamma) if mixing and P_st.ndim == 2 else None
    found = None if fast is None else fast.corrected(c_s)
    if found is not None:
        return found, True
    return _Batch(_system(P_st, gamma, overwrite=owned)).solve(c_s), False

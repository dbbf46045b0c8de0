r"""Truncated series, with a rigorous tail bound.

::

    V    = sum_{n<N} gamma^n P^n c  +  tail,    |tail| <= gamma^N max|c| / (1 - gamma)
    V*   = T^N 0                    +  tail,    |tail| <= gamma^N max|V*| <= gamma^N max|c| / (1-gamma)

N is chosen so that the tail is below one rounding of the bound max|c| / (1 - gamma), hence below what
float64 resolves.  The sums never factorise a matrix.
"""

from dataclasses import dataclass

import numpy as np

from verify.oracles.arithmetic import Native, NumpyArithmetic
from verify.oracles.definitions import Model, backup, best_policy, charge
from verify.oracles.route import Answer, Request

LONGEST = 20_000
"""Terms above which a series is not worth its time."""


def terms(gamma: float) -> int:
    """Terms after which gamma^N is below one rounding."""
    return 1 if gamma == 0.0 else int(np.ceil(np.log(np.finfo(np.float64).eps / 2.0) / np.log(gamma)))


@dataclass(frozen=True)
class _Series(NumpyArithmetic):
    """Floats whose solves are sums and whose optima are repeated backups."""

    def solve(self, P_st: Native, gamma: Native, c_s: Native) -> Native:
        total, term = c_s.copy(), c_s
        for _ in range(1, terms(float(gamma))):
            term = gamma * (P_st @ term)
            total = total + term
        return total

    def optimum(self, m: Model) -> Native:
        v_s = np.zeros(len(m.rho_s))
        for _ in range(terms(float(m.gamma)) + 1):
            q_sa = backup(self, m, v_s)
            pi_sa = best_policy(self, m, q_sa)
            v_s = (pi_sa * q_sa).sum(-1) - charge(self, m, pi_sa)
        return v_s


FLOATS = _Series(
    number=float,
    exponential=np.exp,
    logarithm=np.log,
    primal=float,
    linear_solve=np.linalg.solve,
    dtype=np.float64,
    rounds=True,
)


@dataclass(frozen=True)
class TruncatedSeries:
    """Values by long sums."""

    name: str = "series"

    def applies(self, request: Request) -> bool:
        """Values, when the series is short enough."""
        return request.is_defined and request.variable is None and terms(request.gamma) <= LONGEST

    def answer(self, request: Request) -> Answer:
        """Run the definition with sums in place of solves."""
        values = request.define(FLOATS, request.point.lifted(FLOATS))
        return Answer(np.asarray(values, dtype=np.float64), 0.0)


ROUTE = TruncatedSeries()

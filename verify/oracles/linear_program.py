r"""Unregularised optima by linear programming (HiGHS).

::

    minimise sum_s v(s)   subject to   v(s) >= r(s,a) + gamma sum_t P(t|s,a) v(t)  for all (s, a)

The solver's own tolerance is no certificate: the residual of the optimality equation at its answer,
divided by 1 - gamma, is, and enters as the route's error.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy.optimize import linprog

from verify.oracles.arithmetic import Native, NumpyArithmetic
from verify.oracles.definitions import Model, backup
from verify.oracles.route import Answer, Request

LARGEST = 600
"""States above which the dense program takes too long."""


@dataclass(frozen=True)
class _Programs(NumpyArithmetic):
    """Floats whose optima are linear programs; their error bounds are collected."""

    errors: list[float] = field(default_factory=list)

    def optimum(self, m: Model) -> Native:
        n_states, n_actions = m.r_sa.shape
        gamma = float(m.gamma)
        rows = gamma * m.P_sat.reshape(-1, n_states) - np.repeat(np.eye(n_states), n_actions, axis=0)
        found = linprog(
            np.ones(n_states),
            A_ub=rows,
            b_ub=-m.r_sa.reshape(-1),
            bounds=(None, None),
            method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if found.status != 0:
            raise ArithmeticError(f"the linear program failed: {found.message}")
        v_s = np.asarray(found.x, dtype=np.float64)
        residual = np.abs(backup(self, m, v_s).max(axis=1) - v_s).max()
        self.errors.append(float(residual) / (1.0 - gamma))
        return v_s


def _floats() -> _Programs:
    return _Programs(
        number=float,
        exponential=np.exp,
        logarithm=np.log,
        primal=float,
        linear_solve=np.linalg.solve,
        dtype=np.float64,
        rounds=True,
    )


@dataclass(frozen=True)
class LinearPrograms:
    """Values that contain an unregularised optimum."""

    name: str = "linear program"

    def applies(self, request: Request) -> bool:
        """Values with an optimum at tau = 0."""
        return (
            request.is_defined
            and request.variable is None
            and request.optimum
            and request.unregularized
            and request.n_states <= LARGEST
        )

    def answer(self, request: Request) -> Answer:
        """Run the definition with programs in place of policy iteration."""
        number = _floats()
        values = request.define(number, request.point.lifted(number))
        return Answer(np.asarray(values, dtype=np.float64), sum(number.errors))


ROUTE = LinearPrograms()

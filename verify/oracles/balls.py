r"""Ball arithmetic with 80 digits (FLINT's Arb): every operation carries a bound on its own error.

For ill-conditioned cases: gamma next to 1, tau next to 0, slowly mixing chains.  Slopes are central
differences (f(+h) - f(-h)) / 2h with h = 1e-20: of the digits, 20 go to the difference, and the
truncation, of order h^2, leaves far more than float64 resolves.  Optima come from policy iteration,
which converges quadratically to all digits; between its steps only the centres are kept, since the
iteration corrects itself while radii would grow by 1 / tau at each step.
"""

from dataclasses import dataclass

import numpy as np
from flint import arb, arb_mat, ctx

from verify.oracles.arithmetic import Native, NumpyArithmetic
from verify.oracles.route import Answer, Request, moved

DIGITS = 80
STEP = 1e-20
LARGEST = 24
"""States above which policy iteration in balls takes seconds."""


def _solve(matrix: Native, right: Native) -> Native:
    n, columns = len(right), right.size // len(right)
    solution = arb_mat(n, n, list(matrix.flat)).solve(arb_mat(n, columns, list(right.flat)))
    return np.array(solution.entries(), dtype=object).reshape(right.shape)


BALLS = NumpyArithmetic(
    number=arb,
    exponential=lambda ball: ball.exp(),
    logarithm=lambda ball: ball.log(),
    primal=lambda ball: float(ball.mid()),
    linear_solve=_solve,
    dtype=object,
    rounds=False,
    centre=lambda ball: ball.mid(),
)


def _radius(values: Native) -> float:
    return max((float(ball.rad()) for ball in np.asarray(values).flat), default=0.0)


@dataclass(frozen=True)
class Balls:
    """Values and slopes to many digits, with their radii."""

    name: str = "80 digits"

    def applies(self, request: Request) -> bool:
        """Every small problem."""
        return request.is_defined and request.n_states <= LARGEST

    def answer(self, request: Request) -> Answer:
        """Run the definition on balls."""
        before = ctx.dps
        ctx.dps = DIGITS
        try:
            if request.variable is None:
                values = request.define(BALLS, request.point.lifted(BALLS))
                return Answer(BALLS.real(values), _radius(values))
            step = arb(STEP)
            slopes = [
                (
                    request.define(BALLS, moved(BALLS, request, step, u))
                    - request.define(BALLS, moved(BALLS, request, -step, u))
                )
                / (2 * step)
                for u in request.directions
            ]
            return Answer(BALLS.real(slopes), _radius(slopes), slopes=True)
        finally:
            ctx.dps = before


ROUTE = Balls()

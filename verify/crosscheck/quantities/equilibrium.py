"""The regularised Nash equilibrium of a zero-sum game (Section 5.1), between independent bounds.

Against the pair of policies that `reference` returns, player 1 can secure at least min V^{pi_1, .} and
player 2 at most max V^{., pi_2}; the value of the game lies between the two.  Both, computed by a
route, must be within the certified error of the value that was returned.
"""

from functools import lru_cache
from typing import Any

import numpy as np

from reference.equilibrium import Equilibrium, nash_equilibrium
from verify.crosscheck.quantity import Case, Measured, Pair, Quantity
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point


def _regularized(case: Case[Pair]) -> bool:
    return case.problem.at(case.point.x).tau > 0.0


@lru_cache(maxsize=1)
def _equilibrium(case: Case[Any]) -> Equilibrium:
    """One solve serves both bounds by every route."""
    return nash_equilibrium(case.problem.at(case.point.x))


def _measured(case: Case[Pair]) -> Measured:
    found = _equilibrium(case)
    return Measured.of(found.v_s, float(np.max(found.error)))


def _define_upper(case: Case[Pair], number: Arithmetic, point: Point) -> Native:
    g = primitive.game_model(number, case.problem, point.x)
    pi_sb = number.lift(_equilibrium(case).pi_sb)
    return primitive.optimal_values(number, primitive.against_second(number, g, pi_sb))


def _define_lower(case: Case[Pair], number: Arithmetic, point: Point) -> Native:
    g = primitive.game_model(number, case.problem, point.x)
    pi_sa = number.lift(_equilibrium(case).pi_sa)
    return -primitive.optimal_values(number, primitive.against_first(number, g, pi_sa))


QUANTITIES = (
    Quantity(
        "most",
        "what player 2 concedes",
        "(5.3)",
        Pair,
        _measured,
        _define_upper,
        optimum=True,
        premise=_regularized,
    ),
    Quantity(
        "least",
        "what player 1 secures",
        "(5.3)",
        Pair,
        _measured,
        _define_lower,
        optimum=True,
        premise=_regularized,
    ),
)

"""What a quantity of the matrix is: how `reference` computes it, and what defines it."""

from collections.abc import Callable
from dataclasses import dataclass
from types import UnionType
from typing import Any, Generic, TypeVar

import numpy as np

from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import MdpFamily
from reference.problems.reward_shaping import RewardShaping
from reference.problems.rlhf import Rlhf
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily
from reference.validation import Array
from verify.contract import Level
from verify.oracles.arithmetic import Arithmetic, Native
from verify.oracles.route import Point, Variable

Single = MdpFamily | StackelbergGame | Rlhf | RewardShaping
"""Problems in which one agent acts in the lower level."""

Pair = GameFamily | IncentiveDesign
"""Problems in which two players do."""

ProblemT = TypeVar("ProblemT")


@dataclass(frozen=True, eq=False)
class Case(Generic[ProblemT]):
    """A problem with arguments for every quantity that applies to it.

    Attributes
    ----------
    name : str
    problem : Single or Pair
    point : Point
        x, the players' policies, approximate companions, and logits of further policies.
    measure_s : (S,)
        A signed start measure.
    weights_sa : (S, A)
        Signed weights for the gradient of Q.
    steps : int
        Length of the trajectories that are all followed; 0 where there are too many.
    """

    name: str
    problem: ProblemT
    point: Point
    measure_s: Array
    weights_sa: Array
    steps: int = 0


@dataclass(frozen=True, eq=False)
class Measured:
    """What `reference` returned, with the tolerance that its rounding and residuals justify."""

    values: Array
    tolerance: Array

    @classmethod
    def of(cls, values: Array, tolerance: float | Array) -> "Measured":
        """Broadcast a tolerance over the values."""
        return cls(np.asarray(values), np.broadcast_to(np.asarray(tolerance), np.shape(values)))


def always(case: Case[Any]) -> bool:  # noqa: ARG001 - a premise without conditions
    """Hold everywhere."""
    return True


@dataclass(frozen=True, eq=False)
class Quantity(Generic[ProblemT]):
    """One row of the matrix.

    Attributes
    ----------
    name : str
        Dotted: object and part, ``value_penalty.grad_x``.
    title : str
    source : str
        Where the paper has it.
    problems : type or union of types
        The problems that have this quantity.
    measured : case -> Measured
    define : (case, arithmetic, point) -> native array
        The definition; a single number if it is differentiated.  None where there is only the code of
        two twins, which must agree.
    variable : Variable or None
        The array in which the definition is differentiated.
    optimum : bool
        Whether the definition contains an optimal value.
    premise : case -> bool
        Where the quantity is defined.
    estimate : (case, variable in tensors) -> (expectation of what samples' code makes of it, its error)
        None if no samples estimate the quantity.
    instances : (level, seed) -> cases
        None for those of :func:`verify.crosscheck.cases.cases`.
    """

    name: str
    title: str
    source: str
    problems: type | UnionType
    measured: Callable[[Case[ProblemT]], Measured]
    define: Callable[[Case[ProblemT], Arithmetic, Point], Native] | None
    variable: Variable | None = None
    optimum: bool = False
    premise: Callable[[Case[ProblemT]], bool] = always
    estimate: Callable[[Case[ProblemT], Native], tuple[Native, float]] | None = None
    instances: Callable[[Level, int], tuple[Case[Any], ...]] | None = None

    def applies(self, case: Case[Any]) -> bool:
        """Whether the case has the quantity and meets its premise."""
        return isinstance(case.problem, self.problems) and self.premise(case)

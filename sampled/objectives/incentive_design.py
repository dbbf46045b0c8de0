r"""The designer's loss (5.5) from samples, with the cost discounted.

::

    f(pi) = -E sum_h gamma^h ( r_id(s_h, a_h, b_h) - c(s_h) ),     s_{h+1} ~ P_id(s_h, a_h, b_h)

Trajectories of their own are needed: the players' follow other transitions.  f does not depend on x.
"""

from collections.abc import Sequence

from torch import Tensor

from sampled.expectations import Expectation, Term, combined
from sampled.objectives.contract import Objective
from sampled.problems import IncentiveDesign
from sampled.processes import designer_process


def terms(
    problem: IncentiveDesign,
    x: Tensor,  # noqa: ARG001 - the contract's signature
    policies: Sequence[Tensor],
) -> tuple[Term, ...]:
    """The value, negative."""
    return ((-1.0, designer_process(problem, policies)),)


def designer_loss(
    problem: IncentiveDesign,
    x: Tensor,
    policies: Sequence[Tensor],
    mean: Expectation,
) -> Tensor:
    """Estimate minus the designer's value of the players' joint policy.

    Parameters
    ----------
    problem : IncentiveDesign
    x : (P, *shape) or (1, *shape)
    policies : (P, S, A) and (P, S, B)
    mean : Expectation

    Returns
    -------
    (P,)

    Raises
    ------
    InputError
        If the policies do not fit the game.
    """
    return combined(terms(problem, x, policies), mean)


OBJECTIVE = Objective[IncentiveDesign]("incentive-design", "(5.5)", designer_loss, terms)

r"""The leader's loss (2.4) from samples.

::

    f(x, pi) = -E sum_h gamma^h ( r_l(s_h, a_h, b_h) - tau_l h_l(pi_x(s_h)) ),   a_h ~ pi_x, b_h ~ pi

The leader's return to go multiplies the scores of both players, pi_x for the gradient in x and pi for
that in the follower's policy; the leader's own regularisation adds its derivative in x.
"""

from collections.abc import Sequence

from torch import Tensor

from sampled.expectations import Expectation, Term, combined
from sampled.objectives.contract import Objective
from sampled.problems import StackelbergGame
from sampled.processes import leader_process


def terms(problem: StackelbergGame, x: Tensor, policies: Sequence[Tensor]) -> tuple[Term, ...]:
    """The value, negative."""
    return ((-1.0, leader_process(problem, x, policies)),)


def leader_loss(
    problem: StackelbergGame, x: Tensor, policies: Sequence[Tensor], mean: Expectation
) -> Tensor:
    """Estimate minus the leader's value.

    Parameters
    ----------
    problem : StackelbergGame
    x : (P, S, A) or (1, S, A)
    policies : one of (P, S, B)
        The follower's.
    mean : Expectation

    Returns
    -------
    (P,)

    Raises
    ------
    InputError
        If x or the policy do not fit the game.
    """
    return combined(terms(problem, x, policies), mean)


OBJECTIVE = Objective[StackelbergGame]("stackelberg", "(2.4)", leader_loss, terms)

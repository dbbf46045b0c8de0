r"""The Nikaido-Isoda function (5.6) from samples, with the gradients of Lemma 13 and Section 5.3.

::

    psi(x, pi) = V^{pi_1*, pi_2}(rho) - V^{pi_1, pi_2*}(rho)

Both values are player 1's, of one joint policy each, with the regularisation of all four policies:
-tau h_1 of player 1's, tau h_2 of player 2's.  The companions are constants, so pi_2 gets its
derivative from the first walk alone and pi_1 from the second.
"""

from collections.abc import Sequence

from torch import Tensor

from sampled.expectations import Expectation, Term, combined
from sampled.penalties.contract import Penalty, constants, each
from sampled.problems import Family, IncentiveDesign
from sampled.processes import lower_process


def terms(
    lower: Family | IncentiveDesign, x: Tensor, policies: Sequence[Tensor], companions: Sequence[Tensor]
) -> tuple[Term, ...]:
    """The two values, with their signs."""
    each(policies, companions, 2)
    best_1, best_2 = constants(companions)
    first = lower_process(lower, x, (best_1, policies[1]))
    second = lower_process(lower, x, (policies[0], best_2))
    return (1.0, first), (-1.0, second)


def nikaido_isoda(
    lower: Family | IncentiveDesign,
    x: Tensor,
    policies: Sequence[Tensor],
    companions: Sequence[Tensor],
    mean: Expectation,
) -> Tensor:
    """Estimate the Nikaido-Isoda function, given best responses or approximations of them.

    Parameters
    ----------
    lower : Family or IncentiveDesign
        A zero-sum game.
    x : (P, *shape) or (1, *shape)
    policies : (P, S, A) and (P, S, B)
    companions : (P, S, A) and (P, S, B)
        Player 1's (approximate) best response to player 2's policy, and player 2's to player 1's.
    mean : Expectation

    Returns
    -------
    (P,)

    Raises
    ------
    InputError
        If x or the policies do not fit the game.
    """
    return combined(terms(lower, x, policies, companions), mean)


PENALTY = Penalty[Family | IncentiveDesign]("nikaido-isoda", "Section 5.3", nikaido_isoda, terms)

r"""The Bellman penalty (3.5) from samples, with the gradients of Lemma 9 and (C.7).

::

    p(x, pi) = V^{pi*}(rho) - W,     W = E_{s ~ rho, a ~ pi(s)} Q*(s, a) - tau E_{s ~ rho} h_s(pi(s))

W is the value of a walk whose first action follows pi and all later ones pi*, with the regularisation
of the policy in use: the first step is regularised by pi alone.  Its derivatives are -grad g of
Lemma 9, a and b, and those of V^{pi*} are -grad v.  In pi only the first step has a derivative::

    grad_pi W = E[ Q*(s_0, a_0) grad log pi(a_0|s_0) - tau grad h_{s_0}(pi(s_0)) ]

with Q* measured along the walk, thus that of the companion at hand.
"""

from collections.abc import Sequence

from torch import Tensor

from sampled.expectations import Expectation, Term, combined
from sampled.penalties.contract import Penalty, constants, each
from sampled.processes import Lower, lower_process


def terms(
    lower: Lower, x: Tensor, policies: Sequence[Tensor], companions: Sequence[Tensor]
) -> tuple[Term, ...]:
    """The two values, with their signs."""
    each(policies, companions, 1)
    companions = constants(companions)
    best = lower_process(lower, x, companions)
    deviating = lower_process(lower, x, companions, first=policies)
    return (1.0, best), (-1.0, deviating)


def bellman_penalty(
    lower: Lower,
    x: Tensor,
    policies: Sequence[Tensor],
    companions: Sequence[Tensor],
    mean: Expectation,
) -> Tensor:
    """Estimate the Bellman penalty, given the optimal or an approximate policy.

    Parameters
    ----------
    lower : Lower
        Of one player, beside a leader.
    x : (P, *shape) or (1, *shape)
    policies, companions : one of (P, S, A) each
    mean : Expectation

    Returns
    -------
    (P,)

    Raises
    ------
    InputError
        If x or the policies do not fit the problem.
    """
    return combined(terms(lower, x, policies, companions), mean)


PENALTY = Penalty[Lower]("bellman", "Lemma 9", bellman_penalty, terms)

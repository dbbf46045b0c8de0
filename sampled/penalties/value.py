r"""The value penalty (3.2) from samples, with the gradients of Lemma 7 and (C.29).

::

    p(x, pi) = V^{pi*}(rho) - V^{pi}(rho)

Each value is the mean of one kind of trajectory, and its derivatives are Lemma 7's, with s_0 ~ rho in
both parts:

* (a) where only the reward depends on x, grad r_x along the trajectories of pi* and of pi;
* (b) in a Stackelberg game, the leader's score times the follower's return to go, and wherever
  transitions depend on x, their score.  The regularisation of the state itself, which the lemma
  subtracts from Q, has mean zero there.
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
    best = lower_process(lower, x, constants(companions))
    own = lower_process(lower, x, policies)
    return (1.0, best), (-1.0, own)


def value_penalty(
    lower: Lower,
    x: Tensor,
    policies: Sequence[Tensor],
    companions: Sequence[Tensor],
    mean: Expectation,
) -> Tensor:
    """Estimate the value penalty, given the optimal or an approximate policy.

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


PENALTY = Penalty[Lower]("value", "Lemma 7", value_penalty, terms)

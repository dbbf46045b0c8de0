r"""The value penalty (3.2), its gradients (Lemmas 6 and 7) and their inexact form (C.29).

::

    p(x, pi)       = V^{pi*}(rho) - V^{pi}(rho)
    grad_x p       = grad_x V^{pi}(rho) at pi = pi*, minus at pi
    grad_pi p      = -grad_pi V^{pi}(rho)

pi* is the companion.  With an approximate companion pi^ these are the penalty's lower estimate
V^{pi^} - V^{pi} and the gradient (C.29), whose part in pi needs no companion.
Both policies' weights are pulled back at once: the transition tensor is read a single time.
"""

import numpy as np

from reference.evaluated import Evaluated
from reference.evaluation import evaluate_all, policy_gradient
from reference.optimality import policy_iteration
from reference.penalties.contract import Penalty, lower_mdp
from reference.problems.mdp import ParametricMdp
from reference.validation import Array, several


def value_penalty(lower: ParametricMdp, x: Array, pi_sa: Array, companion_sa: Array) -> Evaluated:
    """Evaluate the value penalty at a policy, given the optimal or an approximate one.

    Parameters
    ----------
    lower : ParametricMdp
    x : (..., *lower.domain.shape)
    pi_sa : (..., S, A)
    companion_sa : (..., S, A)
        The optimal policy for the exact penalty; an approximate one for (C.29).

    Raises
    ------
    InputError
        If rho has a zero, x is outside its domain, or a policy is not one.
    """
    mdp = lower_mdp(lower, x)
    own, best = evaluate_all(mdp, [pi_sa, companion_sa])
    w_ksa = np.stack(
        [
            best.visits_s[..., None] * best.pi_sa,
            -own.visits_s[..., None] * own.pi_sa,
        ],
        axis=-3,
    )
    grad_x = lower.pullback(x, w_ksa, np.stack([best.v_s, own.v_s], axis=-2))
    return Evaluated(best.value - own.value, grad_x, (-policy_gradient(own),))


def _evaluate(
    lower: ParametricMdp, x: Array, policies: tuple[Array, ...], companions: tuple[Array, ...]
) -> Evaluated:
    (pi_sa,) = several("policies", policies, 1, "give one policy: (pi_sa,)")
    (companion_sa,) = several("companions", companions, 1, "give one companion: (pi_sa,)")
    return value_penalty(lower, x, pi_sa, companion_sa)


def _optimal(lower: ParametricMdp, x: Array, policies: tuple[Array, ...]) -> tuple[Array, ...]:  # noqa: ARG001 - the contract's signature
    return (policy_iteration(lower_mdp(lower, x)).unique_policy(),)


PENALTY = Penalty[ParametricMdp]("value", "(3.2)", _evaluate, _optimal)

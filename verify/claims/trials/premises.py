r"""Assumptions 1, 2 and 6 as conditions that an instance meets or does not.

The parts that ask for derivatives in x, 1(a), 2(a) and half of 6, hold for every parametrisation of the
problems here: rewards are linear and transitions softmax in x, so V and Q are analytic in x.

::

    1(b)   all optimal policies have the same grad_x V(rho)       :func:`one_gradient`
    2      tau > 0                                                 read off
    2(b)   under every policy, every state is reached from every
           state and first action, or gamma = 0                    :func:`irreducible`
    6      V(rho) is differentiable in the policies, too           :func:`differentiable`

Where optimal actions tie (tau = 0), the optimal policies are those that take optimal actions, and with
the backup's slope kappa(s,a) along a direction of x at V*,

    kappa = dr + gamma sum_t dP V*(t),

grad_x V^pi(rho) is the value of the reward kappa under pi.  Among these policies its largest and
smallest value over deterministic ones are attained in all states at once, so 1(b) holds along the
direction if all deterministic ones agree.
"""

from itertools import product

import numpy as np

from reference.evaluation import evaluate
from reference.optimality import Optimum
from reference.problems.mdp import Mdp
from reference.validation import Array

MOST_CHOICES = 64
"""Deterministic optimal policies that are tried; an instance with more is left out."""


def irreducible(P_sat: Array) -> bool:
    """Whether the chain is irreducible under every policy, as the footnote to Assumption 2(b) has it.

    It is not if some state s can be avoided: if there is a set of other states in each of which an
    action leads to that set for sure.
    """
    n_states = P_sat.shape[0]
    for target in range(n_states):
        avoiding = np.arange(n_states) != target
        while avoiding.any():
            leaves_sa = np.any(P_sat[:, :, ~avoiding] > 0.0, axis=2)
            stays_s = ~np.all(leaves_sa, axis=1)
            if (avoiding & stays_s).sum() == avoiding.sum():
                return False
            avoiding = avoiding & stays_s
    return True


def assumption_2b(mdp: Mdp) -> bool:
    """Assumption 2(b)."""
    return mdp.gamma == 0.0 or irreducible(mdp.P_sat)


def optimal_actions(optimum: Optimum) -> np.ndarray:
    """Which actions are optimal within the certified error, at tau = 0; shape (S, A)."""
    q_sa = optimum.q_sa
    return np.asarray(q_sa >= q_sa.max(axis=1, keepdims=True) - 2.0 * float(np.max(optimum.error)))


def one_gradient(optimum: Optimum, slope_sa: Array) -> bool:
    """Assumption 1(b), for direct policies, along the direction in which the backup has ``slope_sa``.

    Holds at tau > 0, where the optimal policy is unique.
    """
    mdp = optimum.mdp
    if mdp.tau > 0.0:
        return True
    best_sa = optimal_actions(optimum)
    choices = [np.flatnonzero(row) for row in best_sa]
    count = int(np.prod([len(choice) for choice in choices]))
    if count > MOST_CHOICES:
        return False
    slopes = [_slope(mdp, np.eye(mdp.n_actions)[list(choice)], slope_sa) for choice in product(*choices)]
    horizon = 1.0 / (1.0 - mdp.gamma)
    rounding = 64.0 * mdp.n_states * float(np.finfo(np.float64).eps) * horizon**2
    return bool(max(slopes) - min(slopes) <= rounding * float(np.abs(slope_sa).max()))


def _slope(mdp: Mdp, pi_sa: Array, slope_sa: Array) -> float:
    visits_s = evaluate(mdp, pi_sa).visits(mdp.rho_s)
    return float((visits_s * (pi_sa * slope_sa).sum(axis=1)).sum())


def differentiable(mdp: Mdp, pi_sa: Array) -> bool:
    """Whether V is differentiable in the policy there: h is, or tau = 0.

    An entropy is not where the policy has a zero; the quadratic is everywhere.
    """
    return mdp.tau == 0.0 or bool(np.isfinite(mdp.regularizer.gradient(pi_sa)).all())

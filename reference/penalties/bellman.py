r"""The Bellman penalty (3.5)-(3.7), its gradients (Lemmas 8 and 9) and their inexact form (C.7).

With Q* the optimal action value, one backup of a policy is compared with the best one::

    p(x, pi)  = E_{s~rho} [ <pi*(s) - pi(s), Q*(s,.)> - tau h_s(pi*(s)) + tau h_s(pi(s)) ]
    grad_x p  = sum_sa rho(s) (pi* - pi)(a|s) grad_x Q^{pi*}(s,a)
    grad_pi p = rho(s) ( tau grad h_s(pi(s)) - Q*(s,.) )

The weights rho (pi* - pi) are signed, so grad_x p costs one adjoint solve.  An approximate companion
pi^ stands in for pi* throughout; the paper's C.7 leaves the exact Q* in grad_pi, which no
algorithm has: pass the two apart to see what that changes.
"""

from reference.evaluated import Evaluated
from reference.evaluation import agree, evaluate, q_gradient_x
from reference.optimality import policy_iteration
from reference.penalties.contract import Penalty, lower_mdp
from reference.problems.mdp import ParametricMdp
from reference.validation import Array, policy, several


def bellman_penalty(lower: ParametricMdp, x: Array, pi_sa: Array, companion_sa: Array) -> Evaluated:
    """Evaluate the Bellman penalty at a policy, given the optimal or an approximate one.

    Parameters
    ----------
    lower : ParametricMdp
    x : (..., *lower.domain.shape)
    pi_sa : (..., S, A)
    companion_sa : (..., S, A)
        The optimal policy for the exact penalty; an approximate one for the estimate of C.7.

    Raises
    ------
    InputError
        If rho has a zero, x is outside its domain, or a policy is not one.
    """
    mdp = lower_mdp(lower, x)
    pi_sa = policy("pi_sa", pi_sa, (mdp.n_states, mdp.n_actions))
    best = evaluate(mdp, companion_sa)
    agree(mdp, pi_sa=pi_sa.shape[:-2], companion_sa=best.pi_sa.shape[:-2])
    h = mdp.regularizer
    gap_s = ((best.pi_sa - pi_sa) * best.q_sa).sum(axis=-1)
    gap_s = gap_s - mdp.tau * (h.value(best.pi_sa) - h.value(pi_sa))
    grad_x = q_gradient_x(lower, x, best, mdp.rho_s[..., None] * (best.pi_sa - pi_sa))
    grad_pi = mdp.rho_s[..., None] * (mdp.tau * h.gradient(pi_sa) - best.q_sa)
    return Evaluated((mdp.rho_s * gap_s).sum(axis=-1), grad_x, (grad_pi,))


def _evaluate(
    lower: ParametricMdp, x: Array, policies: tuple[Array, ...], companions: tuple[Array, ...]
) -> Evaluated:
    (pi_sa,) = several("policies", policies, 1, "give one policy: (pi_sa,)")
    (companion_sa,) = several("companions", companions, 1, "give one companion: (pi_sa,)")
    return bellman_penalty(lower, x, pi_sa, companion_sa)


def _optimal(lower: ParametricMdp, x: Array, policies: tuple[Array, ...]) -> tuple[Array, ...]:  # noqa: ARG001 - the contract's signature
    return (policy_iteration(lower_mdp(lower, x)).unique_policy(),)


PENALTY = Penalty[ParametricMdp]("bellman", "(3.5)", _evaluate, _optimal)

r"""(B.9)-(B.10): the policy gradient of a regularised MDP.

With the discounted visitation d_s(t) = (1 - gamma) sum_k gamma^k P(s_k = t | s_0 = s), d_rho its mean::

    printed   dV(s) = sum_t d_s(t) <Q(t,.) - tau grad h_t(pi(t)), d pi(t)> / (1 - gamma)         (B.9)
              grad_pi V(rho) = [ d_rho(s) (Q(s,.) - tau grad h_s(pi(s))) ] / (1 - gamma)         (B.10)

Derivation.  Iterating (B.8), with its gamma, V = X R + X G V - N has the derivative

    dV = (1 - X G)^{-1} ( dX Q - dN ),

and (1 - X G)^{-1} = sum_k (gamma P_pi)^k are the discounted visits d_s / (1 - gamma).  The resolvent
exists since gamma < 1, so V is a rational function of pi and the h_s(pi(s)), hence differentiable where
h is.  Only directions between policies count: a multiple of 1 in a state's row changes nothing.
"""

from collections.abc import Callable, Iterator

import numpy as np

from reference.evaluation import PolicyEvaluation, evaluate
from reference.validation import Array
from verify.claims.contract import Claim, Fault, Form, Margin, Proof
from verify.claims.exact import facts
from verify.claims.exact.operators import operators, vanishes
from verify.claims.trials.gradients import PolicySite, policy_sites, told_apart
from verify.contract import Context

Formula = Callable[[PolicySite, PolicyEvaluation], Array]
"""(site, evaluation) -> slopes of V(s) for every state, and of V(rho)."""


def along_visits(own: PolicyEvaluation, one_step_s: Array) -> Array:
    """Mean of one-step slopes under d_s and d_rho, over 1 - gamma."""
    starts = [*np.eye(own.mdp.n_states), own.mdp.rho_s]
    return np.array(
        [float((own.occupancy(mu_s) * one_step_s).sum()) / (1.0 - own.mdp.gamma) for mu_s in starts]
    )


def printed_slopes(site: PolicySite, own: PolicyEvaluation) -> Array:
    """(B.9) in every state, and (B.10)."""
    return along_visits(own, (site.u_sa * own.q_sa).sum(axis=1) - site.h_slopes)


def trials_with(claimed: Formula) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of V in every state and from rho."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in policy_sites(context, "eq_b10"):
            own = evaluate(site.mdp, site.pi_sa)
            slopes_s = site.slopes
            found = np.append(slopes_s, (site.mdp.rho_s * slopes_s).sum())
            yield from told_apart(claimed(site, own), found, site.tolerance(own), f"{site.name}: dV")

    return trials


# Faults.


def uncharged(site: PolicySite, own: PolicyEvaluation) -> Array:
    """Without the regulariser's slope."""
    return along_visits(own, (site.u_sa * own.q_sa).sum(axis=1))


def normalised(site: PolicySite, own: PolicyEvaluation) -> Array:
    """The factor 1 / (1 - gamma) is forgotten."""
    return np.asarray((1.0 - own.mdp.gamma) * printed_slopes(site, own))


def from_start_only(site: PolicySite, own: PolicyEvaluation) -> Array:
    """The start in place of the visitation."""
    one_step_s = (site.u_sa * own.q_sa).sum(axis=1) - site.h_slopes
    return np.append(one_step_s, (own.mdp.rho_s * one_step_s).sum())


def prove_resolvent() -> None:
    """The claimed derivative solves the differentiated Bellman equation, in any dimension."""
    equation = operators("X R + X G V - N")
    claimed = operators("M T R + M T G V - M K")
    residual = operators("W") - equation.derivative({"X": "T", "V": "W", "N": "K"})
    solved = residual.replaced("W", claimed).replaced("X G M", operators("M - 1"))
    vanishes("the differentiated Bellman equation at M (dX Q - dN)", solved)


CLAIM = Claim(
    number="(B.9)-(B.10)",
    title="policy gradient of a regularised MDP",
    premise="h differentiable at the policy, or tau = 0",
    printed=Form(
        words="The gradient of V in the policy is the discounted visitation times the action values "
        "minus tau times the gradient of h, over 1 - gamma.",
        formula=r"\nabla_\pi V^\pi(\rho)=\frac1{1-\gamma}\bigl[d^\pi(s)\bigl(Q^\pi(s,\cdot)"
        r"-\tau\nabla h_s(\pi(s))\bigr)\bigr]_{s\in\mathcal S}",
        trials=trials_with(printed_slopes),
        textbook=(facts.RESOLVENT,),
        proofs=(Proof("it solves the differentiated Bellman equation", prove_resolvent),),
    ),
    faults=(
        Fault("uncharged", "the gradient of h is missing", trials_with(uncharged)),
        Fault("normalised", "the factor 1 / (1 - gamma) is missing", trials_with(normalised)),
        Fault("start", "rho in place of the visitation", trials_with(from_start_only)),
    ),
    inherits=("(B.8)",),
    remark="Right, although (B.8), from which it is derived, lacks gamma. The gradient is determined up "
    "to a multiple of 1 in each state's row, which differences of policies do not see. "
    "An entropy has no gradient where the policy has a zero.",
    tried="Vertices, entropies inside, gamma = 0 and 0.99, reducible chains, Hypothesis over small "
    "rational MDPs: equal to complex steps.",
)

r"""(B.8): the recursion of the policy gradient, with gamma or without.

Along a direction d pi of policies, with dh(s) = <grad h_s(pi(s)), d pi(s)>::

    printed   dV(s) = sum_a d pi(a|s) Q(s,a) +       sum_t P_pi(t|s) dV(t) - tau dh(s)
    proved    dV(s) = sum_a d pi(a|s) Q(s,a) + gamma sum_t P_pi(t|s) dV(t) - tau dh(s)

The discount is lost in the line before, dQ(s,a) = sum_t P(t|s,a) dV(t), and is back in (B.9), whose sum
over visits is discounted.  (The argument of the second gradient, printed as (s, a), is the next state.)

Derivation.  Write X for the expectation over the policy's action, R for the reward, G = gamma P and
N = tau h(pi).  Then V = X R + X G V - N, and the product rule gives

    dV = dX (R + G V) + X G dV - dN,    Q = R + G V.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq

from reference.contractions import policy_chain
from reference.evaluation import PolicyEvaluation, evaluate
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation
from verify.claims.exact import facts
from verify.claims.exact.games import affine_slope
from verify.claims.exact.operators import operators, vanishes
from verify.claims.trials.gradients import PolicySite, policy_sites, told_apart
from verify.contract import Context

Formula = Callable[[PolicySite, PolicyEvaluation, Array], Array]
"""(site, evaluation, dV) -> right side in every state."""


def recursion(site: PolicySite, own: PolicyEvaluation, slopes_s: Array, factor: float) -> Array:
    """The right side, with a factor in front of the next states."""
    next_s = policy_chain(site.mdp.P_sat, site.pi_sa) @ slopes_s
    return np.asarray((site.u_sa * own.q_sa).sum(axis=1) + factor * next_s - site.h_slopes)


def discounted(site: PolicySite, own: PolicyEvaluation, slopes_s: Array) -> Array:
    """With gamma."""
    return recursion(site, own, slopes_s, site.mdp.gamma)


def trials_with(claimed: Formula) -> Callable[[Context], Iterator[Margin]]:
    """Both sides in every state."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in policy_sites(context, "eq_b08"):
            own = evaluate(site.mdp, site.pi_sa)
            slopes_s = site.slopes
            # The slopes of the next states enter the right side with their own error.
            yield from told_apart(
                claimed(site, own, slopes_s), slopes_s, 2.0 * site.tolerance(own), f"{site.name}: dV"
            )

    return trials


def undiscounted(site: PolicySite, own: PolicyEvaluation, slopes_s: Array) -> Array:
    """As printed."""
    return recursion(site, own, slopes_s, 1.0)


def charged_twice(site: PolicySite, own: PolicyEvaluation, slopes_s: Array) -> Array:
    """The regulariser's slope with the wrong sign."""
    return discounted(site, own, slopes_s) + 2.0 * site.h_slopes


def refute_gamma(content: dict[str, Any]) -> None:
    """With one state V is affine in the policy; the two sides of (B.8) differ, exactly."""
    mdp = exact.ExactMdp.parse(content["mdp"])
    exact.require(mdp.r_sa.shape == (1, 2), "the certificate is about one state and two actions")

    def value(t: fmpq) -> fmpq:
        return mdp.start_value(np.array([[t, 1 - t]]))

    truth = affine_slope(value, fmpq(0), fmpq(1))
    at = exact.fractions(content["pi"])
    exact.require(exact.total(at) == 1 and all(p >= 0 for p in at.flat), "pi is no policy")
    q_a = mdp.action_values(at)[0]
    printed = q_a[0] - q_a[1] + truth
    exact.same("the slope of V", truth, content["lhs"])
    exact.same("the printed right side", printed, content["rhs"])
    exact.require(truth != printed, "the printed recursion is right")


def prove_recursion() -> None:
    """The product rule on the Bellman equation, in any dimension."""
    equation = operators("X R + X G V - N")
    slope = equation.derivative({"X": "T", "V": "W", "N": "K"})
    vanishes("dV minus the recursion", slope - operators("T R + T G V + X G W - K"))


CLAIM = Claim(
    number="(B.8)",
    title="recursion of the policy gradient",
    premise="h differentiable at the policy, or tau = 0",
    printed=Form(
        words="The gradient of V at a state is that through the policy at this state, plus the mean of "
        "the gradients at the next states.",
        formula=r"\nabla V^\pi(s)=\sum_a\nabla\pi(a|s)Q^\pi(s,a)+\sum_{s'}P^\pi(s'|s)\nabla V^\pi(s')"
        r"-\tau\nabla h_s(\pi(s))",
        refutations=(Refutation("B08_gamma", refute_gamma),),
    ),
    proved=Form(
        words="The same with the gradients at the next states discounted.",
        formula=r"\nabla V^\pi(s)=\sum_a\nabla\pi(a|s)Q^\pi(s,a)"
        r"+\gamma\sum_{s'}P^\pi(s'|s)\nabla V^\pi(s')-\tau\nabla h_s(\pi(s))",
        trials=trials_with(discounted),
        textbook=(facts.RESOLVENT,),
        proofs=(Proof("the product rule on the Bellman equation", prove_recursion),),
    ),
    faults=(
        Fault("undiscounted", "no gamma, as printed", trials_with(undiscounted)),
        Fault("charged_twice", "the regulariser has the wrong sign", trials_with(charged_twice)),
    ),
    remark="The step before prints grad Q = sum P grad V without gamma; (B.9) is right again.",
    tried="A gamma is lost; no reading of P^pi as discounted is given. With gamma: corners, ties, "
    "vertices, Hypothesis over small rational MDPs.",
)

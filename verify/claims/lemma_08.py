r"""Lemma 8: the gradient of the Bellman penalty in x, and which premises it needs.

With q_{s,a}(x) = -max_pi Q^pi_x(s, a), g(x, y) = E_rho[<y_s, q_s(x)> + tau h_s(y_s)], v = min_y g::

    printed   Assumption 2: tau > 0; (a) Q^pi_x is C^1 in x, uniformly in pi; (b) irreducible chains
              grad_x g(x, y) = -E_{rho, pi_y}[grad_x Q^pi(s, a)],   at pi = pi*(x)           (4.2)
              grad v(x)      = -E_{rho, pi*}[grad_x Q^pi(s, a)],    at pi = pi*(x)           (4.3)
    meant     the same for classes that are products over the states
    proved    without (b)

A product class is needed.  If one policy must serve several states, the best policy need not minimise
g, for g compares actions state by state; then (4.3) is taken at the wrong policy.

Derivation, without (b).  X is compact, Q^pi_x C^1 in x with a gradient that is continuous on X x Pi, so
Q*_x = max_pi Q^pi_x is Lipschitz in x; by strong convexity the optimal policy, argmax over Pi_s of
<p, Q*_x(s,.)> - tau h_s(p) in each state, is continuous in x.  On a product class it is optimal in all
states at once, so Q*_x = Q^{pi*(x)}_x.  Let x' = x + d and pi' = pi*(x').  Then

    Q*_{x'} >= Q^{pi*(x)}_{x'}                    = Q*_x + <grad_x Q^{pi*(x)}_x, d> + o(d),
    Q*_{x'}  = Q^{pi'}_{x'} = Q^{pi'}_x + <grad_x Q^{pi'}_x, d> + o(d)
            <= Q*_x + <grad_x Q^{pi*(x)}_x, d> + o(d),

where the last step uses Q^{pi'} <= Q* and pi' -> pi*(x).  This is (4.2).  g(x, .) is strongly convex
with the unique minimiser pi*(x), and Lemma 19 gives (4.3).

The printed proof needs (b) to show that pi* is the only maximiser of Q^pi(s, a) for every (s, a).  That
may fail for chains that are not irreducible, but uniqueness is not needed: what counts is that *some*
maximiser moves continuously with x.

In y, p is differentiable where h is: not at the boundary of the simplex if h is an entropy.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from reference.optimality import Optimum, policy_iteration
from reference.problems.mdp import Mdp, MdpFamily
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.exact.bellman import SharedPolicies, shared
from verify.claims.trials.gradients import (
    Site,
    bellman_parts,
    best_tolerance,
    held,
    mean_q_slopes,
    sites,
    slope,
)
from verify.claims.trials.premises import assumption_2b
from verify.contract import Context
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native

Formula = Callable[[Site[MdpFamily], Optimum], Array]
"""(site, optimum) -> slopes of g and of v."""


def printed_slopes(site: Site[MdpFamily], optimum: Optimum) -> Array:
    """(4.2) and (4.3)."""
    return mean_q_slopes(site, (site.pi_sa, optimum.pi_sa), optimum.pi_sa)


def trials_with(
    claimed: Formula, premise: Callable[[Mdp], bool], every: int = 1
) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of g and v against formulas, at tau > 0 and where a further premise holds."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in sites(context, "lemma_08", every=every):
            if site.mdp.tau > 0.0 and premise(site.mdp):
                optimum = policy_iteration(site.mdp)
                yield from held(
                    site,
                    claimed(site, optimum),
                    bellman_parts(site),
                    2.0 * best_tolerance(site, optimum),
                    "grad_x (g, v)",
                    optimum=True,
                )

    return trials


def always(mdp: Mdp) -> bool:  # noqa: ARG001 - a premise without conditions
    """No premise."""
    return True


# Faults.


def under_own_policy(site: Site[MdpFamily], optimum: Optimum) -> Array:
    """grad_x Q is taken at pi_y instead of the optimum."""
    return mean_q_slopes(site, (site.pi_sa, optimum.pi_sa), site.pi_sa)


def swapped(site: Site[MdpFamily], optimum: Optimum) -> Array:
    """The first actions are exchanged."""
    return printed_slopes(site, optimum)[::-1]


def rewards_only(site: Site[MdpFamily], optimum: Optimum) -> Array:
    """The values at the next states are held fixed: only the backup is differentiated."""

    def backup(number: Arithmetic, x: Native) -> Native:
        return primitive.backup(number, site.model(number, x), number.lift(optimum.v_s))

    q_slope_sa = slope(backup, site.x, site.u)
    rho_s = site.mdp.rho_s
    return np.array(
        [-(rho_s[:, None] * w_sa * q_slope_sa).sum() for w_sa in (site.pi_sa, optimum.pi_sa)]
    )


def refute_class(content: dict[str, Any]) -> None:
    """On one policy shared by two states, grad v and (4.3) differ, exactly."""
    policies = SharedPolicies.parse(content)
    reach = exact.fraction(content["reach"])
    truth = policies.slope_of_v(reach)
    exact.same("the slope of v", truth, content["lhs"])
    best_sa = shared(exact.fraction(0))
    q_slope = policies.at(reach).action_values(best_sa) - policies.at(-reach).action_values(best_sa)
    rho_s = policies.at(exact.fraction(0)).rho_s
    printed = -exact.total(rho_s[:, None] * best_sa * q_slope) / (2 * reach)
    exact.same("(4.3)", printed, content["rhs"])
    exact.require(truth != printed, "(4.3) is right")


GRADIENTS = (
    r"\nabla_x g(x,y)=-\mathbb E_{s\sim\rho,a\sim\pi_y(s)}\bigl[\nabla_x Q^\pi(s,a)\bigr]"
    r"\big|_{\pi=\pi_y^*(x)},\quad"
    r"\nabla v(x)=-\mathbb E_{s\sim\rho,a\sim\pi_y^*(x)(s)}\bigl[\nabla_x Q^\pi(s,a)\bigr]"
    r"\big|_{\pi=\pi_y^*(x)}"
)

CLAIM = Claim(
    number="Lemma 8",
    title="gradient of the Bellman penalty in x",
    premise="Assumption 2: tau > 0; Q^pi continuously differentiable in x; gamma = 0 or irreducible "
    "chains under all policies; tabular policies",
    printed=Form(
        words="The Bellman penalty is differentiable in x; the gradients of g and v are minus the mean "
        "gradient of Q at the optimal policy, with the first action drawn from pi_y and from pi*.",
        formula=GRADIENTS,
        refutations=(Refutation("L08_class", refute_class),),
    ),
    meant=Form(
        words="The same where the policies of the states may be chosen independently.",
        formula=GRADIENTS + r",\quad\Pi=\textstyle\prod_s\Pi_s",
        trials=trials_with(printed_slopes, assumption_2b, every=2),
    ),
    proved=Form(
        words="The same without irreducibility.",
        formula=GRADIENTS + r",\quad\Pi=\textstyle\prod_s\Pi_s",
        trials=trials_with(printed_slopes, always),
    ),
    faults=(
        Fault(
            "under_own_policy",
            "the gradient of Q is taken at pi_y, not at the optimal policy",
            trials_with(under_own_policy, always),
        ),
        Fault("swapped", "the first actions of g and v are exchanged", trials_with(swapped, always)),
        Fault("one_step", "later states' values are held fixed", trials_with(rewards_only, always)),
    ),
    inherits=("Lemma 4", "Lemma 19"),
    remark="The proof that the maximiser of Q^pi(s, a) is unique needs irreducibility; a continuous "
    "choice of maximisers is enough, and there is one. (C.6) leaves out the regulariser, harmlessly. "
    "Differentiability in y needs a differentiable h: entropies fail at the boundary.",
    tried="Shared policies break it, irreducible chains or not; on products reducible chains do no "
    "harm (corners with vertices).",
)

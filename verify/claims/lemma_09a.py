r"""Lemma 9(a): the gradient of the Bellman penalty in preference learning and reward shaping.

Only the reward depends on x; C(pi) is the expectation of sum_t gamma^t grad r_x(s_t, a_t), where the
first action is drawn from pi and all others from pi*(x)::

    printed   r_x is C^1, Assumption 2(b):   grad_x g(x, y) = -C(pi_y),   grad v(x) = -C(pi*(x))
    meant     the same with tau > 0, for classes that are products over the states
    proved    without 2(b)

"Assumption 2(b) holds" does not say tau > 0, which stands in front of (a) and (b).  Without it v may
have a kink: rewards (x, -x) in one state give v(x) = -|x|.  With it, a class that is no product still
refutes the formula, as in Lemma 8.

Derivation.  At a fixed policy the law of the trajectory from (s, a) does not depend on x, so
grad_x Q^pi(s, a) = E[sum_t gamma^t grad r_x(s_t, a_t) | s, a, pi], bounded and continuous in (x, pi):
this is Assumption 2(a).  Lemma 8, which does not need 2(b), takes the mean over rho and first actions.
The "pi_y(s)" from which a_0 is drawn is pi_y(s_0).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq

from reference.contractions import arrivals
from reference.evaluation import evaluate
from reference.optimality import Optimum, policy_iteration
from reference.problems.mdp import Mdp, MdpFamily
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.exact.bellman import SharedPolicies, best_of_two, one_sided_slope, shared
from verify.claims.trials.gradients import Site, bellman_parts, best_tolerance, held, sites, slope
from verify.claims.trials.premises import assumption_2b
from verify.contract import Context
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import eliminate

Formula = Callable[[Site[MdpFamily], Optimum, Array], Array]
"""(site, optimum, slope of r_x along the direction) -> slopes of g and of v."""


def first_then_best(site: Site[MdpFamily], optimum: Optimum, first_sa: Array, slope_sa: Array) -> float:
    """E[sum_t gamma^t dr(s_t, a_t)], the first action from a policy, the others from the optimal one."""
    mdp = site.mdp
    drawn_sa = mdp.rho_s[:, None] * first_sa
    later_s = evaluate(mdp, optimum.pi_sa).visits(mdp.gamma * arrivals(mdp.P_sat, drawn_sa))
    return float(((drawn_sa + later_s[:, None] * optimum.pi_sa) * slope_sa).sum())


def printed_slopes(site: Site[MdpFamily], optimum: Optimum, slope_sa: Array) -> Array:
    """The right sides as printed."""
    return np.array(
        [-first_then_best(site, optimum, first_sa, slope_sa) for first_sa in (site.pi_sa, optimum.pi_sa)]
    )


def trials_with(
    claimed: Formula, premise: Callable[[Mdp], bool], every: int = 1
) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of g and v against formulas, at tau > 0 and where a further premise holds."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in sites(context, "lemma_09a", kernel=False, every=every):
            if site.mdp.tau > 0.0 and premise(site.mdp):
                optimum = policy_iteration(site.mdp)
                yield from held(
                    site,
                    claimed(site, optimum, reward_slope(site)),
                    bellman_parts(site),
                    2.0 * best_tolerance(site, optimum),
                    "grad_x (g, v)",
                    optimum=True,
                )

    return trials


def reward_slope(site: Site[MdpFamily]) -> Array:
    """grad r_x(s, a) along the direction."""
    return slope(lambda number, x: primitive.reward(number, site.problem.reward, x), site.x, site.u)


def always(mdp: Mdp) -> bool:  # noqa: ARG001 - a premise without conditions
    """No premise."""
    return True


# Faults.


def own_throughout(site: Site[MdpFamily], optimum: Optimum, slope_sa: Array) -> Array:
    """pi_y acts at all times in g, as in the value penalty."""
    visits_s = evaluate(site.mdp, site.pi_sa).visits(site.mdp.rho_s)
    g = -float((visits_s[:, None] * site.pi_sa * slope_sa).sum())
    return np.array([g, printed_slopes(site, optimum, slope_sa)[1]])


def undiscounted_arrival(site: Site[MdpFamily], optimum: Optimum, slope_sa: Array) -> Array:
    """The discount of the first step is forgotten."""
    mdp = site.mdp
    found = []
    for first_sa in (site.pi_sa, optimum.pi_sa):
        drawn_sa = mdp.rho_s[:, None] * first_sa
        later_s = evaluate(mdp, optimum.pi_sa).visits(arrivals(mdp.P_sat, drawn_sa))
        found.append(-float(((drawn_sa + later_s[:, None] * optimum.pi_sa) * slope_sa).sum()))
    return np.array(found)


# Certificates.


def refute_tau(content: dict[str, Any]) -> None:
    """Without tau > 0, v has different slopes at 0 from the right and from the left."""
    rewards, tau = exact.fractions(content["reward_slope"]), exact.fraction(content["tau"])
    exact.require(tau == 0, "the certificate is about tau = 0")

    def v(x: fmpq) -> fmpq:
        return -best_of_two(x * rewards, tau)

    right, left = (one_sided_slope(v, side, fmpq(1)) for side in (1, -1))
    exact.same("the slope of v from the right", right, content["lhs"])
    exact.same("the slope of v from the left", left, content["rhs"])
    exact.require(right != left, "v is differentiable")


def refute_class(content: dict[str, Any]) -> None:
    """On one policy shared by two states, grad v is not minus the rewards' slopes along pi*."""
    policies = SharedPolicies.parse(content)
    truth = policies.slope_of_v(exact.fraction(content["reach"]))
    exact.same("the slope of v", truth, content["lhs"])
    mdp, best_sa = policies.at(fmpq(0)), shared(fmpq(0))
    system = (exact.identity(2) - mdp.gamma * mdp.chain(best_sa)).T.copy()
    visits_s = eliminate(system, mdp.rho_s)
    printed = -exact.total(visits_s[:, None] * best_sa * policies.slope_sa)
    exact.same("the printed slope of v", printed, content["rhs"])
    exact.require(truth != printed, "the printed slope is right")


GRADIENTS = (
    r"\nabla_x g(x,y)=-\mathbb E\Bigl[\sum_t\gamma^t\nabla r_x(s_t,a_t)\Big|s_0\sim\rho,"
    r"a_0\sim\pi_y(s_0),\pi_y^*(x)\Bigr],\quad"
    r"\nabla v(x)=-\mathbb E\Bigl[\sum_t\gamma^t\nabla r_x(s_t,a_t)\Big|s_0\sim\rho,\pi_y^*(x)\Bigr]"
)

CLAIM = Claim(
    number="Lemma 9(a)",
    title="gradient of the Bellman penalty, RLHF and reward shaping",
    premise="r_x continuously differentiable, transitions that do not depend on x; Assumption 2(b); "
    "tabular policies",
    printed=Form(
        words="The gradient of v is minus the expected discounted sum of the rewards' gradients along "
        "trajectories of the optimal policy; that of g the same with the first action from pi_y.",
        formula=GRADIENTS,
        refutations=(Refutation("L09_tau0", refute_tau), Refutation("L08_class", refute_class)),
    ),
    meant=Form(
        words="The same with tau > 0, where the policies of the states may be chosen independently.",
        formula=GRADIENTS + r",\quad\tau>0",
        trials=trials_with(printed_slopes, assumption_2b, every=2),
    ),
    proved=Form(
        words="The same with tau > 0 and without irreducibility.",
        formula=GRADIENTS + r",\quad\tau>0",
        trials=trials_with(printed_slopes, always),
    ),
    faults=(
        Fault("own_throughout", "pi_y acts at all times", trials_with(own_throughout, always)),
        Fault(
            "undiscounted_arrival",
            "the first step is not discounted",
            trials_with(undiscounted_arrival, always),
        ),
    ),
    inherits=("Lemma 8",),
    remark="The lemma refers to part (b) of Assumption 2 alone; tau > 0 is part of the assumption but "
    "not of (b), and is needed.",
    tried="tau = 0 is allowed by the words 'Assumption 2(b)'; read as Assumption 2 on products, "
    "nothing was found.",
)

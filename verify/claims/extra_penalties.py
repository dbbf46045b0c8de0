r"""How the two penalties of Section 3 compare.

With p_B the Bellman penalty (3.5), p_V the value penalty (3.2), m = min rho and
mu = (1 - gamma) m / (gamma + (1 - gamma) m)::

    printed    either is a suitable measure of how far a policy is from optimal
    proved     p_B <= p_V <= p_B / mu,   on products of closed convex sets, for every tau >= 0

Derivation.  Let b(s) >= 0 be what a policy pi loses in state s in one step, V* afterwards:

    b = V* - T^pi V*,   T^pi v (s) = <pi(s), r + gamma P v> - tau h_s(pi(s)).

Since Q* = r + gamma P V*, p_B = sum_s rho(s) b(s).  V* - V^pi = b + gamma P_pi (V* - V^pi), so
V* - V^pi = (I - gamma P_pi)^{-1} b and p_V = sum_s v(s) b(s) with v the expected discounted visits of pi
from rho.  The start counts: v >= rho.  The occupancy d = (1 - gamma) v = (1 - gamma) rho + gamma P_pi' d
has a last term of at most gamma, so v / rho <= 1 + gamma / ((1 - gamma) rho) <= 1 / mu.

Both are attained: the first where pi loses only in a state to which it does not return; the second where
every action leads to the rare state and pi loses there.

So the bound (ii) of Lemma 4 holds for the value penalty too, and a lambda that suffices for one penalty
suffices, up to mu, for the other.
"""

from collections.abc import Iterator

import numpy as np

from reference.evaluation import evaluate
from reference.optimality import policy_iteration
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from verify.claims.contract import Claim, Fault, Form, Margin, Proof
from verify.claims.exact import dominance, facts
from verify.claims.trials.instances import Instance, corners
from verify.claims.trials.measures import (
    Measured,
    bellman_gap,
    dominance_constant,
    relative,
    start_value,
)
from verify.contract import Context


def penalties(instance: Instance) -> tuple[Measured, Measured]:
    """p_B and p_V; the error of Q* counts in the first."""
    mdp, best = instance.mdp, policy_iteration(instance.mdp)
    gap = bellman_gap(mdp, relative(best.q_sa), instance.pi_sa)
    value = start_value(best) - start_value(evaluate(mdp, instance.pi_sa))
    return gap + Measured(0.0, 2.0 * mdp.gamma * float(np.max(best.error))), value


def trap(gamma: float, rare: float) -> Instance:
    """Every action leads to the rare state, where the policy takes the worse one."""
    P_sat = np.zeros((2, 2, 2))
    P_sat[..., 0] = 1.0
    r_sa = np.array([[1.0, 0.0], [0.0, 0.0]])
    mdp = Mdp(P_sat, r_sa, gamma, np.array([rare, 1.0 - rare]), 0.0, Quadratic())
    name = f"trapped in the rare state, gamma = {gamma:g}, rare = {rare:g}"
    return Instance(name, mdp, np.array([[0.0, 1.0], [1.0, 0.0]]))


def instances(context: Context) -> Iterator[Instance]:
    """The attained ones, and all others with rho > 0."""
    yield trap(0.5, 0.25)
    yield trap(0.99, 0.01)
    for instance in corners(context, "extra_penalties"):
        if instance.mdp.rho_s.min() > 0.0:
            yield instance


def lower(gap: Measured, value: Measured, name: str) -> Margin:
    """p_B <= p_V."""
    return Margin(gap.value, value.value, gap.error + value.error, name)


def upper(gap: Measured, value: Measured, constant: float, name: str) -> Margin:
    """p_V <= p_B / constant."""
    return Margin(value.value, gap.value / constant, value.error + gap.error / constant, name)


def trials(context: Context) -> Iterator[Margin]:
    """Both inequalities."""
    for instance in instances(context):
        gap, value = penalties(instance)
        yield lower(gap, value, instance.name)
        yield upper(gap, value, dominance_constant(instance.mdp), instance.name)


def too_large(context: Context) -> Iterator[Margin]:
    """mu 1% too large."""
    for instance in instances(context):
        gap, value = penalties(instance)
        yield upper(gap, value, 1.01 * dominance_constant(instance.mdp), instance.name)


def horizon_only(context: Context) -> Iterator[Margin]:
    """p_V <= p_B / (1 - gamma): rho is forgotten."""
    for instance in instances(context):
        gap, value = penalties(instance)
        yield upper(gap, value, 1.0 - instance.mdp.gamma, instance.name)


def normalised(context: Context) -> Iterator[Margin]:
    """p_B <= (1 - gamma) p_V: the start is forgotten."""
    for instance in instances(context):
        gap, value = penalties(instance)
        yield lower(gap, (1.0 - instance.mdp.gamma) * value, instance.name)


CLAIM = Claim(
    number="Section 3",
    title="the two penalties compared",
    premise="rho > 0; tau >= 0; a product of closed convex sets",
    printed=Form(
        words="Both penalties are suitable measures of how far a policy is from optimal.",
        formula=r"p_B\sim p_V",
        untestable="No constant is named.  It becomes testable as a two-sided bound of one penalty by "
        "the other, which is what is proved.",
    ),
    proved=Form(
        words="The Bellman penalty is at most the value penalty, which is at most the Bellman penalty "
        "over the constant of Lemma 2; both bounds are attained.",
        formula=r"p_B\le p_V\le\frac{\gamma+(1-\gamma)m}{(1-\gamma)m}\,p_B,\quad m=\min_s\rho(s)",
        trials=trials,
        proofs=(
            Proof("V* - V as visits times what is lost in one step", dominance.performance_difference),
            Proof("visits compared with the start", dominance.of_penalties),
        ),
        textbook=(facts.OPTIMALITY, facts.RESOLVENT),
    ),
    faults=(
        Fault("too_large", "mu is 1% above the best constant", too_large),
        Fault("horizon_only", "the upper bound forgets rho", horizon_only),
        Fault("normalised", "the lower bound forgets that the start counts in full", normalised),
    ),
    remark="Not in the paper.  It carries results from one penalty to the other.",
    tried="Not a claim with a constant; both proved bounds are attained, and were searched by "
    "Hypothesis.",
)

r"""Lemma 2: gradient dominance of the value in the policy, with which constant.

With gap(pi) = max V(rho) - V^pi(rho) and dom(pi) = max_{pi'} <grad_pi V^pi(rho), pi' - pi>::

    printed   dom >= gap / ((1 - gamma) min rho)
    proved    dom >= mu gap,    mu = (1 - gamma) m / (gamma + (1 - gamma) m),    m = min rho

The proved constant needs a policy class that is a product over the states, and is the best possible
for two states or more, so for every m <= 1/2.  With one state d = d* and the constant is 1.

Derivation.  Let Pi be a product of convex sets, h convex and differentiable, and

    m(s) = max_{p in Pi_s} <Q^pi(s,.) - tau grad h_s(pi(s)), p - pi(s)>  >=  0.

The performance difference identity and the convexity of h give (1 - gamma) gap <= E_{d*} m, with d*
the occupancy of the optimal policy.  By (B.10) and because the maximum over a product is taken state
by state, (1 - gamma) dom = E_d m, with d the occupancy of pi.  Now d* = (1 - gamma) rho + gamma P*' d*,
where the last term is at most gamma, so d*(s) <= (1 - gamma) rho(s) + gamma; and
d(s) >= (1 - gamma) rho(s).  Hence

    d*(s) / d(s) <= 1 + gamma / ((1 - gamma) rho(s)) <= 1 / mu,

and gap <= dom / mu.  The printed proof bounds d*(s) by 1 alone, which gives (1 - gamma) m, and then
inverts the constant.

It is attained: two states, the rare one with "stay" (reward 1) and "leave", the other with "go" and
"stay"; the policy that leaves and stays has dom = rho(rare) and gap = dom / mu for every gamma.

On a class that is no product, such as one policy shared by all states, no constant mu > 0 will do: the
policy may be stationary without being optimal.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from reference.evaluation import evaluate, policy_gradient
from reference.optimality import policy_iteration
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation
from verify.claims.exact import dominance, facts
from verify.claims.trials.instances import Instance, adversary, corners, simplex, unit
from verify.contract import Context
from verify.crosscheck.tolerances import at_optimum, scale_of


def proved_constant(mdp: Mdp) -> float:
    """mu: the best constant for product classes."""
    rare = (1.0 - mdp.gamma) * float(mdp.rho_s.min())
    return rare / (mdp.gamma + rare)


def paper_constant(mdp: Mdp) -> float:
    """What the printed proof gives before its last step."""
    return (1.0 - mdp.gamma) * float(mdp.rho_s.min())


def dominance_and_gap(instance: Instance) -> tuple[float, float, float]:
    """dom, gap, and a bound on the rounding of either."""
    mdp, pi_sa = instance.mdp, instance.pi_sa
    own, best = evaluate(mdp, pi_sa), policy_iteration(mdp)
    gradient_sa = policy_gradient(own)
    dominance = float((gradient_sa.max(axis=1) - (gradient_sa * pi_sa).sum(axis=1)).sum())
    scale = scale_of(own)
    slopes = scale.reward + scale.value + mdp.tau
    rounding = 2.0 * scale.visits_error(1.0) * slopes + 2.0 * scale.horizon * scale.q_error
    values = at_optimum(best).value + float(np.max(best.error)) + scale.value_error
    return dominance, float(best.value - own.value), rounding + values


def margin(instance: Instance, constant: float) -> Margin:
    """constant * gap <= dom, divided by the constant so that large ones do not drown in rounding."""
    dominance, gap, rounding = dominance_and_gap(instance)
    allowed = rounding * (1.0 + 1.0 / constant)
    return Margin(gap, dominance / constant, allowed, instance.name)


def tight(gamma: float, rare: float, tau: float = 0.0) -> Instance:
    """The instance that attains the constant: rho of the rare state is ``rare`` <= 1/2."""
    P_sat = np.array([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    r_sa = np.array([[1.0, 0.0], [0.0, 0.0]])
    mdp = Mdp(P_sat, r_sa, gamma, np.array([rare, 1.0 - rare]), tau, Quadratic())
    name = f"rare state with probability {rare:g}, gamma = {gamma:g}"
    return Instance(name, mdp, np.array([[0.0, 1.0], [0.0, 1.0]]))


def instances(context: Context) -> Iterator[Instance]:
    """Corners, hard cases, and the tight family; those with smooth h and rho > 0."""
    for instance in corners(context, "lemma_02"):
        smooth = np.isfinite(instance.mdp.regularizer.smoothness) or instance.mdp.tau == 0.0
        if instance.mdp.rho_s.min() > 0.0 and (smooth or instance.pi_sa.min() > 0.0):
            yield instance
    for gamma in (0.3, 0.9):
        for rare in (0.5, 0.1):
            yield tight(gamma, rare)


def decoded(z: Array) -> Instance:
    """A two-state, two-action MDP at tau = 0 from eleven numbers."""
    P_sat = simplex(np.stack([z[:4], -z[:4]], axis=-1)).reshape(2, 2, 2)
    pi_sa = simplex(np.stack([z[4:6], -z[4:6]], axis=-1))
    rare = 0.01 + 0.49 * unit(z[6])
    mdp = Mdp(P_sat, np.tanh(z[7:11]).reshape(2, 2), 0.5, np.array([rare, 1.0 - rare]), 0.0, Quadratic())
    return Instance("two states, climbed to", mdp, pi_sa)


def proved_trials(context: Context) -> Iterator[Margin]:
    """The proved form on all instances, and where a climb on the ratio ends."""
    for instance in instances(context):
        yield margin(instance, proved_constant(instance.mdp))

    def climbed(z: Array) -> Margin:
        instance = decoded(z)
        return margin(instance, proved_constant(instance.mdp))

    yield from adversary(context, "lemma_02", 11, climbed)


def too_large(context: Context) -> Iterator[Margin]:
    """The constant 1% above the best one."""
    for instance in instances(context):
        yield margin(instance, 1.01 * proved_constant(instance.mdp))


def without_rho(context: Context) -> Iterator[Margin]:
    """The constant 1 - gamma."""
    for instance in instances(context):
        yield margin(instance, 1.0 - instance.mdp.gamma)


def refute_constant(content: dict[str, Any]) -> None:
    """dom < gap / ((1 - gamma) min rho), exactly."""
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    pi_sa = exact.fractions(content["pi"])
    gap = mdp.start_value(mdp.best_deterministic()) - mdp.start_value(pi_sa)
    dominance = mdp.dominance(pi_sa)
    printed = gap / ((1 - mdp.gamma) * min(mdp.rho_s))
    exact.same("the dominance", dominance, content["lhs"])
    exact.same("the printed right side", printed, content["rhs"])
    exact.greater("the printed right side exceeds the dominance", printed, dominance)


def refute_class(content: dict[str, Any]) -> None:
    """On one policy shared by both states, dom = 0 and gap > 0, exactly.

    The slope of V(rho) along the class is negative at t = 0, the end of the segment, so that no
    direction in the class ascends; yet t = 1 is better.
    """
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    gap = exact.gap_at_a_stuck_end(mdp, content["slope"])
    exact.same("the best linearised improvement, staying at the end,", exact.fraction(0), content["lhs"])
    exact.same("the gap", gap, content["rhs"])
    exact.greater("the gap is positive", gap, exact.fraction(0))


ATTAINED = "L02_tight"
"""Certificate of an instance with equality."""


def attained(content: dict[str, Any]) -> None:
    """dom = mu gap, exactly: no larger constant will do."""
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    pi_sa = exact.fractions(content["pi"])
    gap = mdp.start_value(mdp.best_deterministic()) - mdp.start_value(pi_sa)
    rare = (1 - mdp.gamma) * min(mdp.rho_s)
    exact.same("the dominance", mdp.dominance(pi_sa), content["lhs"])
    exact.same("mu times the gap", rare / (mdp.gamma + rare) * gap, content["rhs"])
    exact.same("the dominance, mu times the gap,", mdp.dominance(pi_sa), content["rhs"])


def prove_attained() -> None:
    """The recorded instance."""
    attained(exact.load(ATTAINED))


CLAIM = Claim(
    number="Lemma 2",
    title="gradient dominance",
    premise="a convex policy class; rho > 0; tau >= 0; h convex and differentiable at the policy",
    printed=Form(
        words="The best linearised improvement over the class is at least the optimality gap, "
        "divided by (1 - gamma) times the smallest start probability.",
        formula=r"\max_{\pi'}\langle\nabla_\pi V^\pi(\rho),\pi'-\pi\rangle\ge"
        r"\frac{1}{(1-\gamma)\min_s\rho(s)}\bigl(\max_{\tilde\pi}V^{\tilde\pi}(\rho)-V^\pi(\rho)\bigr)",
        refutations=(
            Refutation("L02_constant", refute_constant),
            Refutation("L02_rho", refute_constant),
            Refutation("L02_class", refute_class),
        ),
    ),
    proved=Form(
        words="On a class that is a product over the states, the best linearised improvement is at "
        "least mu times the optimality gap; with two states or more no larger constant will do, and "
        "with one it is 1.",
        formula=r"\max_{\pi'}\langle\nabla_\pi V^\pi(\rho),\pi'-\pi\rangle\ge"
        r"\frac{(1-\gamma)m}{\gamma+(1-\gamma)m}"
        r"\bigl(\max_{\tilde\pi}V^{\tilde\pi}(\rho)-V^\pi(\rho)\bigr),\quad m=\min_s\rho(s)",
        trials=proved_trials,
        proofs=(
            Proof("what one step gains is at most its linearisation", dominance.one_step),
            Proof("the performance difference", dominance.performance_difference),
            Proof("the occupancies compared", dominance.occupancies),
            Proof("an instance attains it", prove_attained),
        ),
        textbook=(facts.RESOLVENT,),
    ),
    faults=(
        Fault("too_large", "the constant is 1% above the best one", too_large),
        Fault("without_rho", "the constant forgets the start distribution", without_rho),
    ),
    inherits=("(B.9)-(B.10)",),
    remark="The printed proof bounds the ratio of occupancies by 1 / ((1 - gamma) min rho) and then "
    "puts the inverse of that constant into the statement; it also takes the maximum over the class "
    "state by state, which needs a product class.",
    tried="With the inverse of its constant it would hold; but Lemma 3 uses the constant as it is "
    "printed. One state refutes it. The proved constant was climbed on, searched by "
    "Hypothesis, and is attained.",
)

r"""Assumption 2: what its part (b) is for, and which parts Lemma 8 needs.

::

    printed   (proof of Lemma 8, (C.6))  under Assumption 2 the optimal policy alone maximises
              Q^pi(s, a), for every (s, a):       Q^pi(s, a) < Q*(s, a)  for every other pi
    meant     the same for gamma > 0 and product classes, with a bound: for h strongly convex with
              modulus m and n(t) = sum_{k>=1} gamma^k P(s_k = t | s, a, pi),

              sum_t n(t) (tau m / 2) |pi(t) - pi*(t)|^2  <=  Q*(s, a) - Q^pi(s, a)
    proved    Lemma 8 without (b), on chains that are not irreducible, and without rho > 0

Part (b) allows gamma = 0, where Q^pi = r for all policies: every one maximises it, and the step of the
proof fails, though not the lemma.

Derivation of the bound.  Q* - Q^pi = gamma P (V* - V^pi), V* - V^pi = (1 - gamma P_pi)^{-1} b, where
what pi loses in one step, b(t), is at least (tau m / 2) |pi(t) - pi*(t)|^2 on product classes.
Irreducibility under pi makes every n(t) positive.  Attained by the quadratic with optima inside the
simplices.

Lemma 8 itself nowhere uses (b): see its derivation.  Its trials here are of chains that are *not*
irreducible: closed classes, absorbing and transient states, deterministic transitions, and starts that
leave out states; every premise but (b), and rho > 0, is met.  Policies in states that are not reached
from (s, a) do not matter then, so that maximisers of Q^pi(s, a) are not unique.  That is all that fails.

The other parts are needed.  tau > 0: one state, gamma = 0, rewards (x, -x): v(x) = -|x|.  (a): rewards
(|x|, 0) at tau = 1 give p(x, e_1) = 1/4 - |x|/2 + x^2/4 for |x| <= 1.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq

from reference.evaluation import evaluate
from reference.optimality import policy_iteration
from reference.problems.general_position import general_point, general_regularizers, linear_family
from reference.problems.hard_cases import reducible_chain, unreachable_state
from reference.problems.mdp import Mdp, MdpFamily
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation, Trials
from verify.claims.exact.bellman import best_of_two, net, one_sided_slope
from verify.claims.trials.gradients import (
    Site,
    bellman_parts,
    best_tolerance,
    equal,
    held,
    mean_q_slopes,
)
from verify.claims.trials.instances import DRAWS, Instance, corners, generator_of, sparse
from verify.claims.trials.premises import irreducible
from verify.contract import Context, Level
from verify.crosscheck.tolerances import at_optimum, scale_of
from verify.oracles.rational import nearest


def reducible_mdp(generator: np.random.Generator) -> Mdp:
    """A closed class and further states; one or two next states for each action."""
    n, n_actions = int(generator.integers(2, 6)), int(generator.integers(2, 4))
    closed = int(generator.integers(1, n))
    P_sat = np.zeros((n, n_actions, n))
    for s in range(n):
        for a in range(n_actions):
            reach = closed if s < closed else n
            successors = generator.choice(
                reach, min(reach, int(generator.integers(1, 3))), replace=False
            )
            P_sat[s, a, successors] = 1.0 / len(successors)
    regularizers = general_regularizers(generator, n, n_actions)
    rho_s = sparse(generator, (n,), 1.0)
    if generator.random() < 0.5:
        rho_s[int(generator.integers(n))] = 0.0
    return Mdp(
        P_sat,
        generator.standard_normal((n, n_actions)),
        float(generator.choice([0.5, 0.9])),
        rho_s / rho_s.sum(),
        float(generator.choice([0.1, 1.0])),
        regularizers[str(generator.choice(list(regularizers)))],
    )


def reducible_sites(context: Context) -> Iterator[Site[MdpFamily]]:
    """Families around such MDPs, and around the hard cases of the kind."""
    generator = generator_of(context, "assumption_02")
    mdps = [reducible_mdp(generator) for _ in range(DRAWS[context.level] // 2)]
    for i, mdp in enumerate([*mdps, reducible_chain(), unreachable_state()]):
        family = linear_family(generator, mdp)
        x = general_point(generator, family.domain)
        pi_sa, u = sparse(generator, mdp.r_sa.shape, 1.0), generator.standard_normal(x.shape)
        if not irreducible(family.at(x).P_sat):
            thorough = context.level > Level.QUICK and i % 25 == 0
            yield Site("not irreducible", family, x, pi_sa, u, thorough)


def trials_with(
    companion: Callable[[Site[MdpFamily], Array], Array],
) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of g and v against (4.2) and (4.3), with grad_x Q at a companion of the optimal policy."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in reducible_sites(context):
            optimum = policy_iteration(site.mdp)
            yield from held(
                site,
                mean_q_slopes(site, (site.pi_sa, optimum.pi_sa), companion(site, optimum.pi_sa)),
                bellman_parts(site),
                2.0 * best_tolerance(site, optimum),
                "grad_x (g, v)",
                optimum=True,
            )

    return trials


def the_optimum(site: Site[MdpFamily], best_sa: Array) -> Array:  # noqa: ARG001 - see own_policy
    """The optimal policy."""
    return best_sa


def own_policy(site: Site[MdpFamily], best_sa: Array) -> Array:  # noqa: ARG001 - see the_optimum
    """pi_y."""
    return site.pi_sa


# Part (b) and uniqueness.


def looking_ahead(context: Context) -> Iterator[Instance]:
    """Irreducible MDPs with tau > 0 and gamma > 0; in some the optimum is inside the simplices."""
    for instance in corners(context, "assumption_02"):
        mdp = instance.mdp
        if mdp.tau > 0.0 and mdp.gamma > 0.0 and irreducible(mdp.P_sat):
            yield instance
    generator = generator_of(context, "assumption_02 inside")
    for _ in range(DRAWS[context.level] // 2):
        n = int(generator.integers(1, 5))
        P_sat = sparse(generator, (n, 2, n), 1.0)
        r_sa, rho_s = generator.uniform(-0.2, 0.2, (n, 2)), sparse(generator, (n,), 1.0)
        mdp = Mdp(P_sat, r_sa, float(generator.choice([0.1, 0.5])), rho_s, 1.0, Quadratic())
        yield Instance("optimum inside", mdp, sparse(generator, (n, 2), 1.0))


def lead(instance: Instance, share: float = 1.0, *, first: float | None = None) -> Margin:
    """The bound at the (s, a) where it is tightest; ``first`` replaces gamma for the first step."""
    mdp, pi_sa = instance.mdp, instance.pi_sa
    best, own, scale = policy_iteration(mdp), evaluate(mdp, pi_sa), scale_of(evaluate(mdp, pi_sa))
    discount = mdp.gamma if first is None else first
    reached_ks = own.visits(discount * mdp.P_sat.reshape(-1, mdp.n_states))
    distances_s = ((pi_sa - best.pi_sa) ** 2).sum(axis=1)
    modulus = share * mdp.tau * mdp.regularizer.strong_convexity / 2.0
    lhs_k = modulus * reached_ks @ distances_s
    rhs_k = (best.q_sa - own.q_sa).ravel()
    k = int((lhs_k - rhs_k).argmax())
    # Rows of the optimum are off by policy_error, of points at most 2 apart; n is at most the horizon.
    rounding = at_optimum(best).value + float(np.max(best.error)) + scale.q_error + scale.value_error
    moved = 4.0 * scale.horizon * float(np.max(best.policy_error)) + 2.0 * scale.visits_error(1.0)
    return Margin(float(lhs_k[k]), float(rhs_k[k]), 2.0 * rounding + modulus * moved, instance.name)


def meant_trials(context: Context) -> Iterator[Margin]:
    """The bound on all instances."""
    for instance in looking_ahead(context):
        yield lead(instance)


def one_percent(context: Context) -> Iterator[Margin]:
    """The bound 1% larger."""
    for instance in looking_ahead(context):
        yield lead(instance, 1.01)


def undiscounted_arrival(context: Context) -> Iterator[Margin]:
    """The first step is not discounted."""
    for instance in looking_ahead(context):
        yield lead(instance, first=1.0)


def refute_myopic(content: dict[str, Any]) -> None:
    """At gamma = 0 a policy that is not optimal has the optimal one's Q, exactly."""
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    exact.require(mdp.gamma == 0 and mdp.tau > 0, "gamma must be 0, and tau positive")
    own_sa, optimal_sa = exact.policy(content["pi"]), exact.policy(content["optimal"])
    mdp.require_optimal(optimal_sa)
    exact.greater("pi is not optimal", mdp.start_value(optimal_sa), mdp.start_value(own_sa))
    q, q_best = (mdp.action_values(pi_sa)[0, 0] for pi_sa in (own_sa, optimal_sa))
    exact.same("Q at pi", q, content["lhs"])
    exact.same("Q at the optimal policy", q_best, content["rhs"])
    exact.require(q >= q_best, "Q at pi is smaller")


# Other parts dropped.


def verify_tau(content: dict[str, Any]) -> None:
    """At tau = 0, v has different slopes at 0 from the right and from the left."""
    rewards, tau = exact.fractions(content["reward_slope"]), exact.fraction(content["tau"])
    exact.require(tau == 0, "the certificate is about tau = 0")

    def v(x: fmpq) -> fmpq:
        return -best_of_two(x * rewards, tau)

    _kink(content, "v", v)


def verify_rewards(content: dict[str, Any]) -> None:
    """With a reward |x|, p has different slopes at 0 from the right and from the left."""
    tau, y_a = exact.fraction(content["tau"]), exact.fractions(content["policy"])
    exact.require(tau > 0, "tau must be positive")
    exact.require(exact.total(y_a) == 1 and all(p >= 0 for p in y_a), "y is no policy")

    def p(x: fmpq) -> fmpq:
        r_a = np.array([abs(x), fmpq(0)])
        return best_of_two(r_a, tau) - net(y_a, r_a, tau)

    _kink(content, "p", p)


def _kink(content: dict[str, Any], name: str, function: Callable[[fmpq], fmpq]) -> None:
    right, left = (one_sided_slope(function, side, fmpq(1)) for side in (1, -1))
    exact.same(f"the slope of {name} from the right", right, content["lhs"])
    exact.same(f"the slope of {name} from the left", left, content["rhs"])
    exact.require(right != left, f"{name} is differentiable")


def dropped(certificate: str, verify: Callable[[dict[str, Any]], None]) -> Trials:
    """The two slopes of a recorded kink, which a gradient would make equal."""

    def trials(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
        content = exact.load(certificate)
        verify(content)
        right, left = (nearest(exact.fraction(content[side])) for side in ("lhs", "rhs"))
        yield equal(right, left, 0.0, content["statement"])

    return trials


MAXIMISER = r"Q^\pi(s,a)<Q^{\pi_y^*(x)}(s,a)\quad\forall\pi\ne\pi_y^*(x)"

CLAIM = Claim(
    number="Assumption 2",
    title="what (b) is for, and which parts Lemma 8 needs",
    premise="Assumption 2: tau > 0, Q^pi continuously differentiable in x, and gamma = 0 or irreducible "
    "chains; tabular policies; for the last form the parts that are not dropped",
    printed=Form(
        words="(C.6): the optimal policy is the only one that maximises Q^pi(s, a), for every (s, a).",
        formula=MAXIMISER,
        refutations=(Refutation("A02_myopic", refute_myopic),),
    ),
    meant=Form(
        words="The same for gamma > 0, where the policies of the states may be chosen independently: "
        "others fall short by their squared distances in the states that are reached later.",
        formula=MAXIMISER + r",\quad Q^*(s,a)-Q^\pi(s,a)\ge\sum_{k\ge1}\gamma^k\mathbb E\bigl["
        r"\tfrac{\tau m}2\|\pi(s_k)-\pi^*(s_k)\|^2\big|s,a,\pi\bigr],\quad\gamma>0",
        trials=meant_trials,
    ),
    proved=Form(
        words="Lemma 8 holds without irreducibility, and without positive start probabilities.",
        formula=r"(4.2),(4.3)\text{ without 2(b)}",
        trials=trials_with(the_optimum),
    ),
    faults=(
        Fault("one_percent", "the bound is 1% larger", one_percent),
        Fault("undiscounted_arrival", "the first step is not discounted", undiscounted_arrival),
        Fault(
            "under_own_policy",
            "the gradient of Q is taken at pi_y, not at the optimal policy",
            trials_with(own_policy),
        ),
        Fault(
            "without_tau",
            "Lemma 8 without tau > 0: v = -|x|",
            dropped("A02_tau", verify_tau),
        ),
        Fault(
            "without_2a",
            "Lemma 8 without 2(a): rewards (|x|, 0), and p has a kink",
            dropped("A02_reward", verify_rewards),
        ),
    ),
    inherits=("Lemma 8",),
    remark="A suspicion that was checked and cleared: dropping irreducibility breaks a step of the "
    "printed proof, but not the lemma.  At gamma = 0, which (b) allows, the same step fails.",
    tried="Each premise dropped in turn: tau = 0 and rewards with a kink break Lemma 8; reducible "
    "chains, among the corners, break nothing.  gamma = 0 breaks the uniqueness that (b) is for.",
)

r"""Assumption 2: which of its parts Lemma 8 needs.

::

    printed   (not claimed by the paper)  Lemma 8 without tau > 0, or without (a)
    proved    Lemma 8 without (b), on chains that are not irreducible, and without rho > 0

tau > 0: one state, gamma = 0, rewards (x, -x): v(x) = -|x|.  (a): rewards (|x|, 0) at tau = 1 give

    p(x, e_1) = 1/4 - |x|/2 + x^2/4    for |x| <= 1.

(b): the derivation of Lemma 8 nowhere uses it.  The trials here are of chains that are *not*
irreducible: closed classes, absorbing and transient states, deterministic transitions, and starts that
leave out states; every premise but (b), and rho > 0, is met.

Without irreducibility the maximisers of Q^pi(s, a) are not unique, since policies in states that are not
reached from (s, a) do not matter.  That is all that fails: a step of the printed proof.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq

from reference.optimality import policy_iteration
from reference.problems.general_position import general_point, general_regularizers, linear_family
from reference.problems.hard_cases import reducible_chain, unreachable_state
from reference.problems.mdp import Mdp, MdpFamily
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.exact.bellman import best_of_two, net, one_sided_slope
from verify.claims.trials.gradients import (
    Site,
    bellman_parts,
    best_tolerance,
    held,
    mean_q_slopes,
)
from verify.claims.trials.instances import DRAWS, generator_of, sparse
from verify.claims.trials.premises import irreducible
from verify.contract import Context, Level


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


def refute_tau(content: dict[str, Any]) -> None:
    """At tau = 0, v has different slopes at 0 from the right and from the left."""
    rewards, tau = exact.fractions(content["reward_slope"]), exact.fraction(content["tau"])
    exact.require(tau == 0, "the certificate is about tau = 0")

    def v(x: fmpq) -> fmpq:
        return -best_of_two(x * rewards, tau)

    _kink(content, "v", v)


def refute_rewards(content: dict[str, Any]) -> None:
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


CLAIM = Claim(
    number="Assumption 2",
    title="which parts Lemma 8 needs",
    premise="tabular policies; the parts of the assumption that are not dropped",
    printed=Form(
        words="Not claimed by the paper: that Lemma 8 holds without tau > 0, or without the continuous "
        "differentiability of Q in x.",
        formula=r"\nabla_xp(x,y)\text{ exists without }\tau>0\text{, or without 2(a)}",
        refutations=(Refutation("A02_tau", refute_tau), Refutation("A02_reward", refute_rewards)),
    ),
    proved=Form(
        words="Lemma 8 holds without irreducibility, and without positive start probabilities.",
        formula=r"(4.2),(4.3)\text{ without 2(b)}",
        trials=trials_with(the_optimum),
    ),
    faults=(
        Fault(
            "under_own_policy",
            "the gradient of Q is taken at pi_y, not at the optimal policy",
            trials_with(own_policy),
        ),
    ),
    inherits=("Lemma 8",),
    remark="A suspicion that was checked and cleared: dropping irreducibility breaks a step of the "
    "printed proof, but not the lemma.",
    tried="Each premise dropped in turn: tau = 0 and rewards with a kink break Lemma 8; reducible "
    "chains, among the corners, break nothing.",
)

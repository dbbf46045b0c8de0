r"""Lemma 7(a): the gradient of the value penalty in preference learning and reward shaping.

Only the reward depends on x::

    printed   grad_x p = -E[ sum_t gamma^t grad r_x(s_t, a_t) | rho, pi_y ]
                         +E[ sum_t gamma^t grad r_x(s_t, a_t) | rho, pi_y*(x) ]
    meant     the same where y -> pi_y is continuous

Derivation.  At a fixed policy the law of the trajectory does not depend on x, and neither does tau h, so
V^pi(rho) = E[sum_t gamma^t r_x(s_t, a_t)] - const is differentiated under the sum, which converges
uniformly because grad r_x is bounded on the compact X.  The result is continuous in (x, pi): this is
Assumption 1(a), and Lemma 6 applies with 1(b).

At its word it fails as Lemma 6 does, where y -> pi_y jumps.
"""

from collections.abc import Callable, Iterator

import numpy as np

from reference.evaluation import evaluate
from reference.optimality import Optimum, policy_iteration
from reference.problems.general_position import general_point, general_rlhf, general_shaping
from reference.problems.mdp import MdpFamily
from reference.validation import Array
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.exact.jump import refute_jump
from verify.claims.trials.gradients import (
    Site,
    agreeing,
    best_tolerance,
    held,
    own_tolerance,
    sites,
    slope,
    value_penalty,
)
from verify.claims.trials.instances import generator_of, sparse
from verify.contract import Context
from verify.oracles import definitions as primitive

Formula = Callable[[Site[MdpFamily], Optimum, Array], float]
"""(site, optimum, slope of r_x along the direction) -> slope of the penalty."""


def reward_slope(site: Site[MdpFamily]) -> Array:
    """grad r_x(s, a) along the direction."""
    return slope(lambda number, x: primitive.reward(number, site.problem.reward, x), site.x, site.u)


def along_trajectory(site: Site[MdpFamily], pi_sa: Array, slope_sa: Array) -> float:
    """E[sum_t gamma^t dr(s_t, a_t) | rho, pi], summed over states and actions."""
    visits_s = evaluate(site.mdp, pi_sa).visits(site.mdp.rho_s)
    return float((visits_s[:, None] * pi_sa * slope_sa).sum())


def printed_slope(site: Site[MdpFamily], optimum: Optimum, slope_sa: Array) -> float:
    """The right side as printed."""
    best = along_trajectory(site, optimum.pi_sa, slope_sa)
    return best - along_trajectory(site, site.pi_sa, slope_sa)


def applications(context: Context) -> Iterator[Site[MdpFamily]]:
    """Lower levels of the two applications."""
    generator = generator_of(context, "lemma_07a applications")
    for lower in (general_rlhf(generator).lower, general_shaping(generator).shaped):
        if isinstance(lower, MdpFamily):
            x = general_point(generator, lower.domain)
            pi_sa = sparse(generator, lower.at(x).r_sa.shape, 1.0)
            u = generator.standard_normal(x.shape)
            yield Site("RLHF, shaping", lower, x, pi_sa, u, True)


def trials_with(claimed: Formula) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of the penalty against a formula, where 1(b) holds."""

    def trials(context: Context) -> Iterator[Margin]:
        for source in (sites(context, "lemma_07a", kernel=False), applications(context)):
            for site in source:
                optimum = policy_iteration(site.mdp)
                slope_sa = reward_slope(site)
                if agreeing(site, optimum):
                    own = own_tolerance(site, evaluate(site.mdp, site.pi_sa))
                    yield from held(
                        site,
                        np.array(claimed(site, optimum, slope_sa)),
                        value_penalty(site),
                        own + best_tolerance(site, optimum),
                        "grad_x p",
                        optimum=True,
                    )

    return trials


# Faults.


def first_step_only(site: Site[MdpFamily], optimum: Optimum, slope_sa: Array) -> float:
    """The discount is taken for zero: only the first reward is differentiated."""
    return float((site.mdp.rho_s[:, None] * (optimum.pi_sa - site.pi_sa) * slope_sa).sum())


def under_own_policy(site: Site[MdpFamily], optimum: Optimum, slope_sa: Array) -> float:
    """The optimal policy acts in the states that pi_y visits."""
    visits_s = evaluate(site.mdp, site.pi_sa).visits(site.mdp.rho_s)
    return float((visits_s[:, None] * (optimum.pi_sa - site.pi_sa) * slope_sa).sum())


def from_anywhere(site: Site[MdpFamily], optimum: Optimum, slope_sa: Array) -> float:
    """The start is uniform instead of rho."""
    n_states = site.mdp.n_states
    visits = [
        evaluate(site.mdp, pi_sa).visits(np.full(n_states, 1.0 / n_states))[:, None] * pi_sa
        for pi_sa in (optimum.pi_sa, site.pi_sa)
    ]
    return float(((visits[0] - visits[1]) * slope_sa).sum())


FORMULA = (
    r"\nabla_x p(x,y)=-\mathbb E\Bigl[\sum_t\gamma^t\nabla r_x(s_t,a_t)\Big|\rho,\pi_y\Bigr]"
    r"+\mathbb E\Bigl[\sum_t\gamma^t\nabla r_x(s_t,a_t)\Big|\rho,\pi_y^*(x)\Bigr]"
)

CLAIM = Claim(
    number="Lemma 7(a)",
    title="gradient of the value penalty, RLHF and reward shaping",
    premise="r_x continuously differentiable, transitions that do not depend on x; Assumption 1(b)",
    printed=Form(
        words="For every parametrisation, the gradient of the value penalty is the expected discounted "
        "sum of the rewards' gradients along trajectories of the optimal policy, minus that for pi_y.",
        formula=FORMULA,
        refutations=(Refutation("L06_jump", refute_jump),),
    ),
    meant=Form(
        words="The same where pi_y is continuous in y.",
        formula=FORMULA + r",\quad y\mapsto\pi_y\text{ continuous}",
        trials=trials_with(printed_slope),
    ),
    faults=(
        Fault(
            "first_step_only", "only the first reward is differentiated", trials_with(first_step_only)
        ),
        Fault(
            "under_own_policy",
            "both expectations run over the states that pi_y visits",
            trials_with(under_own_policy),
        ),
        Fault("from_anywhere", "trajectories start uniformly, not from rho", trials_with(from_anywhere)),
    ),
    inherits=("Lemma 6", "Lemma 19"),
    remark="Refuted with Lemma 6, which it applies. Checked and cleared: the regulariser contributes "
    "nothing, since the policy is held fixed.",
    tried="Refuted with Lemma 6; with a continuous parametrisation, slow chains, cold policies and "
    "ties with one gradient were tried.",
)

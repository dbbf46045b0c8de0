r"""Lemma 9(b): the gradient of the Bellman penalty in a Stackelberg game.

The follower's first action is drawn from pi, all others from pi*(x); Q_f is that of (pi_x, pi*(x))::

    C(pi) = E[ sum_{t>=0} gamma^t Q_f(s_t, a_l,t, a_f,t) d log pi_x(a_l,t|s_t) ]
            - E[ sum_{t>=1} gamma^t tau h_f(pi*(s_t)) d log pi_x(a_l,t|s_t) ]

    printed   pi_x is C^1, Assumption 2(b):   grad_x g(x, y) = -C(pi_y),   grad v(x) = -C(pi*(x))
    meant     the same where tau > 0, pi_x > 0, and for classes that are products over the states
    proved    sum_a grad pi_x(a|s) (...) for scores, every pi_x, without 2(b)

As in Lemma 7(b), an action of the leader with probability zero is never drawn and its part of the
gradient is lost.  And as in Lemma 9(a), Assumption 2(b) alone does not say tau > 0: without it v may
have a kink where all the leader's probabilities are positive.

Derivation.  Let X and Y be the expectations over the leader's and the follower's action, Y_0 over the
follower's first, G = gamma P.  At a fixed policy of the follower dV = (1 - X Y G)^{-1} dX Y Q_f, see
(C.5), and the follower's action value is q = X (r_f + G V) given his action, so

    Y_0 dq = Y_0 dX (r_f + G V) + Y_0 X G dV = Y_0 dX Q_f + Y_0 X G (1 - X Y G)^{-1} dX Y Q_f :

the scores of the first step with the first action from Y_0, and the discounted scores of all later ones.
Lemma 8, which does not need 2(b), takes the mean over rho.  The terms with h are zero.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq

from reference.evaluation import evaluate
from reference.optimality import Optimum, policy_iteration
from reference.problems.mdp import Mdp
from reference.problems.stackelberg import StackelbergGame
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.exact.bellman import best_of_two, one_sided_slope
from verify.claims.exact.games import AffineLeader, ExactGame, affine_slope
from verify.claims.trials.gradients import Site, bellman_parts, best_tolerance, game_sites, held
from verify.claims.trials.premises import assumption_2b
from verify.claims.trials.scores import (
    Weights,
    action_values,
    charge,
    charge_rounding,
    scored,
    scores_of_drawn,
    slopes_of_policy,
)
from verify.contract import Context

Formula = Callable[[Site[StackelbergGame], Optimum], Array]
"""(site, optimum) -> slopes of g and of v."""


def first_then_best(
    site: Site[StackelbergGame], optimum: Optimum, first_sb: Array, weights: Weights
) -> float:
    """C(pi): the follower's first action from a policy, the others from the optimal one."""
    game, best = site.problem, evaluate(site.mdp, optimum.pi_sa)
    rho_s, weights_sa, q_sab = game.rho_s, weights(site), action_values(site, best)
    leader_sa = game.leader(site.x)
    arrivals_s = np.einsum("s,sa,sb,sabt->t", rho_s, leader_sa, first_sb, game.P_sabt)
    later_s = best.visits(game.gamma * arrivals_s)
    later = scored(later_s, weights_sa, best.pi_sa, q_sab - charge(best))
    return scored(rho_s, weights_sa, first_sb, q_sab) + later


def formula(weights: Weights) -> Formula:
    """The right sides."""

    def claimed(site: Site[StackelbergGame], optimum: Optimum) -> Array:
        return np.array(
            [
                -first_then_best(site, optimum, first_sb, weights)
                for first_sb in (site.pi_sa, optimum.pi_sa)
            ]
        )

    return claimed


def trials_with(
    claimed: Formula, premise: Callable[[Mdp], bool], *, boundary: bool, every: int = 1
) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of g and v against formulas, at tau > 0 and where a further premise holds."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in game_sites(context, "lemma_09b", boundary=boundary, every=every):
            if site.mdp.tau > 0.0 and premise(site.mdp):
                optimum = policy_iteration(site.mdp)
                rounding = charge_rounding(evaluate(site.mdp, optimum.pi_sa))
                yield from held(
                    site,
                    claimed(site, optimum),
                    bellman_parts(site),
                    2.0 * best_tolerance(site, optimum) + rounding * float(np.abs(site.u).sum()),
                    "grad_x (g, v)",
                    optimum=True,
                )

    return trials


def always(mdp: Mdp) -> bool:  # noqa: ARG001 - a premise without conditions
    """No premise."""
    return True


# Faults.


def own_arrives(site: Site[StackelbergGame], optimum: Optimum) -> Array:
    """pi_y acts at all times in g."""
    own = evaluate(site.mdp, site.pi_sa)
    weights_sa, rho_s = slopes_of_policy(site), site.mdp.rho_s
    g = -scored(own.visits(rho_s), weights_sa, own.pi_sa, action_values(site, own))
    return np.array([g, formula(slopes_of_policy)(site, optimum)[1]])


def own_values(site: Site[StackelbergGame], optimum: Optimum) -> Array:
    """The first step is weighted by the action values of pi_y."""
    own, best = evaluate(site.mdp, site.pi_sa), evaluate(site.mdp, optimum.pi_sa)
    moved = action_values(site, own) - action_values(site, best)
    weights_sa, rho_s = slopes_of_policy(site), site.mdp.rho_s
    shifts = [scored(rho_s, weights_sa, first_sb, moved) for first_sb in (site.pi_sa, optimum.pi_sa)]
    return np.asarray(formula(slopes_of_policy)(site, optimum) - np.array(shifts))


def refute_zero(content: dict[str, Any]) -> None:
    """At an action of the leader with probability zero the printed slope of g is wrong, exactly.

    At gamma = 0 the action values are the rewards, g is affine in x and the sums have one term.
    """
    game, leader = ExactGame.parse(content["game"]), AffineLeader.parse(content["leader"])
    follower, x = exact.fractions(content["follower"]), exact.fraction(content["x"])
    exact.require(game.gamma == 0, "the certificate is about gamma = 0")
    exact.require(game.tau > 0, "tau must be positive")
    exact.require(leader.low <= x <= leader.high, "x is outside X")

    def g(z: fmpq) -> fmpq:
        mdp = game.follower_mdp(leader(z))
        charge_s = mdp.tau * (follower * follower).sum(axis=1) / 2
        return exact.total(mdp.rho_s * (charge_s - (follower * mdp.r_sa).sum(axis=1)))

    truth = affine_slope(g, leader.low, leader.high)
    exact.same("the slope of g", truth, content["lhs"])
    leader_sa = leader(x)
    printed = fmpq(0)
    for (s, a, b), r in np.ndenumerate(game.r_sab):
        if leader_sa[s, a] > 0:
            score = leader.slope_sa[s, a] / leader_sa[s, a]
            printed -= game.rho_s[s] * leader_sa[s, a] * follower[s, b] * r * score
    exact.same("the printed slope of g", printed, content["rhs"])
    exact.require(truth != printed, "the printed slope is right")


def refute_tau(content: dict[str, Any]) -> None:
    """Without tau > 0, v has different slopes at x = 0 from the right and from the left.

    One state, gamma = 0, two actions of the follower; the leader's probabilities are positive.
    """
    game, leader = ExactGame.parse(content["game"]), AffineLeader.parse(content["leader"])
    exact.require(game.gamma == 0 and game.tau == 0, "the certificate is about gamma = tau = 0")
    exact.require(game.r_sab.shape[::2] == (1, 2), "one state, and two actions of the follower")
    ends = [p for x in (leader.low, leader.high) for p in leader(x).flat]
    exact.require(min(ends) > 0, "a probability of the leader vanishes")
    reach = min(-leader.low, leader.high)
    exact.require(reach > 0, "x = 0 is no interior point")

    def v(x: fmpq) -> fmpq:
        return -best_of_two(game.follower_mdp(leader(x)).r_sa[0], game.tau)

    right, left = (one_sided_slope(v, side, reach) for side in (1, -1))
    exact.same("the slope of v from the right", right, content["lhs"])
    exact.same("the slope of v from the left", left, content["rhs"])
    exact.require(right != left, "v is differentiable")


PRINTED = (
    r"\nabla_x g=-\mathbb E\Bigl[\sum_{t\ge0}\gamma^tQ_f^{\pi_x,\pi_y^*}(s_t,a_{l,t},a_{f,t})"
    r"\nabla\log\pi_x(a_{l,t}|s_t)\Bigr]+\mathbb E\Bigl[\sum_{t\ge1}\gamma^t\tau "
    r"h_{f,s_t}(\pi_y^*(s_t))\nabla\log\pi_x(a_{l,t}|s_t)\Bigr],\quad s_0\sim\rho,\ "
    r"a_{f,0}\sim\pi_y(s_0),\ \text{then }\pi_x,\pi_y^*(x)"
)

CLAIM = Claim(
    number="Lemma 9(b)",
    title="gradient of the Bellman penalty, Stackelberg game",
    premise="pi_x continuously differentiable on X; Assumption 2(b); tabular policies of the follower",
    printed=Form(
        words="The gradient of g is minus the expected discounted sum of the leader's scores times the "
        "follower's action values at his optimum, plus terms with the regulariser from the second step "
        "on; the follower's first action is drawn from pi_y. That of v has the optimal first action.",
        formula=PRINTED,
        refutations=(Refutation("L09b_zero", refute_zero), Refutation("L09b_tau0", refute_tau)),
    ),
    meant=Form(
        words="The same with tau > 0, where the leader takes every action with positive probability and "
        "the follower's policies of the states may be chosen independently.",
        formula=PRINTED + r",\quad\pi_x>0,\ \tau>0",
        trials=trials_with(formula(scores_of_drawn), assumption_2b, boundary=False),
    ),
    proved=Form(
        words="With the sum over the leader's actions of the gradient of their probability in place of "
        "scores: for every policy of the leader, with tau > 0, without irreducibility.",
        formula=r"\nabla_x g=-\mathbb E\Bigl[\sum_{t\ge0}\gamma^t\sum_a\nabla\pi_x(a|s_t)"
        r"Q_f^{\pi_x,\pi_y^*}(s_t,a,a_{f,t})\Bigr],\quad s_0\sim\rho,\ a_{f,0}\sim\pi_y(s_0),\ "
        r"\text{then }\pi_x,\pi_y^*(x);\quad\tau>0",
        trials=trials_with(formula(slopes_of_policy), always, boundary=True),
    ),
    faults=(
        Fault(
            "logarithm_at_zero",
            "scores of the actions that are drawn, though some have probability zero",
            trials_with(formula(scores_of_drawn), always, boundary=True),
        ),
        Fault("own_arrives", "pi_y acts at all times", trials_with(own_arrives, always, boundary=True)),
        Fault(
            "own_values",
            "the first step is weighted by the action values of pi_y",
            trials_with(own_values, always, boundary=True),
        ),
    ),
    inherits=("Lemma 8", "Lemma 18"),
    remark="Checked and cleared: the regulariser's terms are zero, so that they start at t = 1 instead "
    "of t = 0 does not matter.",
    tried="Zero probabilities break it, and so does tau = 0 with all of them positive; the suspicious "
    "sum with h is zero, which clears the indices t = 0 and t = 1.",
)

r"""Lemma 7(b): the gradient of the value penalty in a Stackelberg game, from which start.

With Qbar(s, a_l, a_f) = Q_f(s, a_l, a_f) - tau h_f(pi_y(s)) and D(pi_y | mu) the expectation of
sum_t gamma^t Qbar(s_t, a_l,t, a_f,t) d log pi_x(a_l,t | s_t) over trajectories from mu::

    printed   grad_x p = -D(pi_y | s_0 = s)     + D(pi_y*(x) | s_0 = s)
    meant     grad_x p = -D(pi_y | s_0 ~ rho)   + D(pi_y*(x) | s_0 ~ rho)         where pi_x > 0
    proved    the same with  sum_a grad pi_x(a|s) (...)  for  E_a[(...) grad log pi_x(a|s)]

Two things are wrong as printed.  The penalty averages over rho, while the right side starts from a state
that the left side does not know.  And a leader's action with probability zero is never drawn, so that
its part grad pi_x(a|s) Q_f of the gradient is lost; this happens on the boundary of X only, since a
differentiable function that is nonnegative has no slope at an interior zero.

Derivation.  Given pi_y, the follower's value is V = X Y (r_f + G V) - N, with X and Y the expectations
over the leader's and the follower's action, G = gamma P and N = tau h_f(pi_y).  Differentiating in x,

    dV = dX Y (r_f + G V) + X Y G dV,   so   dV = (1 - X Y G)^{-1} dX Y Q_f,

the expected discounted sum of sum_a d pi_x(a|s) E_b Q_f(s, a, b).  Averaged over rho, once at pi_y and
once at the optimum by Lemma 6, this is the proved form; where pi_x > 0, d pi_x = pi_x d log pi_x.

The terms with h are zero, since sum_a d pi_x(a|s) = 0: they may be kept or dropped.
"""

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from flint import fmpq

from reference.evaluation import evaluate
from reference.optimality import Optimum, policy_iteration
from reference.problems.stackelberg import StackelbergGame
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.exact.games import AffineLeader, ExactGame, affine_slope
from verify.claims.trials.gradients import (
    Site,
    agreeing,
    best_tolerance,
    game_sites,
    held,
    value_penalty,
)
from verify.claims.trials.scores import (
    Weights,
    action_values,
    charge,
    charge_rounding,
    scored,
    scores_of_drawn,
    slopes_of_policy,
    tolerance,
)
from verify.contract import Context

Formula = Callable[[Site[StackelbergGame], Optimum], float]


def from_start(site: Site[StackelbergGame], pi_sb: Array, start_s: Array, weights: Weights) -> float:
    """D(pi | start): visits times action values times scores."""
    own = evaluate(site.mdp, pi_sb)
    f_sab = action_values(site, own) - charge(own)
    return scored(own.visits(start_s), weights(site), pi_sb, f_sab)


def formula(weights: Weights) -> Formula:
    """The right side from rho."""

    def claimed(site: Site[StackelbergGame], optimum: Optimum) -> float:
        rho_s = site.mdp.rho_s
        best = from_start(site, optimum.pi_sa, rho_s, weights)
        return best - from_start(site, site.pi_sa, rho_s, weights)

    return claimed


def trials_with(claimed: Formula, *, boundary: bool) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of the penalty against a formula, where 1(b) holds."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in game_sites(context, "lemma_07b", boundary=boundary):
            optimum = policy_iteration(site.mdp)
            if agreeing(site, optimum):
                own = evaluate(site.mdp, site.pi_sa)
                best = best_tolerance(site, optimum)
                best += charge_rounding(own) * float(np.abs(site.u).sum())
                yield from held(
                    site,
                    np.array(claimed(site, optimum)),
                    value_penalty(site),
                    tolerance(site, own) + best,
                    "grad_x p",
                    optimum=True,
                )

    return trials


# Faults.


def from_first_state(site: Site[StackelbergGame], optimum: Optimum) -> float:
    """As printed: from one state, here the first."""
    start_s = np.eye(site.mdp.n_states)[0]
    best = from_start(site, optimum.pi_sa, start_s, scores_of_drawn)
    return best - from_start(site, site.pi_sa, start_s, scores_of_drawn)


def leaders_part_only(site: Site[StackelbergGame], optimum: Optimum) -> float:
    """Rewards in place of action values: the leader's effect on the next states is lost."""
    sums = []
    for pi_sb in (optimum.pi_sa, site.pi_sa):
        visits_s = evaluate(site.mdp, pi_sb).visits(site.mdp.rho_s)
        r_sab = site.problem.r_follower_sab
        sums.append(scored(visits_s, slopes_of_policy(site), pi_sb, r_sab))
    return sums[0] - sums[1]


# Certificates.


def one_gradient(game: ExactGame, leader: AffineLeader, x: fmpq) -> None:
    """Require Assumption 1(b): all optimal deterministic policies have one slope of V(rho) at x."""
    slopes = set()
    here = game.follower_mdp(leader(x))
    best = here.start_value(here.best_deterministic())
    for choice in product(range(here.r_sa.shape[1]), repeat=len(here.rho_s)):
        pi_sb = exact.deterministic(choice, here.r_sa.shape[1])
        if here.start_value(pi_sb) == best:

            def value(z: fmpq, pi_sb: exact.Rationals = pi_sb) -> fmpq:
                return game.follower_mdp(leader(z)).start_value(pi_sb)

            slopes.add(str(affine_slope(value, leader.low, leader.high)))
    exact.require(len(slopes) == 1, f"Assumption 1(b) fails: optimal policies have slopes {slopes}")


def true_slope(content: dict[str, Any]) -> fmpq:
    """Slope of the value penalty in x at gamma = 0 and tau = 0, where it is affine."""
    game, leader = ExactGame.parse(content["game"]), AffineLeader.parse(content["leader"])
    follower = exact.fractions(content["follower"])
    exact.require(game.gamma == 0 and game.tau == 0, "the slope is taken for an affine penalty")

    def penalty(x: fmpq) -> fmpq:
        mdp = game.follower_mdp(leader(x))
        return mdp.start_value(mdp.best_deterministic()) - mdp.start_value(follower)

    x = exact.fraction(content["x"])
    exact.require(leader.low <= x <= leader.high, "x is outside X")
    one_gradient(game, leader, x)
    return affine_slope(penalty, leader.low, leader.high)


def printed_slope(content: dict[str, Any], state: int) -> fmpq:
    """The printed right side from one state; the optimal policy must be optimal on the interval."""
    game, leader = ExactGame.parse(content["game"]), AffineLeader.parse(content["leader"])
    x = exact.fraction(content["x"])
    best, own = exact.fractions(content["best"]), exact.fractions(content["follower"])
    mdp = game.follower_mdp(leader(x))
    exact.require(
        mdp.start_value(best) == mdp.start_value(mdp.best_deterministic()), "pi_y* is not optimal at x"
    )
    start_s = exact.fractions([int(s == state) for s in range(len(game.rho_s))])
    sums = [game.score_sum(leader(x), leader.slope_sa, pi, start_s) for pi in (best, own)]
    return sums[0] - sums[1]


def refute_start(content: dict[str, Any]) -> None:
    """The slope of p differs from the printed one from either state."""
    truth = true_slope(content)
    exact.same("the slope of p", truth, content["lhs"])
    for state, field in ((0, "rhs"), (1, "rhs_other_state")):
        claimed = printed_slope(content, state)
        exact.same(f"the printed slope from state {state}", claimed, content[field])
        exact.require(truth != claimed, f"the printed slope from state {state} is right")


def refute_zero(content: dict[str, Any]) -> None:
    """At an action of the leader with probability zero the printed form loses its part."""
    truth, claimed = true_slope(content), printed_slope(content, 0)
    exact.same("the slope of p", truth, content["lhs"])
    exact.same("the printed slope", claimed, content["rhs"])
    exact.require(truth != claimed, "the printed slope is right")


CLAIM = Claim(
    number="Lemma 7(b)",
    title="gradient of the value penalty, Stackelberg game",
    premise="pi_x continuously differentiable on X; Assumption 1(b); y -> pi_y continuous",
    printed=Form(
        words="The gradient of the value penalty is the expected discounted sum of scores of the leader "
        "times the follower's regularised action values, from a state s, at the optimum minus at pi_y.",
        formula=r"\nabla_x p=-\mathbb E\Bigl[\sum_t\gamma^t\bar Q_{f,t}^{\pi_x,\pi_y}"
        r"\nabla\log\pi_x(a_{l,t}|s_t)\Big|s_0=s,\pi_x,\pi_y\Bigr]"
        r"+\mathbb E\Bigl[\sum_t\gamma^t\bar Q_{f,t}^{\pi_x,\pi_y^*}"
        r"\nabla\log\pi_x(a_{l,t}|s_t)\Big|s_0=s,\pi_x,\pi_y^*\Bigr]",
        refutations=(Refutation("L07b_start", refute_start), Refutation("L07b_zero", refute_zero)),
    ),
    meant=Form(
        words="The same from s_0 drawn from rho, where the leader takes every action with positive "
        "probability.",
        formula=r"\nabla_x p=-\mathbb E\Bigl[\sum_t\gamma^t\bar Q_{f,t}^{\pi_x,\pi_y}"
        r"\nabla\log\pi_x(a_{l,t}|s_t)\Big|s_0\sim\rho,\pi_x,\pi_y\Bigr]"
        r"+\mathbb E\Bigl[\sum_t\gamma^t\bar Q_{f,t}^{\pi_x,\pi_y^*}"
        r"\nabla\log\pi_x(a_{l,t}|s_t)\Big|s_0\sim\rho,\pi_x,\pi_y^*\Bigr],\quad\pi_x>0",
        trials=trials_with(formula(scores_of_drawn), boundary=False),
    ),
    proved=Form(
        words="From s_0 drawn from rho, with the sum over the leader's actions of the gradient of their "
        "probability in place of scores: for every policy of the leader.",
        formula=r"\nabla_x p=-\mathbb E\Bigl[\sum_t\gamma^t\sum_{a}\nabla\pi_x(a|s_t)"
        r"Q_f^{\pi_x,\pi_y}(s_t,a,a_{f,t})\Big|\rho,\pi_x,\pi_y\Bigr]"
        r"+\mathbb E\Bigl[\sum_t\gamma^t\sum_{a}\nabla\pi_x(a|s_t)"
        r"Q_f^{\pi_x,\pi_y^*}(s_t,a,a_{f,t})\Big|\rho,\pi_x,\pi_y^*\Bigr]",
        trials=trials_with(formula(slopes_of_policy), boundary=True),
    ),
    faults=(
        Fault(
            "from_a_state",
            "trajectories start from one state, as printed",
            trials_with(from_first_state, boundary=False),
        ),
        Fault(
            "logarithm_at_zero",
            "scores of the actions that are drawn, though some have probability zero",
            trials_with(formula(scores_of_drawn), boundary=True),
        ),
        Fault(
            "rewards_for_values",
            "rewards in place of action values",
            trials_with(leaders_part_only, boundary=True),
        ),
    ),
    inherits=("Lemma 6", "Lemma 18", "Lemma 19"),
    remark="Checked and cleared: the terms with h are zero, because the probabilities of the leader's "
    "actions sum to one; keeping or dropping them changes nothing.",
    tried="Two slips: s_0 = s in place of rho, and scores at zero probabilities. The first is "
    "evident and repaired in what is meant.",
)

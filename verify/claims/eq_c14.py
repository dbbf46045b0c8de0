r"""(C.14): the gradient of the follower's action value in the leader's parameters.

With D(s) the right side of (C.5) at s::

    printed   dQ(s, b) = E_a[ (r_f(s,a,b) + gamma E_t V_f(t)) d log pi_x(a|s) ] + gamma E_{a,t}[ D(t) ]
    meant     the same where pi_x > 0
    proved    sum_a d pi_x(a|s) (...) for E_a[(...) d log pi_x(a|s)], here and in D

where a is drawn from pi_x(s) and t from P(.|s,a,b).  The rewards r of (C.13) and (C.14) are the
follower's; (C.12) prints the leader's, the slip of Lemma 18.

Derivation.  Let A be the expectation over the leader's action at the follower's b, and G = gamma P: then
q = A (R + G V).  The product rule gives dq = dA (R + G V) + A G dV, and dV is that of (C.5).
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq

from reference.evaluation import PolicyEvaluation, evaluate
from reference.problems.stackelberg import StackelbergGame
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation
from verify.claims.exact import facts
from verify.claims.exact.games import AffineLeader, ExactGame, affine_slope
from verify.claims.exact.operators import ZERO, Operators, operators, vanishes
from verify.claims.trials.gradients import Site, game_sites, held
from verify.claims.trials.gradients import action_values as follower_action_values
from verify.claims.trials.scores import (
    Weights,
    action_values,
    from_each_state,
    scores_of_drawn,
    slopes_of_policy,
    tolerance,
)
from verify.contract import Context

Formula = Callable[[Site[StackelbergGame], PolicyEvaluation], Array]
"""(site, evaluation of the follower's policy) -> slopes of Q(s, b)."""


def assembled(
    site: Site[StackelbergGame], own: PolicyEvaluation, weights_sa: Array, factor: float
) -> Array:
    """Scores of this step, plus a factor times the mean of (C.5) at the next state."""
    game = site.problem
    now_sb = np.einsum("sa,sab->sb", weights_sa, action_values(site, own))
    later_s = from_each_state(site, own, weights_sa)
    later_sb = np.einsum("sa,sabt,t->sb", game.leader(site.x), game.P_sabt, later_s)
    return np.asarray(now_sb + factor * later_sb)


def formula(weights: Weights) -> Formula:
    """The right side at every state and action."""

    def claimed(site: Site[StackelbergGame], own: PolicyEvaluation) -> Array:
        return assembled(site, own, weights(site), site.problem.gamma)

    return claimed


def trials_with(claimed: Formula, *, boundary: bool) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of Q at every state and action, at a fixed policy of the follower."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in game_sites(context, "eq_c14", boundary=boundary):
            own = evaluate(site.mdp, site.pi_sa)
            yield from held(
                site,
                claimed(site, own),
                follower_action_values(site, site.pi_sa),
                # One more step, with weights of mass one, than a slope of V_f.
                2.0 * tolerance(site, own),
                "dQ",
                optimum=False,
            )

    return trials


# Faults.


def undiscounted(site: Site[StackelbergGame], own: PolicyEvaluation) -> Array:
    """The discount in front of the later steps is lost."""
    return assembled(site, own, slopes_of_policy(site), 1.0)


def leaders_reward(site: Site[StackelbergGame], own: PolicyEvaluation) -> Array:
    """The first reward is the leader's, as (C.12) prints it."""
    moved_sab = site.problem.r_leader_sab - site.problem.r_follower_sab
    shift_sb = np.einsum("sa,sab->sb", slopes_of_policy(site), moved_sab)
    return np.asarray(formula(slopes_of_policy)(site, own) + shift_sb)


def refute_zero(content: dict[str, Any]) -> None:
    """At an action of the leader with probability zero, exactly; at gamma = 0, where Q is affine."""
    game, leader = ExactGame.parse(content["game"]), AffineLeader.parse(content["leader"])
    x, s, b = exact.fraction(content["x"]), int(content["state"]), int(content["action"])
    exact.require(game.gamma == 0, "the slope is taken for an affine action value")
    exact.require(leader.low <= x <= leader.high, "x is outside X")

    def action_value(z: fmpq) -> fmpq:
        found: fmpq = game.follower_mdp(leader(z)).r_sa[s, b]
        return found

    truth = affine_slope(action_value, leader.low, leader.high)
    leader_a = leader(x)[s]
    printed = fmpq(0)
    for a, probability in enumerate(leader_a):
        if probability > 0:
            printed += probability * game.r_sab[s, a, b] * leader.slope_sa[s, a] / probability
    exact.same("the slope of Q", truth, content["lhs"])
    exact.same("the printed slope", printed, content["rhs"])
    exact.require(truth != printed, "the printed slope is right")


def left_over(claimed: Operators) -> Operators:
    """dq minus a claimed form, with dV from (C.5); B is dA."""
    value = operators("A R + A G V")
    slope = value.derivative({"A": "B", "V": "W"})
    return slope.replaced("W", operators("M T Y R + M T Y G V")) - claimed


def prove_slopes() -> None:
    """The product rule, in any dimension."""
    claimed = operators("B R + B G V + A G M T Y R + A G M T Y G V")
    vanishes("dq minus the proved form", left_over(claimed))


def prove_scores() -> None:
    """With X L = dX, A L = dA and dX E = 0, the printed form is the same."""
    printed = operators("A L R + A L G V + A G M X L Y R + A G M X L Y G V - A G M X L E N")
    reduced = printed.replaced("A L", operators("B")).replaced("X L", operators("T"))
    vanishes("dq minus the printed form", left_over(reduced.replaced("T E", ZERO)))


PRINTED = (
    r"\nabla_xQ(s,a_f)=\mathbb E_{a_l}\bigl[\bigl(r(s,a_l,a_f)"
    r"+\gamma\mathbb E_{s'}V_f(s')\bigr)\nabla\log\pi_x(a_l|s)\bigr]"
    r"+\gamma\mathbb E_{a_l,s'}\bigl[\nabla_xV_f(s')\bigr]\text{ with (C.5)}"
)

CLAIM = Claim(
    number="(C.14)",
    title="gradient of the follower's action value in the leader's parameters",
    premise="pi_x continuously differentiable on X",
    printed=Form(
        words="The gradient of the follower's action value is the mean score of the leader times the "
        "action value of both, plus gamma times the mean of (C.5) at the next state.",
        formula=PRINTED,
        refutations=(Refutation("C14_zero", refute_zero),),
    ),
    meant=Form(
        words="The same where the leader takes every action with positive probability.",
        formula=PRINTED + r",\quad\pi_x>0",
        trials=trials_with(formula(scores_of_drawn), boundary=False),
        proofs=(Proof("the product rule, where pi_x > 0", prove_scores),),
        textbook=(
            facts.RESOLVENT,
            facts.EXPECTATION,
        ),
    ),
    proved=Form(
        words="For every policy of the leader, with the gradients of his probabilities for scores.",
        formula=r"\nabla_xQ(s,a_f)=\sum_{a_l}\nabla\pi_x(a_l|s)Q_f(s,a_l,a_f)"
        r"+\gamma\mathbb E_{a_l,s'}\bigl[\nabla_xV_f(s')\bigr]",
        trials=trials_with(formula(slopes_of_policy), boundary=True),
        proofs=(Proof("the product rule", prove_slopes),),
        textbook=(
            facts.RESOLVENT,
            facts.EXPECTATION,
        ),
    ),
    faults=(
        Fault(
            "logarithm_at_zero",
            "scores of the actions that are drawn, though some have probability zero",
            trials_with(formula(scores_of_drawn), boundary=True),
        ),
        Fault("undiscounted", "later steps lack gamma", trials_with(undiscounted, boundary=True)),
        Fault(
            "leaders_reward",
            "the first reward is the leader's",
            trials_with(leaders_reward, boundary=True),
        ),
    ),
    inherits=("(C.5)", "Lemma 18"),
    remark="(C.12), from which it comes, prints the leader's reward; (C.13) and (C.14) leave the index "
    "out and are read with the follower's.",
    tried="As (C.5): broken at zero probabilities only; the suspicion that rewards are the leader's"
    " was cleared.",
)

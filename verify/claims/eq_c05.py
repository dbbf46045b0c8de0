r"""(C.5): the gradient of the follower's value in the leader's parameters.

::

    printed   dV_f(s) = E[ sum_t gamma^t Q_f(s_t, a_l,t, a_f,t) d log pi_x(a_l,t|s_t) | s_0 = s ]
                        - tau E[ sum_t gamma^t h_f(pi_y(s_t)) d log pi_x(a_l,t|s_t) | s_0 = s ]
    meant     the same where pi_x > 0
    proved    dV_f(s) = E[ sum_t gamma^t sum_a d pi_x(a|s_t) Q_f(s_t, a, a_f,t) | s_0 = s ]

Lemma 7(b), for which it is made, asks only that pi_x be continuously differentiable.  At an action with
probability zero the printed form loses the part d pi_x(a|s) Q_f.

Derivation.  Write X and Y for the expectations over the leader's and the follower's action, G = gamma P
and N = tau h_f(pi_y).  V = X Y R + X Y G V - N, and the product rule gives dV = dX Y Q + X Y G dV, so

    dV = (1 - X Y G)^{-1} dX Y Q,    Q = R + G V,

the discounted visits against sum_a d pi_x(a|s) E_b Q.  Scores L weighted by X are dX where pi_x > 0; and
as N does not depend on the leader's action, its part is dX 1 = 0: the second line is zero.
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
from verify.claims.trials.scores import (
    Weights,
    action_values,
    charge,
    from_each_state,
    scored,
    scores_of_drawn,
    slopes_of_policy,
    tolerance,
)
from verify.contract import Context
from verify.oracles import definitions as primitive
from verify.oracles.arithmetic import Arithmetic, Native

Formula = Callable[[Site[StackelbergGame], PolicyEvaluation], Array]
"""(site, evaluation of the follower's policy) -> slopes of V_f(s) for every state."""


def formula(weights: Weights) -> Formula:
    """The right side in every state."""

    def claimed(site: Site[StackelbergGame], own: PolicyEvaluation) -> Array:
        return from_each_state(site, own, weights(site))

    return claimed


def trials_with(claimed: Formula, *, boundary: bool) -> Callable[[Context], Iterator[Margin]]:
    """Slopes of V_f in every state, at a fixed policy of the follower."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in game_sites(context, "eq_c05", boundary=boundary):
            own = evaluate(site.mdp, site.pi_sa)

            def values(number: Arithmetic, x: Native, site: Site[StackelbergGame] = site) -> Native:
                return primitive.evaluate(number, site.model(number, x), number.lift(site.pi_sa))

            yield from held(
                site, claimed(site, own), values, tolerance(site, own), "dV_f", optimum=False
            )

    return trials


# Faults.


def own_step_only(site: Site[StackelbergGame], own: PolicyEvaluation) -> Array:
    """Only the first step is scored."""
    f_sab = action_values(site, own) - charge(own)
    weights_sa = slopes_of_policy(site)
    return np.array(
        [scored(start_s, weights_sa, own.pi_sa, f_sab) for start_s in np.eye(own.mdp.n_states)]
    )


def refute_zero(content: dict[str, Any]) -> None:
    """At an action of the leader with probability zero, exactly; at gamma = 0, where V_f is affine."""
    game, leader = ExactGame.parse(content["game"]), AffineLeader.parse(content["leader"])
    follower, x = exact.fractions(content["follower"]), exact.fraction(content["x"])
    s = int(content["state"])
    exact.require(game.gamma == 0, "the slope is taken for an affine value")
    exact.require(leader.low <= x <= leader.high, "x is outside X")

    def value(z: fmpq) -> fmpq:
        found: fmpq = game.values(leader(z), follower)[s]
        return found

    truth = affine_slope(value, leader.low, leader.high)
    start_s = exact.fractions([int(t == s) for t in range(len(game.rho_s))])
    printed = game.score_sum(leader(x), leader.slope_sa, follower, start_s)
    exact.same("the slope of V_f", truth, content["lhs"])
    exact.same("the printed slope", printed, content["rhs"])
    exact.require(truth != printed, "the printed slope is right")


def differentiated(claimed: Operators) -> Operators:
    """What is left of the differentiated Bellman equation at a claimed dV."""
    equation = operators("X Y R + X Y G V - N")
    residual = operators("W") - equation.derivative({"X": "T", "V": "W"})
    return residual.replaced("W", claimed).replaced("X Y G M", operators("M - 1"))


def prove_slopes() -> None:
    """M dX Y Q solves the differentiated Bellman equation, in any dimension."""
    vanishes("the equation of dV", differentiated(operators("M T Y R + M T Y G V")))


def prove_scores() -> None:
    """With X L = dX, and dX E = 0 for functions of the state alone, so does the printed form."""
    printed = operators("M X L Y R + M X L Y G V - M X L E N")
    reduced = printed.replaced("X L", operators("T")).replaced("T E", ZERO)
    vanishes("the equation of dV at the printed form", differentiated(reduced))


PRINTED = (
    r"\nabla_xV_f(s)=\mathbb E\Bigl[\sum_t\gamma^tQ_f(s_t,a_{l,t},a_{f,t})"
    r"\nabla\log\pi_x(a_{l,t}|s_t)\Big|s_0=s\Bigr]-\tau\mathbb E\Bigl[\sum_t\gamma^t"
    r"h_{f,s_t}(\pi_y(s_t))\nabla\log\pi_x(a_{l,t}|s_t)\Big|s_0=s\Bigr]"
)

CLAIM = Claim(
    number="(C.5)",
    title="gradient of the follower's value in the leader's parameters",
    premise="pi_x continuously differentiable on X",
    printed=Form(
        words="The gradient of the follower's value at a state is the expected discounted sum of the "
        "leader's scores times the follower's action values minus tau h.",
        formula=PRINTED,
        refutations=(Refutation("C05_zero", refute_zero),),
    ),
    meant=Form(
        words="The same where the leader takes every action with positive probability.",
        formula=PRINTED + r",\quad\pi_x>0",
        trials=trials_with(formula(scores_of_drawn), boundary=False),
        proofs=(
            Proof(
                "the printed form solves the differentiated Bellman equation where pi_x > 0",
                prove_scores,
            ),
        ),
        textbook=(
            facts.RESOLVENT,
            facts.EXPECTATION,
        ),
    ),
    proved=Form(
        words="For every policy of the leader: the sum over his actions of the gradient of their "
        "probability times the follower's action values.",
        formula=r"\nabla_xV_f(s)=\mathbb E\Bigl[\sum_t\gamma^t\sum_a\nabla\pi_x(a|s_t)"
        r"Q_f(s_t,a,a_{f,t})\Big|s_0=s\Bigr]",
        trials=trials_with(formula(slopes_of_policy), boundary=True),
        proofs=(Proof("it solves the differentiated Bellman equation", prove_slopes),),
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
        Fault("first_step", "only the first step is scored", trials_with(own_step_only, boundary=True)),
    ),
    remark="The second line is zero, since the probabilities of the leader's actions sum to one. A "
    "direct leader's derivatives are along directions in the simplices; outside them that line is a "
    "constant.",
    tried="Broken only where the leader gives an action no probability, which 'continuously "
    "differentiable' allows; elsewhere, and with sums over the leader's actions everywhere, "
    "nothing was found.",
)

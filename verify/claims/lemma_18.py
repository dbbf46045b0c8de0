r"""Lemma 18: the follower's side of a Stackelberg game is a parametric MDP, with which reward.

::

    printed   V_f^{pi_x, pi_y}(s) = V_M(x)^{pi_y}(s)   with   r_x(s, b) = sum_a pi_x(a|s) r_l(s, a, b)
    proved    the same                                 with   r_x(s, b) = sum_a pi_x(a|s) r_f(s, a, b)

The reward is the follower's: with the leader's the two sides need not have anything in common.  The same
slip is in the text below (2.4), and in (C.12).

Derivation.  Both actions are drawn independently given the state.  Write J for the expectation over
both, X for the one over the leader's and Y for the one over the follower's; J = Y X because a finite sum
may be taken in any order.  With G = gamma P and N = tau h_f(pi_y),

    V_f = J (r_f + G V_f) - N,        V_M = Y (r_x + P_x V_M) - N,   r_x = X r_f,  P_x = X G,

so V_f satisfies the equation of V_M, whose solution is unique for gamma < 1.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from reference.evaluation import evaluate
from reference.problems.stackelberg import StackelbergGame
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation
from verify.claims.exact import facts
from verify.claims.exact.games import ExactGame
from verify.claims.exact.operators import operators, vanishes
from verify.claims.trials.gradients import Site, equal, game_sites
from verify.contract import Context
from verify.crosscheck.tolerances import scale_of


def joint_values(site: Site[StackelbergGame]) -> Array:
    """V_f by its definition: the chain and the rewards of both players' policies together."""
    game, pi_sa, pi_sb = site.problem, site.problem.leader(site.x), site.pi_sa
    P_st = np.einsum("sa,sb,sabt->st", pi_sa, pi_sb, game.P_sabt)
    c_s = np.einsum("sa,sb,sab->s", pi_sa, pi_sb, game.r_follower_sab)
    c_s = c_s - game.tau * game.regularizer.value(pi_sb)
    return np.asarray(np.linalg.solve(np.eye(len(c_s)) - game.gamma * P_st, c_s))


def trials_with(
    parametric: Callable[[StackelbergGame], StackelbergGame],
) -> Callable[[Context], Iterator[Margin]]:
    """Values of the two sides in every state, the parametric one from a changed game."""

    def trials(context: Context) -> Iterator[Margin]:
        for site in game_sites(context, "lemma_18", boundary=True):
            own = evaluate(parametric(site.problem).at(site.x), site.pi_sa)
            # Each side rounds like one evaluation; the joint chain sums over pairs of actions.
            scale = replace(scale_of(own), n_actions=int(np.prod(site.problem.n_actions)))
            for s, (claimed, found) in enumerate(zip(own.v_s, joint_values(site), strict=True)):
                yield equal(claimed, found, 2.0 * scale.value_error, f"{site.name}: V_f({s})")

    return trials


def unchanged(game: StackelbergGame) -> StackelbergGame:
    """The follower's reward."""
    return game


def leaders_reward(game: StackelbergGame) -> StackelbergGame:
    """The reward as printed."""
    return replace(game, r_follower_sab=game.r_leader_sab)


def undiscounted_next(game: StackelbergGame) -> StackelbergGame:
    """The follower's MDP ends after one step."""
    return replace(game, gamma=0.0)


def refute_reward(content: dict[str, Any]) -> None:
    """V_f differs from the value of the MDP with the leader's reward, exactly."""
    game = ExactGame.parse(content["game"])
    leader, follower = exact.fractions(content["leader"]), exact.fractions(content["follower"])
    s = int(content["state"])
    truth = game.values(leader, follower)[s]
    printed = replace(game, r_sab=exact.fractions(content["game"]["r_leader"]))
    claimed = printed.follower_mdp(leader).values(follower)[s]
    exact.same("V_f(s)", truth, content["lhs"])
    exact.same("the value with the leader's reward", claimed, content["rhs"])
    exact.require(truth != claimed, "the two values agree")


def prove_in_operators() -> None:
    """V_f satisfies the Bellman equation of M(x), in any dimension."""
    equation = operators("J R + J G V - N")
    bellman = operators("Y X R + Y X G V - N")
    vanishes("V_f minus the backup of M(x) at V_f", (equation - bellman).replaced("J", operators("Y X")))


CLAIM = Claim(
    number="Lemma 18",
    title="the follower's MDP in a Stackelberg game",
    premise="any policies of leader and follower; gamma < 1",
    printed=Form(
        words="The follower's value is that of the MDP whose reward averages the leader's reward over "
        "the leader's actions.",
        formula=r"V_f^{\pi_x,\pi_y}(s)=V^{\pi_y}_{\mathcal M_\tau(x)}(s),\quad "
        r"r_x(s,a_f)=\mathbb E_{a_l\sim\pi_x(s)}[r_l(s,a_l,a_f)]",
        refutations=(Refutation("L18_reward", refute_reward),),
    ),
    proved=Form(
        words="The follower's value is that of the MDP whose reward averages the follower's reward over "
        "the leader's actions.",
        formula=r"V_f^{\pi_x,\pi_y}(s)=V^{\pi_y}_{\mathcal M_\tau(x)}(s),\quad "
        r"r_x(s,a_f)=\mathbb E_{a_l\sim\pi_x(s)}[r_f(s,a_l,a_f)]",
        trials=trials_with(unchanged),
        proofs=(
            Proof(
                "the joint value solves the Bellman equation of the parametric MDP", prove_in_operators
            ),
        ),
        textbook=(facts.RESOLVENT,),
    ),
    faults=(
        Fault("leaders_reward", "the leader's reward, as printed", trials_with(leaders_reward)),
        Fault("one_step", "the future is dropped", trials_with(undiscounted_next)),
    ),
    remark="The printed proof starts from r_f in (B.2) and puts r_l into the definition of r_x at the "
    "end; the same slip stands below (2.4) and in (C.12).",
    tried="The leader's reward is printed twice more, so it is no misprint of one line; with the "
    "follower's the two sides are one equation.",
)

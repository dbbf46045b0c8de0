r"""(D.1): what the gaps at the best responses add up to, in the proof of Lemma 13(b).

With best responses pi_1* to pi_2 and pi_2* to pi_1, everything in V(rho), and

    gap_1 = max V(., pi_2*) - V(pi_1, pi_2*),      gap_2 = V(pi_1*, pi_2) - min V(pi_1*, .)

the chain of (D.1) bounds the linearised decrease of psi by mu times the sum of the two gaps; then::

    printed    gap_1 + gap_2  =  psi(pi) - min psi
    proved     gap_1 + gap_2  =  psi(pi) + psi(pi_1*, pi_2*)  >=  psi(pi) - min psi

Derivation.  By definition psi(pi) = V(pi_1*, pi_2) - V(pi_1, pi_2*), and psi at the pair of best
responses is max V(., pi_2*) - min V(pi_1*, .): the four values are those of the gaps.  As psi >= 0
everywhere, for each player may stay with the own policy, the second term is at least -min psi, and
dropping it leaves what Lemma 13(b) needs.

The last equality of the print would make the second term - min psi, which is 0 where there is an
equilibrium.  So it is right exactly where the best responses form one.  In matching pennies they need
not: the responses to a pair of pure policies are pure, and one of the players would move again.

Attained: where neither player's reward depends on the other's actions, the best responses are the
equilibrium.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from flint import fmpq

from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation, Trials
from verify.claims.exact.zero_sum import ExactZeroSum
from verify.claims.trials.gradients import equal
from verify.claims.trials.measures import Measured
from verify.claims.trials.zero_sum import Play, plays
from verify.contract import Context

Total = Callable[[Play], Measured]
"""What the gaps are said to add up to."""


def gaps(play: Play) -> Measured:
    """gap_1 + gap_2, from the values of the four pairs of policies."""
    responding = play.responding
    ascended, descended = responding.best
    first = replace(responding, pi_sa=play.pi_sa)
    second = replace(responding, pi_sb=play.pi_sb)
    return (ascended - first.own) + (second.own + descended)


def proved_total(play: Play) -> Measured:
    """psi(pi) + psi(pi_1*, pi_2*)."""
    return play.psi + play.responding.psi


def printed_total(play: Play) -> Measured:
    """psi(pi), as the minimum over a product class is 0."""
    return play.psi


def counted_twice(play: Play) -> Measured:
    """2 psi(pi), as if psi were the same at the best responses."""
    return 2.0 * play.psi


def separated(play: Play) -> Play:
    """The game in which the second player's actions change no reward and no transition."""
    game = play.game
    P_sabt = np.broadcast_to(game.P_sabt.mean(axis=2, keepdims=True), game.P_sabt.shape)
    r_sab = np.broadcast_to(game.r_sab.mean(axis=2, keepdims=True), game.r_sab.shape)
    alone = replace(game, P_sabt=P_sabt, r_sab=r_sab)
    return replace(play, name=f"{play.name}, player 1 alone counts", game=alone)


def cases(context: Context) -> Iterator[Play]:
    """Small games near corners, and with the second player made idle every fourth time."""
    for i, play in enumerate(plays(context, "eq_d01")):
        yield separated(play) if i % 4 == 0 else play


def sums_with(total: Total) -> Trials:
    """The sum, and psi(pi) - min psi from below, with the minimum 0."""

    def trials(context: Context) -> Iterator[Margin]:
        for play in cases(context):
            found, claimed, psi = gaps(play), total(play), play.psi
            yield equal(claimed.value, found.value, found.error + claimed.error, play.name)
            yield Margin(psi.value, claimed.value, psi.error + claimed.error, f"{play.name}: below")

    return trials


def best(game: exact.ExactMdp, pi_sa: exact.Rationals) -> fmpq:
    """The largest value over all policies of one state at gamma = 0, attained by a recorded one.

    The value is concave in the policy, so that no vertex may be in an ascending direction.
    """
    exact.require(len(game.rho_s) == 1 and game.gamma == 0, "one state and gamma = 0 are needed")
    exact.require_distribution(pi_sa[0])
    slope_a = game.r_sa[0] - game.tau * pi_sa[0]
    mean = exact.total(slope_a * pi_sa[0])
    exact.require(all(slope <= mean for slope in slope_a), "a policy is no best response")
    return game.start_value(pi_sa)


def refute_equality(content: dict[str, Any]) -> None:
    """Both sides of the last equality, exactly; min psi = 0 at the recorded equilibrium."""
    game = ExactZeroSum.parse(content["game"], content["tau"])
    names = ("pi_1", "pi_2", "reply_1", "reply_2", "answer_1", "answer_2", "even_1", "even_2")
    pi = {name: exact.fractions(content[name]) for name in names}
    for policy in pi.values():
        exact.require_distribution(policy[0])

    def highest(own: str, other: str) -> fmpq:
        return best(game.for_player_1(pi[other]), pi[own])

    def lowest(own: str, other: str) -> fmpq:
        return -best(game.for_player_2(pi[other]), pi[own])

    even = highest("even_1", "even_2") - lowest("even_2", "even_1")
    exact.require(even == 0, "the even policies are no equilibrium")
    own_1, own_2 = lowest("reply_2", "pi_1"), highest("reply_1", "pi_2")
    sum_of_gaps = highest("answer_1", "reply_2") - own_1 + own_2 - lowest("answer_2", "reply_1")
    exact.same("the sum of the gaps", sum_of_gaps, content["lhs"])
    exact.same("psi - min psi", own_2 - own_1 - even, content["rhs"])
    exact.require(sum_of_gaps != own_2 - own_1 - even, "the printed equality is right")


def prove_sum() -> None:
    """The four values, and what is dropped."""
    high, low, own_1, own_2, least = exact.indeterminates(
        "max V(.,pi_2*)", "min V(pi_1*,.)", "V(pi_1,pi_2*)", "V(pi_1*,pi_2)", "min psi"
    )
    one = high**0
    psi, responding = own_2 - own_1, high - low
    total = (high - own_1) + (own_2 - low)
    exact.combination(total - psi - responding)
    exact.combination(total - (psi - least), (one, responding - least), (2 * one, least))


def prove_nonnegative() -> None:
    """At any pair psi is the sum of two gaps, which are nonnegative."""
    high, low, own = exact.indeterminates("max V(.,pi_2)", "min V(pi_1,.)", "V(pi_1,pi_2)")
    one = high**0
    exact.combination(high - low, (one, high - own), (one, own - low))


CLAIM = Claim(
    number="(D.1)",
    title="the gaps at the best responses",
    premise="the best responses exist: tau >= 0, closed classes that are products over the states",
    printed=Form(
        words="What the players could gain against the other's best response adds up to the "
        "Nikaido-Isoda function less its minimum.",
        formula=r"\max_{\pi_1}V^{\pi_1,\pi_2^*}(\rho)-V^{\pi_1,\pi_2^*}(\rho)+V^{\pi_1^*,\pi_2}(\rho)"
        r"-\min_{\pi_2}V^{\pi_1^*,\pi_2}(\rho)=\psi(x,\pi)-\min_{\pi}\psi(x,\pi)",
        refutations=(Refutation("D01_replies", refute_equality),),
    ),
    proved=Form(
        words="It adds up to the function plus its value at the pair of best responses, and so is at "
        "least what is printed.",
        formula=r"\max_{\pi_1}V^{\pi_1,\pi_2^*}(\rho)-V^{\pi_1,\pi_2^*}(\rho)+V^{\pi_1^*,\pi_2}(\rho)"
        r"-\min_{\pi_2}V^{\pi_1^*,\pi_2}(\rho)=\psi(x,\pi)+\psi(x,\pi_1^*,\pi_2^*)"
        r"\ge\psi(x,\pi)-\min_\pi\psi(x,\pi)",
        trials=sums_with(proved_total),
        proofs=(
            Proof("the four values are those of psi at the two pairs", prove_sum),
            Proof("psi is nonnegative", prove_nonnegative),
        ),
    ),
    faults=(
        Fault("printed", "psi at the best responses is left out", sums_with(printed_total)),
        Fault(
            "counted_twice", "psi at the best responses is that of the pair", sums_with(counted_twice)
        ),
    ),
    remark="The inequality that Lemma 13(b) draws from it holds: a nonnegative term is lost. The step "
    "before uses Lemma 2 with (1 - gamma) min rho, the inverse of the constant that is printed there.",
    tried="The minimum of psi taken as 0, and as attained; games in which the best responses are an "
    "equilibrium, where it is right; the inequality, which no game breaks.",
)

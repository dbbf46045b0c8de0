r"""Lemma 15: the Nikaido-Isoda function is smooth.

Let V(s) be L_v-smooth in (x, pi_1, pi_2) for every s, tau > 0 and h 1-strongly convex::

    printed   there is a constant L_psi with which psi is smooth, on convex classes
    meant     the same on classes that are products over the states; L_psi = 2 L_v sqrt(1 + L_pi^2) with
              L_pi = |S| L_v / tau will do

Derivation.  Given L_pi, (D.9) as proved.  For L_pi, let theta = (x, pi_2), let a and b be player 1's
best responses at theta and theta', d = a - b, and phi the value from the uniform distribution nu.  Over
a product class, by the performance difference and strong convexity state by state,

    phi(theta, a) - phi(theta, p)  >=  sum_s d_p(s) (tau/2) |a_s - p_s|^2 / (1 - gamma)
                                   >=  (tau/2) |a - p|^2 / |S|          as d_p >= (1 - gamma) nu.

Take it at theta with p = b and at theta' the other way round; the sum is a mixed difference of phi, an
integral of grad_pi phi(theta, .) - grad_pi phi(theta', .) along d, and so

    tau |d|^2 / |S|  <=  phi(theta, a) - phi(theta, b) + phi(theta', b) - phi(theta', a)
                     <=  L_v |theta - theta'| |d|.

Neither differentiability of Q nor irreducibility, Assumption 8(b), is needed.  (Lemma 17 gives another
L_pi: the slope of Q* over tau.)

On a class that is no product psi need not be differentiable: with one policy for both states, the best
responses of L15_kink jump from one end of the class to the other, and max V has a kink.

The first inequality is attained by one state at gamma = 0 with interior responses.  The constant is not
attained there, since L_v >= tau for one state and so L_pi >= 1; the adversary is that of (D.9).
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from flint import fmpq

from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation, Trials
from verify.claims.exact import dominance, facts, smoothness
from verify.claims.trials.gaming import (
    OneStateGamePair,
    contrary,
    from_data,
    game_pairs,
    one_state_game,
    pennies,
    pennies_in_states,
    responses,
)
from verify.claims.trials.instances import DRAWS, generator_of
from verify.contract import Context


def exactly(pair: OneStateGamePair) -> Margin:
    """The change of grad psi against 2 L_v sqrt(1 + (L_v/tau)^2), with the exact L_v of one state."""
    game = pair.game
    change = game.penalty_slope(*pair.first) - game.penalty_slope(*pair.second)
    smooth = pair.smoothness
    bound = 2.0 * smooth * float(np.hypot(1.0, smooth / game.tau)) * pair.apart
    return Margin(change.norm, bound, change.error, str(game))


def trials(context: Context) -> Iterator[Margin]:
    """The best responses, and the constant on families and on games of one state."""
    for reach in (0.1, 0.01):
        yield exactly(contrary(reach))
    yield responses(pennies_in_states(2))
    generator = generator_of(context, "lemma_15 one state")
    for _ in range(DRAWS[context.level]):
        yield exactly(one_state_game(2.0 * generator.standard_normal(11)))
    for i, pair in enumerate(game_pairs(context, "lemma_15")):
        yield responses(pair)
        if i % 2:
            yield from from_data(pair)


def responses_with(states: float, modulus: float) -> Trials:
    """The inequality for best responses with another power of |S| or another modulus."""

    def faulty(context: Context) -> Iterator[Margin]:
        yield responses(pennies_in_states(2), states, modulus)
        for pair in game_pairs(context, "lemma_15"):
            yield responses(pair, states, modulus)

    return faulty


def without_tau(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
    """tau -> 0 with a constant that does not depend on it: matching pennies, psi has kinks."""
    pair = pennies(1.0, 1e-6)
    game = pair.game
    change = game.penalty_slope(*pair.first) - game.penalty_slope(*pair.second)
    yield Margin(change.norm, 100.0 * game.smoothness * pair.apart, change.error, "matching pennies")


def refute_kink(content: dict[str, Any]) -> None:
    """One policy for both states, for either player: the one-sided slopes of psi along player 2's class.

    For s >= 1/2 the best t is 1, for s <= 1/2 it is 0, by Bernstein coefficients; the other term of psi
    does not depend on s.  Every chain is irreducible.
    """
    mdp = exact.ExactMdp.parse(content["mdp"], content["tau"])
    exact.require(all(p > 0 for p in mdp.P_sat.flat) and mdp.tau > 0, "a premise fails")
    agreement = exact.fraction(content["agreement"])
    t, s = exact.indeterminates("t", "s")
    zero, half, one = fmpq(0), fmpq(1, 2), fmpq(1)

    def value(chance: Any) -> tuple[Any, Any]:
        """V(rho) as numerator and denominator; what player 2 adds is the same in every state."""
        numerator_s, denominator = mdp.value_fractions(exact.shared(chance, 2))
        added = agreement * (2 * chance - 1) * (2 * s - 1)
        added += mdp.tau * exact.quadratic(exact.shared(s, 1))[0]
        numerator = exact.total(mdp.rho_s * numerator_s) + s * 0
        return numerator + denominator * added / (1 - mdp.gamma), denominator

    numerator, denominator = value(t)
    somewhere = numerator(half, zero) / (denominator + s * 0)(half, zero)
    exact.same("V at t = 1/2 and s = 0", somewhere, content["V"])
    exact.nonnegative("the denominator", denominator + s * 0, (zero, one), (zero, one))
    slopes = []
    for end, interval in ((one, (half, one)), (zero, (zero, half))):
        best, scale = value(end)
        exact.require(scale > 0, "the denominator is not positive")
        lost = best * denominator - numerator * scale
        exact.nonnegative(f"V at t = {end} is not the largest", lost, (zero, one), interval)
        slopes.append(best.derivative(1)(half, half) / scale)
    exact.same("the slope of psi to the right", slopes[0], content["lhs"])
    exact.same("the slope of psi to the left", slopes[1], content["rhs"])
    exact.require(slopes[0] != slopes[1], "psi has a derivative")


CLAIM = Claim(
    number="Lemma 15",
    title="the Nikaido-Isoda function is smooth",
    premise="Assumption 8: tau > 0, V continuously differentiable, V(s) L_v-smooth in (x, pi_1, pi_2), "
    "chains irreducible; h 1-strongly convex",
    printed=Form(
        words="On convex classes psi is smooth with some constant.",
        formula=r"\exists L_\psi:\ \|\nabla\psi(z)-\nabla\psi(z')\|\le L_\psi\|z-z'\|",
        refutations=(Refutation("L15_kink", refute_kink),),
    ),
    meant=Form(
        words="On classes that are products over the states psi is smooth; 2 L_v sqrt(1 + L_pi^2) with "
        "L_pi = |S| L_v / tau is such a constant.",
        formula=r"\|\nabla\psi(z)-\nabla\psi(z')\|\le 2L_v\sqrt{1+L_\pi^2}\,\|z-z'\|,"
        r"\quad L_\pi=\tau^{-1}|\mathcal S|L_v",
        trials=trials,
        proofs=(
            Proof("a value grows from its maximum, by the performance difference", dominance.growth),
            Proof("in every state, counted by visits", dominance.performance_difference),
            Proof("best responses are L_pi-Lipschitz", smoothness.solution_from_values),
            Proof(
                "the gradient of a maximum is that at the maximiser",
                smoothness.gradient_of_maximum,
            ),
            Proof("each part of grad psi moves by k at most", smoothness.through_the_policy),
            Proof("the two players' parts add up", smoothness.game_parts),
        ),
        textbook=(facts.SMOOTH, facts.MEAN_VALUE, facts.OPTIMALITY, facts.RESOLVENT),
    ),
    faults=(
        Fault("without_states", "L_pi = L_v / tau, without |S|", responses_with(0.0, 1.0)),
        Fault("twice_modulus", "the value grows with 2 tau", responses_with(1.0, 2.0)),
        Fault("without_tau", "tau -> 0: best responses jump, and psi has kinks", without_tau),
    ),
    inherits=("(D.9)",),
    remark="The proof takes Lemma 17 for the best responses, which needs a product class.  Assumption "
    "8(b), irreducible chains, is not used.",
    tried="Shared policies give a kink for every constant; on products the best responses were "
    "climbed on.",
)

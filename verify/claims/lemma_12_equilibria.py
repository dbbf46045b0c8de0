r"""Lemma 12, second part: equilibria as minimisers of the Nikaido-Isoda function.

::

    printed    pi in NE(x)  <=>  pi minimises psi(x, .), for convex classes Pi_1, Pi_2
    meant      the same on products of closed convex sets

psi is zero exactly at equilibria, so the equivalence holds if and only if there is an equilibrium;
the paper does not say why there is one.

Derivation, for products.  Shapley's operator T v(s), the value of the stage game

    min over q in Pi_2s, max over p in Pi_1s of  p' (r + gamma P v)(s) q - tau h1(p) + tau h2(q),

is well defined: the payoff is concave in p, convex in q and continuous on compact convex sets, so it has
a saddle point (Sion).  T is monotone and contracts by gamma.  Saddle points at its fixed point, one for
each state, form a pair of policies against which neither player gains: with player 2's fixed, the fixed
point of T is that of the optimality operator of player 1's MDP too; likewise for player 2.  So
V(pi_1', pi_2) <= V <= V(pi_1, pi_2') in every state, and psi = 0 for every rho.

The class.  If each player must use one policy in two states, the value need not be concave in player
1's: it answers with a vertex, to which player 2 answers with the other one, and so on around.  Then psi
has a positive minimum, (5.4) has no feasible point, but (5.7) has.

The trials compute equilibria for tau > 0, with a certificate, and approach tau = 0: an equilibrium at a
temperature t has psi <= 2 t (max |h1| + max |h2|) / (1 - gamma) without regularisation.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
from flint import fmpq

from reference.equilibrium import certified, nash_equilibrium
from reference.problems.hard_cases import hard_games
from reference.problems.zero_sum_game import ZeroSumGame
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Refutation
from verify.claims.exact.zero_sum import ExactZeroSum
from verify.claims.trials.gradients import equal
from verify.claims.trials.zero_sum import Play, plays
from verify.contract import Context

COLD = 1e-3
"""Temperature at which an unregularised game is approached."""


def games(context: Context) -> Iterator[tuple[str, ZeroSumGame]]:
    """Small games and hard ones, without regularisation too."""
    for play in plays(context, "lemma_12 equilibria", taus=(0.0, 0.01, 0.3, 2.0), share=0.2):
        yield play.name, play.game
    for name, game in hard_games().items():
        # Rounding hides the equilibrium of payoffs of a million.
        if game.gamma < 0.999:
            yield name, game


def warm(game: ZeroSumGame) -> ZeroSumGame:
    """The game, or one at a low temperature if it has none."""
    return game if game.tau > 0.0 else replace(game, tau=COLD)


def trials(context: Context) -> Iterator[Margin]:
    """What player 1 can get at most against the pair found, player 2 can hold it to: psi = 0.

    At tau = 0 psi is as small as the temperature.
    """
    for name, game in games(context):
        found = nash_equilibrium(warm(game))
        if game.tau > 0.0:
            first, second = found.responses
            yield equal(-float(second.value), float(first.value), float(found.attainable), name)
        else:
            bound = sum(
                h.bound(n)
                for h, n in zip((game.regularizer_1, game.regularizer_2), game.n_actions, strict=True)
            )
            cold = certified(game, found.pi_sa, found.pi_sb)
            allowed = 2.0 * COLD * bound / (1.0 - game.gamma)
            rounding = float(cold.attainable + found.attainable)
            yield Margin(float(cold.ni_gap), allowed, rounding, f"{name}, approached")


def pure(context: Context) -> Iterator[Margin]:
    """The minimum of psi over pairs of deterministic policies is zero; small games only."""
    for name, game in games(context):
        n_first, n_second = game.n_actions
        if (n_first * n_second) ** game.n_states > 16:
            continue
        pairs = product(
            product(np.eye(n_first), repeat=game.n_states),
            product(np.eye(n_second), repeat=game.n_states),
        )
        found = [Play(name, game, np.array(first), np.array(second)).psi for first, second in pairs]
        least = min(found, key=lambda psi: psi.value)
        yield Margin(least.value, 0.0, least.error, f"{name}, pure policies")


def one_gap(context: Context) -> Iterator[Margin]:
    """A pair where player 1 cannot gain is an equilibrium."""
    for play in plays(context, "lemma_12 equilibria", share=0.2):
        game = play.game
        responded = Play(play.name, game, play.responses[0].pi_sa, play.pi_sb)
        _, gap_2 = responded.gaps
        yield Margin(gap_2.value, 0.0, gap_2.error, f"{play.name}, player 1 responds")


def refute_class(content: dict[str, Any]) -> None:
    """The minimum of psi over policies shared by both states is positive, exactly.

    With t and s the probabilities of action 1, psi(t, s) >= V(t', s) - V(t, s') for all t' and s'.  The
    recorded replies t' for intervals of s, and s' for intervals of t, show the bound on the square; it
    is what they give at the recorded pair.
    """
    game = ExactZeroSum.parse(content["game"], content["tau"])
    game.require_points(content["points"])
    bound, (t, s) = exact.fraction(content["lhs"]), exact.indeterminates("t", "s")
    worst = [exact.fraction(content["attained"][name]) for name in ("t", "s")]
    at_worst = []
    for (t_box, s_reply), (s_box, t_reply) in product(
        zip(covering(content["cuts"]["t"]), content["replies"]["s"], strict=True),
        zip(covering(content["cuts"]["s"]), content["replies"]["t"], strict=True),
    ):
        replies = [exact.fraction(reply) for reply in (t_reply, s_reply)]
        exact.require(all(0 <= reply <= 1 for reply in replies), "a reply is no policy")
        high, high_scale = game.shared_value(replies[0], s)
        low, low_scale = game.shared_value(t, replies[1])
        scale = high_scale * low_scale
        difference = high * low_scale - low * high_scale
        exact.nonnegative(
            f"psi - {bound} on {t_box} x {s_box}", difference - bound * scale, t_box, s_box
        )
        if t_box[0] <= worst[0] <= t_box[1] and s_box[0] <= worst[1] <= s_box[1]:
            at_worst.append(difference(*worst) / scale(*worst))
    exact.require(bool(at_worst), "the recorded pair is outside the square")
    exact.same("the bound at the recorded pair", min(at_worst), content["lhs"])
    exact.same("the value of psi at equilibria", exact.fraction(0), content["rhs"])
    exact.greater("psi has a positive minimum", bound, exact.fraction(0))


def covering(texts: list[str]) -> list[tuple[fmpq, fmpq]]:
    """Intervals between cuts, which must go from 0 to 1."""
    cuts = [exact.fraction(text) for text in texts]
    exact.require(all(low < high for low, high in pairwise(cuts)), "the cuts do not increase")
    exact.require(cuts[0] == 0 and cuts[-1] == 1, "the cuts leave a gap")
    return list(pairwise(cuts))


EQUIVALENCE = r"\pi\in NE(x)\iff\pi\in\arg\min_{\pi\in\Pi}\psi(x,\pi)"

CLAIM = Claim(
    number="Lemma 12",
    title="equilibria as minimisers of the Nikaido-Isoda function",
    premise="rho > 0; tau >= 0; h convex and continuous; closed classes",
    printed=Form(
        words="For convex policy classes, the equilibria are the minimisers of the Nikaido-Isoda "
        "function, so that (5.4) and (5.7) are the same problem.",
        formula=EQUIVALENCE,
        refutations=(Refutation("L12_class", refute_class),),
    ),
    meant=Form(
        words="The same where the policies of the states may be chosen independently: there is an "
        "equilibrium, hence the minimum is zero.",
        formula=EQUIVALENCE
        + r",\quad\min_{\pi\in\Pi}\psi(x,\pi)=0,\quad\Pi_i=\textstyle\prod_s\Pi_{i,s}",
        trials=trials,
    ),
    faults=(
        Fault("pure", "deterministic policies suffice for an equilibrium", pure),
        Fault("one_gap", "an equilibrium is where player 1 cannot gain", one_gap),
    ),
    inherits=("Lemma 12",),
    remark="The text infers the equivalence from psi >= 0, which is not enough: it needs the existence "
    "of an equilibrium.  On product classes there is one, by Shapley's contraction.",
    tried="Shared policies have games without equilibrium; products do not (minimax).",
)

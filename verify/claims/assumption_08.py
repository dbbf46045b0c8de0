r"""Assumption 8: when its part (a) holds, and whether Lemma 15 needs part (b).

::

    printed   (below it)  with h, r_x and P_x smooth, V(s) is smooth in (x, pi_1, pi_2): part (a)
    proved    Lemma 15 without part (b): on chains that are not irreducible psi is smooth, with
              2 L_v sqrt(1 + L_pi^2),  L_pi = |S| L_v / tau,  and best responses are L_pi-Lipschitz

Derivation.  The printed line is Lemma 21 as proved here: on a compact X the data have bounded first and
second slopes, and the largest eigenvalue of the block constants is a constant L_v.  (On an unbounded X
it fails: rewards (x^2, -x^2) are smooth, and the slope of grad_x V in the policy is 2 sqrt 2 |x|.)

For the proved form see Lemma 15.  Irreducibility would make visits positive that may be zero; but only
those from the start count, d_p >= (1 - gamma) nu with nu uniform, and they are positive anyway.

What fails without (a) is Lemma 15, though Assumption 6 holds: one state, one action for player 2,
gamma = 0, tau = 1, rewards (|x|^(3/2), 0) for player 1.  V is continuously differentiable, and at
pi_1 = (0, 1), for r = |x|^(3/2) <= 1,

    psi = max_p ( p r - (p^2 + (1-p)^2)/2 ) + 1/2 = (1 + r)^2 / 4,

whose second difference at 0 is r + r^2/2 >= |x|^(3/2), not of order x^2.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from flint import fmpq

from reference.constants import bounds, value_blocks
from reference.domains import Box
from reference.problems.general_position import general_game_family, general_point
from reference.problems.parametrizations import FixedKernel, LinearReward
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Trials
from verify.claims.exact.bellman import best_of_two, net
from verify.claims.trials.gaming import (
    GamePair,
    GamePoint,
    both,
    from_data,
    game_pairs,
    responses,
    smooth_value,
)
from verify.claims.trials.instances import DRAWS, generator_of, sparse
from verify.claims.trials.premises import irreducible
from verify.contract import Context
from verify.oracles.rational import nearest

# Part (a).


def values(pair: GamePair, change: Callable[[Array], Array], factor: float = 1.0) -> Margin:
    """The largest change of grad V(s) over the states, against a constant from the data."""
    starts = np.eye(pair.first.game.n_states)
    first, second = (
        both(*point.slopes(point.evaluate(point.pi_sa, point.pi_sb), starts))
        for point in (pair.first, pair.second)
    )
    moved = first - second
    constant = float(np.linalg.eigvalsh(change(value_blocks(bounds(pair.first.family))))[-1])
    left = float(np.linalg.norm(moved.vector, axis=1).max())
    return Margin(left, factor * constant * pair.apart, moved.error, pair.name)


def agreeing() -> GamePair:
    """r = 1 if the actions agree and -1 if not, at gamma = tau = 0: the constant is attained."""
    reach, signs = np.ones(1), np.array([1.0, -1.0])
    offset = np.outer(signs, signs)
    reward = LinearReward(np.zeros((1, 1, 2, 2)), offset[None], Box(-reach, reach))
    family = GameFamily(
        reward, FixedKernel(np.ones((1, 4, 1))), 0.0, np.ones(1), 0.0, Quadratic(), Quadratic()
    )
    first, last = np.eye(2)[:1], np.eye(2)[1:]
    name = "r = 1 if the actions agree, else -1"
    points = (GamePoint(name, family, reach, pi, pi) for pi in (first, last))
    return GamePair(*points)


def smooth_with(change: Callable[[Array], Array], factor: float = 1.0) -> Trials:
    """Games whose rewards and transitions are smooth in x."""

    def trials(context: Context) -> Iterator[Margin]:
        yield values(agreeing(), change, factor)
        for pair in game_pairs(context, "assumption_08", regularized=False):
            yield values(pair, change, factor)

    return trials


def as_is(blocks: Array) -> Array:
    """No change."""
    return blocks


def separate(blocks: Array) -> Array:
    """Smoothness in each variable alone."""
    return np.asarray(np.diag(np.diag(blocks)))


# Part (b).


def closed_classes(generator: np.random.Generator, gamma: float, tau: float) -> ZeroSumGame:
    """A game with states that are left for ever or never, by one or two next states each."""
    n_states, n_first, n_second = (int(k) for k in generator.integers([2, 1, 1], [5, 4, 4]))
    closed = int(generator.integers(1, n_states))
    P_sabt = np.zeros((n_states, n_first, n_second, n_states))
    for s, a, b in np.ndindex(n_states, n_first, n_second):
        reach = closed if s < closed else n_states
        chosen = generator.choice(reach, min(reach, int(generator.integers(1, 3))), replace=False)
        P_sabt[s, a, b, chosen] = 1.0 / len(chosen)
    rewards = generator.standard_normal((n_states, n_first, n_second))
    rho_s = sparse(generator, (n_states,), 1.0)
    return ZeroSumGame(P_sabt, rewards, gamma, rho_s, tau, Quadratic(), Quadratic())


def reducible_pairs(context: Context) -> Iterator[GamePair]:
    """Pairs of points of families around such games; in a third the best responses are inside."""
    generator = generator_of(context, "assumption_08 reducible")
    for i in range(DRAWS[context.level] // 2):
        inside = i % 3 == 0
        gamma = 0.001 if inside else float(generator.choice([0.5, 0.9]))
        tau = 20.0 if inside else float(generator.choice([0.05, 0.3, 2.0]))
        game = closed_classes(generator, gamma, tau)
        family = general_game_family(generator, game)
        x, far = (general_point(generator, family.domain) for _ in range(2))
        x_ = family.domain.project(x + float(generator.choice([1e-3, 1.0])) * (far - x))
        n_first, n_second = game.n_actions
        (pi_sa, other_sa), (pi_sb, other_sb) = (
            [sparse(generator, (game.n_states, n), 0.3) for _ in range(2)] for n in (n_first, n_second)
        )
        name = f"not irreducible, S = {game.n_states}, gamma = {gamma:g}, tau = {tau:g}"
        first = GamePoint(name, family, x, pi_sa, pi_sb)
        P_sat = first.game.P_sabt.reshape(game.n_states, -1, game.n_states)
        if not irreducible(P_sat):
            yield GamePair(first, GamePoint(name, family, x_, other_sa, other_sb))


def proved_trials(context: Context) -> Iterator[Margin]:
    """Best responses, and the change of grad psi."""
    for i, pair in enumerate(reducible_pairs(context)):
        yield responses(pair)
        if i % 2:
            yield from from_data(pair)


def without_states(context: Context) -> Iterator[Margin]:
    """L_pi = L_v / tau."""
    for pair in reducible_pairs(context):
        yield responses(pair, states=0.0)


def twice_modulus(context: Context) -> Iterator[Margin]:
    """The value grows with 2 tau."""
    for pair in reducible_pairs(context):
        yield responses(pair, modulus=2.0)


def slightly_small(context: Context) -> Iterator[Margin]:
    """The constant of V, less one percent."""
    yield from smooth_with(as_is, 0.99)(context)


def said_smoother(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
    """The premise of Lemma 15 with 0.99 L_v, where L_v is attained."""
    smooth_value(agreeing(), 0.99)
    yield values(agreeing(), as_is)


def verify_rough(content: dict[str, Any]) -> None:
    """The second difference of psi at x = 0 exceeds L x^2, L the recorded bound, at x = root^2."""
    tau, root, bound = (exact.fraction(content[key]) for key in ("tau", "root", "rhs"))
    pi_a = exact.fractions(content["pi_1"])
    exact.require(tau > 0 and root > 0, "tau and x must be positive")
    exact.require(exact.total(pi_a) == 1 and all(p >= 0 for p in pi_a), "pi_1 is no policy")

    def psi(r: fmpq) -> fmpq:
        r_a = np.array([r, fmpq(0)])
        return best_of_two(r_a, tau) - net(pi_a, r_a, tau)

    # The reward is |x|^(3/2) = root^3 at x and at -x.
    quotient = 2 * (psi(root**3) - psi(fmpq(0))) / root**4
    exact.same("the second difference of psi over x^2", quotient, content["lhs"])
    exact.greater("psi bends more than the bound", quotient, bound)


def without_a(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
    """The recorded second difference."""
    content = exact.load("A08_rough")
    verify_rough(content)
    lhs, rhs = (nearest(exact.fraction(content[side])) for side in ("lhs", "rhs"))
    yield Margin(lhs, rhs, 0.0, "rewards (|x|^(3/2), 0)")


CLAIM = Claim(
    number="Assumption 8",
    title="when (a) holds, and Lemma 15 without (b)",
    premise="tau > 0; h, r_x and P_x smooth, X compact; for Lemma 15, V(s) L_v-smooth in x and both "
    "policies, product classes, h 1-strongly convex",
    printed=Form(
        words="With a smooth regulariser and smooth rewards and transitions, V(s) is smooth in x and "
        "both policies, with some constant: the largest eigenvalue of Lemma 21's blocks.",
        formula=r"\exists L_v:\ \|\nabla V(s)-\nabla V'(s)\|\le L_v\|z-z'\|\quad\forall s",
        trials=smooth_with(as_is),
    ),
    proved=Form(
        words="Where chains are not irreducible psi is smooth all the same, and best responses are "
        "Lipschitz with |S| L_v / tau.",
        formula=r"\|\nabla\psi(z)-\nabla\psi(z')\|\le 2L_v\sqrt{1+L_\pi^2}\,\|z-z'\|,"
        r"\quad L_\pi=\tau^{-1}|\mathcal S|L_v\quad\text{without 8(b)}",
        trials=proved_trials,
    ),
    faults=(
        Fault("slightly_small", "the constant of V is 1% smaller", slightly_small),
        Fault("separate", "the largest of the constants in one variable each", smooth_with(separate)),
        Fault("without_states", "L_pi = L_v / tau, without |S|", without_states),
        Fault("twice_modulus", "the value grows with 2 tau", twice_modulus),
        Fault("said_smoother", "part (a) with L_v 1% too small, as a premise", said_smoother),
        Fault("without_8a", "rewards (|x|^(3/2), 0): C^1 and not smooth, nor is psi", without_a),
    ),
    inherits=("Lemma 15", "Lemma 21"),
    remark="Dropping (b) breaks nothing: a suspicion that was checked and cleared, as for Assumption "
    "2(b).  Dropping (a) while Assumption 6 holds breaks Lemma 15 (A08_rough), and entropies at the "
    "boundary break Theorem 16 (see its faults).  (a) is about a compact X.",
    tried="Closed classes and transient states, deterministic transitions, both players moving, best "
    "responses inside and at vertices; smooth data near corners.",
)

r"""Lemma 14: solutions with the Nikaido-Isoda function, and which lambda they need.

With f(x, .) L-Lipschitz, D = diam(Pi_1 x Pi_2) and mu the constant of Lemma 2::

    printed    lambda >= 1 / delta              =>  psi(z) <= delta at local and global solutions z
    proved     lambda >= L D / (mu delta), lambda > 0, likewise,   on products of closed convex sets

Derivation, as for Lemma 3.  Let z = (x, pi) be a local solution of F = f + lambda psi.  In every
direction pi' - pi, lambda grad psi changes F by at least -L D, so dom <= L D / lambda, and
mu psi <= dom by Lemma 13(b) as proved here.  With e = psi(z) the point solves the relaxed problem:
f(z') - f(z) = [F(z') - F(z)] + lambda [psi(z) - psi(z')].

The printed proof bounds L |pi - pi'| by L, drops mu, and the statement then drops L.  Neither
lambda >= 1 / delta nor lambda >= L / delta will do, not even with one state and for global solutions.

Attained: with one state, where mu = 1 and D = 2, both players at their worst action and f against
leaving it; and in gamma and rho by the family of Lemma 3, with one action for player 2 (h is then the
quadratic in the share of "go" that is allowed, which is 1-strongly convex).

A pair of deterministic policies is proven to be a local solution as in
:mod:`verify.claims.trials.local_solutions`; psi is continuously differentiable by Lemma 13(a).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims import exact
from verify.claims.contract import Claim, Fault, Form, Margin, Proof, Refutation
from verify.claims.exact import dominance, facts
from verify.claims.exact.zero_sum import ExactZeroSum
from verify.claims.trials.instances import generator_of
from verify.claims.trials.local_solutions import holding_slopes, some_vertex
from verify.claims.trials.measures import Measured, diameter, dominance_constant, lipschitz
from verify.claims.trials.zero_sum import Play, gradients, plays
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT


@dataclass(frozen=True, eq=False)
class Local:
    """A local solution for f = <c_1, pi_1> + <c_2, pi_2> and a lambda.

    Attributes
    ----------
    play : Play
    psi : Measured
    slope : float
        L.
    width : float
        D.
    strength : float
        lambda.
    """

    play: Play
    psi: Measured
    slope: float
    width: float
    strength: float

    def margin(self, slope: float, width: float, constant: float) -> Margin:
        """psi <= L D / (lambda constant)."""
        bound = slope * width / (self.strength * constant)
        return Margin(self.psi.value, bound, self.psi.error + 8.0 * UNIT * bound, self.play.name)


def vertex(play: Play, strength: float) -> Local:
    """A pair of deterministic policies, and the least slopes that hold it."""
    slopes = holding(play, strength)
    width = diameter(play.pi_sa.shape, play.pi_sb.shape)
    return Local(play, play.psi, lipschitz(*slopes), width, strength)


def holding(play: Play, strength: float) -> tuple[Array, Array]:
    """The slopes c_1 and c_2."""
    pairs = zip(gradients(play), (play.pi_sa, play.pi_sb), strict=True)
    first, second = (
        holding_slopes(strength * gradient, strength * error, pi) for (gradient, error), pi in pairs
    )
    return first, second


def one_state(tau: float) -> Local:
    """Both players at their worst action: r = alpha(a) - alpha(b)."""
    gain = np.array([1.0, 0.0])
    r_sab = (gain[:, None] - gain)[None]
    game = ZeroSumGame(np.ones((1, 2, 2, 1)), r_sab, 0.0, np.ones(1), tau, Quadratic(), Quadratic())
    worst = np.array([[0.0, 1.0]])
    return vertex(Play(f"one state, tau = {tau:g}", game, worst, worst), 1.0)


def restricted(gamma: float, rare: float, beta: float, tau: float) -> Local:
    """Lemma 3's family: the other state's action 0 goes to the rare one with probability beta."""
    P_sabt = np.array([[[[1.0, 0.0]], [[0.0, 1.0]]], [[[beta, 1.0 - beta]], [[0.0, 1.0]]]])
    r_sab = np.array([[[1.0], [0.0]], [[0.0], [0.0]]])
    rho_s = np.array([rare, 1.0 - rare])
    game = ZeroSumGame(P_sabt, r_sab, gamma, rho_s, tau, Quadratic(), Quadratic())
    name = f"rare state with probability {rare:g}, gamma = {gamma:g}, beta = {beta:g}"
    play = Play(name, game, np.array([[0.0, 1.0], [0.0, 1.0]]), np.ones((2, 1)))
    first, _ = holding(play, 1.0)
    # Along the other state's segment, whose length is beta times that of the whole simplex.
    slope = lipschitz(first / np.array([[1.0], [beta]]))
    return Local(play, play.psi, slope, float(np.sqrt(2.0 + 2.0 * beta**2)), 1.0)


def solutions(context: Context) -> Iterator[Local]:
    """The tight ones, and vertices of small games with the quadratic."""
    yield one_state(1e-3)
    yield restricted(0.999, 0.5, 0.1, 1e-9)
    yield restricted(0.9, 0.1, 0.5, 1e-6)
    generator = generator_of(context, "lemma_14 solutions")
    for play in plays(context, "lemma_14"):
        n_states, (n_first, n_second) = play.game.n_states, play.game.n_actions
        if n_first == n_second == 1:
            continue
        first, second = (some_vertex(generator, n_states, n) for n in (n_first, n_second))
        strength = float(10.0 ** generator.uniform(-1.0, 2.0))
        yield vertex(Play(play.name, play.game, first, second), strength)


def trials(context: Context) -> Iterator[Margin]:
    """The proved bound."""
    for local in solutions(context):
        yield local.margin(local.slope, local.width, dominance_constant(local.play.game))


def as_printed(context: Context) -> Iterator[Margin]:
    """Psi <= 1 / lambda."""
    for local in solutions(context):
        yield local.margin(1.0, 1.0, 1.0)


def without_diameter(context: Context) -> Iterator[Margin]:
    """D = 1, as in the printed proof."""
    for local in solutions(context):
        yield local.margin(local.slope, 1.0, dominance_constant(local.play.game))


def too_large(context: Context) -> Iterator[Margin]:
    """Mu 5% too large."""
    for local in solutions(context):
        constant = 1.05 * dominance_constant(local.play.game)
        yield local.margin(local.slope, local.width, constant)


def refute_constant(content: dict[str, Any]) -> None:
    """A global solution with psi > delta although lambda >= 1 / delta, exactly.

    One state and one action for player 2, so that psi is the value gap of player 1's MDP at gamma = 0,
    and convex; f = <c, pi_1> is linear: the variational inequality makes pi_1 a global solution.
    """
    game = ExactZeroSum.parse(content["game"], content["tau"])
    exact.require(game.gamma == 0 and game.r_sab.shape[::2] == (1, 1), "psi must be convex")
    mdp, c_sa = game.for_player_1(exact.fractions([[1]])), exact.fractions(content["c"])
    pi_sa, optimal_sa = exact.policy(content["pi_1"]), exact.policy(content["optimal"])
    strength, delta = exact.fraction(content["lambda"]), exact.fraction(content["delta"])
    exact.require(strength > 0 and strength * delta >= 1, "lambda is below 1 / delta")
    gradient_a = (c_sa - strength * mdp.policy_gradient(pi_sa))[0]
    exact.require(exact.total(gradient_a * pi_sa[0]) == min(gradient_a), "pi_1 is no solution")
    for found, recorded in zip(gradient_a, content["F_gradient"], strict=True):
        exact.same("an entry of grad F", found, recorded)
    mdp.require_optimal(optimal_sa)
    psi = mdp.start_value(optimal_sa) - mdp.start_value(pi_sa)
    exact.same("psi", psi, content["lhs"])
    exact.same("delta", delta, content["rhs"])
    exact.greater("psi exceeds delta", psi, delta)


def refute_diameter(content: dict[str, Any]) -> None:
    """The same although lambda >= L / delta, too."""
    c_sa, slope = exact.fractions(content["c"]), exact.fraction(content["L"])
    strength, delta = exact.fraction(content["lambda"]), exact.fraction(content["delta"])
    exact.require(exact.total(c_sa * c_sa) <= slope**2, "f is not L-Lipschitz")
    exact.require(strength * delta >= slope, "lambda is below L / delta")
    refute_constant(content)


def refute_class(content: dict[str, Any]) -> None:
    """On policies shared by both states, f = 0 and t = 0 is a local solution for every lambda.

    Player 2 has one action; V descends from t = 0, the end of the segment.
    """
    game = ExactZeroSum.parse(content["game"], content["tau"])
    exact.require(game.r_sab.shape[2] == 1, "player 2 must have one action")
    mdp = game.for_player_1(exact.fractions([[1], [1]]))
    lower, delta = exact.gap_at_a_stuck_end(mdp, content["slope"]), exact.fraction(content["delta"])
    exact.same("a lower bound of psi", lower, content["lhs"])
    exact.same("delta", delta, content["rhs"])
    exact.require(delta > 0, "delta must be positive")
    exact.greater("psi exceeds delta", lower, delta)


CLAIM = Claim(
    number="Lemma 14",
    title="solutions with the Nikaido-Isoda function",
    premise="Assumption 6; f(x, .) is L-Lipschitz in the policies; rho > 0; delta > 0; lambda > 0",
    printed=Form(
        words="With lambda at least 1 / delta, the Nikaido-Isoda function is at most delta at every "
        "local and global solution of the penalised problem, which therefore solves the relaxed one.",
        formula=r"\lambda\ge\delta^{-1}\ \Rightarrow\ "
        r"\epsilon_\lambda=\psi(x_\lambda,\pi_\lambda)\le\delta",
        refutations=(
            Refutation("L14_constant", refute_constant),
            Refutation("L14_diameter", refute_diameter),
            Refutation("L14_class", refute_class),
        ),
    ),
    proved=Form(
        words="The same on products of closed convex sets with lambda at least L D / (mu delta), D the "
        "diameter of the policies and mu the constant of Lemma 2.",
        formula=r"\lambda\ge\frac{LD}{\mu\,\delta}\ \Rightarrow\ "
        r"\psi(x_\lambda,\pi_\lambda)\le\frac{LD}{\mu\,\lambda}\le\delta,\quad "
        r"\mu=\frac{(1-\gamma)\min_s\rho(s)}{\gamma+(1-\gamma)\min_s\rho(s)}",
        trials=trials,
        proofs=(
            Proof("gradient dominance against the slope that holds F", dominance.of_solutions),
            Proof("a solution stays one in the relaxed problem", dominance.of_relaxed),
        ),
        textbook=(facts.MAXIMUM,),
        by_hand="the gradient of psi, Lemma 13(a), where V is continuously differentiable and no more",
    ),
    faults=(
        Fault("as_printed", "lambda is 1 / delta", as_printed),
        Fault("without_diameter", "distances of policies are at most 1", without_diameter),
        Fault("too_large", "mu is 5% above the best constant", too_large),
    ),
    inherits=("Lemma 13(a)", "Lemma 13(b)"),
    remark="The proof bounds the distance of two policies by 1, forgets the constant of Lemma 13(b), "
    "and its L is missing in the statement.  It also differentiates f, which is only Lipschitz.",
    tried="L, the diameter and mu are each missing, each refuted by itself with the others granted.",
)

r"""Zero-sum games for trials, and what the claims on the Nikaido-Isoda function measure.

::

    psi    = max V(., pi_2)(rho) - min V(pi_1, .)(rho)              (5.6)
    gap_1  = max V(., pi_2)(rho) - V(pi_1, pi_2)(rho)
    gap_2  = V(pi_1, pi_2)(rho) - min V(pi_1, .)(rho)

psi and the gaps are computed from three values, each with its own error bound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reference.evaluation import evaluate, evaluate_joint, policy_gradient
from reference.optimality import Optimum, policy_iteration
from reference.problems.general_position import general_game
from reference.problems.mdp import Mdp
from reference.problems.zero_sum_game import ZeroSumGame
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims.trials.instances import DRAWS, generator_of, sparse
from verify.claims.trials.measures import Measured, start_value
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT, at_optimum, policy_gradient_tolerance, scale_of


@dataclass(frozen=True, eq=False)
class Play:
    """A game with a pair of policies.

    Attributes
    ----------
    name : str
    game : ZeroSumGame
    pi_sa, pi_sb : (S, A) and (S, B)
    """

    name: str
    game: ZeroSumGame
    pi_sa: Array
    pi_sb: Array

    @cached_property
    def mdps(self) -> tuple[Mdp, Mdp]:
        """Each player's MDP against the other's policy."""
        return self.game.for_player_1(self.pi_sb), self.game.for_player_2(self.pi_sa)

    @cached_property
    def responses(self) -> tuple[Optimum, Optimum]:
        """Best responses."""
        first, second = self.mdps
        return policy_iteration(first), policy_iteration(second)

    @cached_property
    def own(self) -> Measured:
        """V(rho)."""
        found = evaluate_joint(self.game, self.pi_sa, self.pi_sb)
        mean = UNIT * (self.game.n_states + 1) * float(np.abs(found.v_s).max())
        return Measured(float(found.value), float(np.max(found.error)) + mean)

    @property
    def best(self) -> tuple[Measured, Measured]:
        """What the best responses earn their player."""
        errors = mixing(self.game)
        first, second = (start_value(response) + Measured(0.0, errors) for response in self.responses)
        return first, second

    @property
    def psi(self) -> Measured:
        """The Nikaido-Isoda function."""
        first, second = self.best
        return first + second

    @property
    def gaps(self) -> tuple[Measured, Measured]:
        """What either player could gain."""
        first, second = self.best
        return first - self.own, second + self.own

    @property
    def responding(self) -> "Play":
        """The pair of best responses."""
        first, second = self.responses
        return Play(self.name, self.game, first.pi_sa, second.pi_sa)


def mixing(game: ZeroSumGame) -> float:
    """What the rounding of a player's MDP costs its values: a mixture by the other's policy."""
    horizon, size = 1.0 / (1.0 - game.gamma), one_step(game)
    return UNIT * (2 * max(game.n_actions) + 8) * horizon * (size + horizon * size)


def one_step(game: ZeroSumGame) -> float:
    """Largest one-step reward with both regularisers."""
    first, second = game.n_actions
    bonus = game.regularizer_1.bound(first) + game.regularizer_2.bound(second)
    return float(np.abs(game.r_sab).max()) + game.tau * bonus


def gradients(play: Play) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    r"""grad psi in both policies as Lemma 13 has it, each with its error entry by entry.

    The error counts a companion that is off by e in each row (1-norm): with l = |Q| + tau,

        | change of a player's gradient |  <=  e l (1 + gamma) / (1 - gamma)^2.

    For visits change by gamma e / (1 - gamma)^2 in the 1-norm and the slope, at most l, by
    e l (1 + gamma / (1 - gamma)); h must be the quadratic.
    """
    game = play.game
    first, second = play.responses
    sides = (
        (game.for_player_1(second.pi_sa), play.pi_sa, second),
        (game.for_player_2(first.pi_sa), play.pi_sb, first),
    )
    found = []
    for mdp, pi, companion in sides:
        own = evaluate(mdp, pi)
        slope = own.q_sa - mdp.tau * mdp.regularizer.gradient(pi)
        rounding = policy_gradient_tolerance(own, slope, pi)
        scale = scale_of(own)
        alone = companion.mdp.n_actions == 1
        off = 0.0 if alone else at_optimum(companion).row
        size = scale.reward + scale.value + mdp.tau
        moved = off * size * (1.0 + game.gamma) * scale.horizon**2
        mixed = mixing(game) * scale.horizon
        found.append((-policy_gradient(own), rounding + moved + mixed))
    return found[0], found[1]


def corner_game(generator: np.random.Generator, taus: tuple[float, ...]) -> Play:
    """One small game with quadratic regularisers and a pair of policies, near corners."""
    n_states, n_first, n_second = (int(k) for k in generator.integers(1, 4, 3))
    sharpness = float(10.0 ** generator.uniform(-2.5, 0.0))
    gamma = float(generator.choice([0.0, 0.3, 0.5, 0.9, 0.99]))
    tau = float(generator.choice(taus))
    shape = (n_states, n_first, n_second)
    start = 0.999 * sparse(generator, (n_states,), max(sharpness, 0.2)) + 0.001 / n_states
    game = ZeroSumGame(
        sparse(generator, (*shape, n_states), sharpness),
        generator.choice([0.0, 1.0, -1.0, float(generator.normal())], shape),
        gamma,
        start / start.sum(),
        tau,
        Quadratic(),
        Quadratic(),
    )
    name = f"S = {n_states}, A = {n_first}, B = {n_second}, gamma = {gamma:g}, tau = {tau:g}"
    first = sparse(generator, (n_states, n_first), sharpness)
    return Play(name, game, first, sparse(generator, (n_states, n_second), sharpness))


def plays(
    context: Context,
    claim: str,
    *,
    taus: tuple[float, ...] = (0.01, 0.3, 2.0),
    share: float = 1.0,
) -> Iterator[Play]:
    """Small games near corners, and some in general position; all with the quadratic.

    Parameters
    ----------
    context : Context
    claim : str
        Seeds the draws.
    taus : tuple of float
        The temperatures near corners.
    share : float
        Of the usual number of draws.
    """
    generator = generator_of(context, f"{claim} games")
    draws = int(share * DRAWS[context.level])
    for _ in range(draws):
        yield corner_game(generator, taus)
    h = Quadratic()
    for _ in range(draws // 10):
        game = general_game(generator, regularizer_1=h, regularizer_2=h)
        first, second = (sparse(generator, (game.n_states, n), 1.0) for n in game.n_actions)
        yield Play("general position", game, first, second)

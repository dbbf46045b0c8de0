r"""Two-player zero-sum games on pairs of points, for Lemmas 15 and 21 and (D.9).

*One state, gamma = 0, exact constants.*  With

    V = pi_1' (R + x F) pi_2 + (x^2/2) (<g, pi_1> + <e, pi_2>) - tau |pi_1|^2 / 2 + tau |pi_2|^2 / 2

second derivatives are affine in each of x, pi_1 and pi_2, so norms are largest at vertices; best
responses are projections.  L_pi is bounded by the norm of the derivative of the payoffs over tau.

*General families* of games, with the constants at the points that a derivation uses.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from reference.constants import bounds, nikaido_isoda_smoothness, value_smoothness
from reference.domains import Box, project_to_simplex
from reference.evaluation import JointEvaluation, evaluate_joint
from reference.optimality import Optimum, policy_iteration
from reference.problems.general_position import (
    general_distributions,
    general_game_family,
    general_point,
)
from reference.problems.parametrizations import FixedKernel, LinearReward
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims.contract import Margin
from verify.claims.trials.instances import DRAWS, generator_of, sparse
from verify.claims.trials.lipschitz import Measured, joined, smooth_with, tangential
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT, Scale, at_optimum, joint_scale, x_gradient

# One state, gamma = 0.


@dataclass(frozen=True, eq=False)
class OneStateGame:
    """A game of one state, at gamma = 0, with h = |p|^2 / 2 for both players.

    Attributes
    ----------
    R_ab, F_ab : (A, B)
    g_a, e_b : (A,), (B,)
    tau : float > 0
    low, high : float
    """

    R_ab: Array
    F_ab: Array
    g_a: Array
    e_b: Array
    tau: float
    low: float
    high: float

    def payoffs(self, x: float) -> Array:
        """R + x F."""
        return self.R_ab + x * self.F_ab

    def response_1(self, x: float, pi_b: Array) -> Array:
        """Player 1's best response."""
        own = self.payoffs(x) @ pi_b + 0.5 * x * x * self.g_a
        return project_to_simplex(own / self.tau)

    def response_2(self, x: float, pi_a: Array) -> Array:
        """Player 2's best response."""
        own = -(pi_a @ self.payoffs(x)) - 0.5 * x * x * self.e_b
        return project_to_simplex(own / self.tau)

    @cached_property
    def rounding(self) -> float:
        """Of a gradient: some ten operations for each pair of actions, magnified by projections."""
        reach = max(abs(self.low), abs(self.high), 1.0) ** 2
        sizes = (np.abs(part).sum() for part in (self.R_ab, self.F_ab, self.g_a, self.e_b))
        terms = float(sum(sizes)) * reach + self.tau
        return UNIT * 16.0 * (self.R_ab.size + 4) * terms * (1.0 + terms / self.tau)

    def slope(self, x: float, pi_a: Array, pi_b: Array) -> Measured:
        """Gradient of V in (x, pi_1, pi_2), along the simplices."""
        in_x = pi_a @ self.F_ab @ pi_b + x * (self.g_a @ pi_a + self.e_b @ pi_b)
        own = self.payoffs(x) @ pi_b + 0.5 * x * x * self.g_a - self.tau * pi_a
        other = pi_a @ self.payoffs(x) + 0.5 * x * x * self.e_b + self.tau * pi_b
        vector = np.array([in_x, *tangential(own), *tangential(other)])
        return Measured(vector, self.rounding)

    def penalty_slope(self, x: float, pi_a: Array, pi_b: Array) -> Measured:
        """Gradient of the Nikaido-Isoda function, by Danskin's theorem."""
        n = len(pi_a)
        high = self.slope(x, self.response_1(x, pi_b), pi_b)
        low = self.slope(x, pi_a, self.response_2(x, pi_a))
        parts = high.vector - low.vector
        vector = np.array([parts[0], *-low.vector[1 : 1 + n], *high.vector[1 + n :]])
        return Measured(vector, high.error + low.error)

    @cached_property
    def _blocks(self) -> tuple[Array, Array, Array]:
        """Second derivatives at vertices: x with pi_1 (2, B, A), with pi_2 (2, A, B), both policies."""
        x = np.array([self.low, self.high])[:, None, None]
        with_first = tangential(self.F_ab.T + x * self.g_a)
        with_second = tangential(self.F_ab + x * self.e_b)
        payoffs = tangential(self.R_ab + x * self.F_ab)
        return with_first, with_second, payoffs - payoffs.mean(axis=1, keepdims=True)

    @cached_property
    def smoothness(self) -> float:
        """L_v: the largest norm of second derivatives, at a vertex."""
        n, m = self.R_ab.shape
        with_first, with_second, mixed = self._blocks
        hessian = np.zeros((2, n, m, 1 + n + m, 1 + n + m))
        hessian[..., 0, 0] = 0.5 * (self.g_a[:, None] + self.e_b)
        hessian[..., 0, 1 : 1 + n] = with_first[:, None]
        hessian[..., 0, 1 + n :] = with_second[:, :, None]
        hessian[..., 1 : 1 + n, 1 + n :] = mixed[:, None, None]
        hessian[..., 1 : 1 + n, 1 : 1 + n] = -0.5 * self.tau * (np.eye(n) - 1.0 / n)
        hessian[..., 1 + n :, 1 + n :] = 0.5 * self.tau * (np.eye(m) - 1.0 / m)
        return float(np.abs(np.linalg.eigvalsh(hessian + np.swapaxes(hessian, -1, -2))).max())

    @cached_property
    def response_slope(self) -> float:
        """L_pi: the payoffs of a player's actions move that much, over tau, at a vertex at most."""
        with_first, with_second, mixed = self._blocks
        worst = 0.0
        for own, other in ((with_first, mixed), (with_second, np.swapaxes(mixed, 1, 2))):
            wide = np.broadcast_to(other[:, None], (*own.shape, other.shape[-1]))
            slopes = np.concatenate([own[..., None], wide], axis=-1)
            worst = max(worst, float(np.linalg.svd(slopes, compute_uv=False).max()))
        return worst / self.tau

    def __str__(self) -> str:
        """In numbers."""
        parts = (self.R_ab, self.F_ab, self.g_a, self.e_b)
        rows = ", ".join(str(np.round(part, 3).tolist()) for part in parts)
        interval = f"[{self.low:.3g}, {self.high:.3g}]"
        return f"one state, R, F, g, e = {rows}, tau = {self.tau:.3g}, X = {interval}"


@dataclass(frozen=True, eq=False)
class OneStateGamePair:
    """Two points of a game of one state."""

    game: OneStateGame
    first: tuple[float, Array, Array]
    second: tuple[float, Array, Array]

    @property
    def apart(self) -> float:
        """|z - z'|."""
        (x, *policies), (x_, *others) = self.first, self.second
        moves = [float(np.linalg.norm(a - b)) for a, b in zip(policies, others, strict=True)]
        return float(np.hypot.reduce([x - x_, *moves]))

    @property
    def smoothness(self) -> float:
        """L_v, to which the change of grad V from point to point is held: Assumption 8(a).

        Raises
        ------
        PremiseError
            If it changes by more.
        """
        change = self.game.slope(*self.first) - self.game.slope(*self.second)
        return smooth_with(self.game.smoothness, change, self.apart, str(self.game))


def contrary(reach: float, tau: float = 1.0) -> OneStateGamePair:
    """Best responses are always the first actions; V_xx there and at the others adds up in psi.

    r = 2 tau (1[a = 1] - 1[b = 1]) + (x^2/2) (s_a - s_b), s = (1, -1), |x| <= reach.
    """
    up, first = np.array([1.0, -1.0]), np.array([1.0, 0.0])
    R_ab = 2.0 * tau * (first[:, None] - first[None, :])
    game = OneStateGame(R_ab, np.zeros((2, 2)), up, -up, tau, -reach, reach)
    last = np.array([0.0, 1.0])
    return OneStateGamePair(game, (reach, last, last), (0.0, last, last))


def pennies(size: float, tau: float) -> OneStateGamePair:
    """Matching pennies without x: best responses move with slope 2 size / tau around (1/2, 1/2)."""
    up, half, none = np.array([1.0, -1.0]), np.array([0.5, 0.5]), np.zeros(2)
    game = OneStateGame(size * np.outer(up, up), np.zeros((2, 2)), none, none, tau, -1.0, 1.0)
    shift = 0.1 * tau / size * up
    return OneStateGamePair(game, (0.0, half, half + shift), (0.0, half, half - shift))


def one_state_game(z: Array) -> OneStateGamePair:
    """Decode eleven numbers into a pair of points of a game with two actions each; tau = 1."""
    up = np.array([1.0, -1.0])
    a, b, c, f, g, e = np.tanh(z[:6])
    R_ab = 3.0 * (a * up[:, None] + b * up + c * np.outer(up, up))
    reach = float(np.exp(np.clip(z[6], -5.0, 1.0)))
    game = OneStateGame(R_ab, 2.0 * f * np.outer(up, up), g * up, e * up, 1.0, -reach, reach)
    near = float(np.exp(-np.clip(z[7], 0.0, 6.0)))
    x = reach * float(np.tanh(z[8]))
    x_ = x - near * (x + float(np.copysign(reach, x)))
    pi_a, pi_b = (0.5 + 0.5 * np.clip(end, -1.0, 1.0) * up for end in z[9:11])
    moved = pi_a + near * (pi_b - pi_a), pi_b + near * (pi_a - pi_b)
    return OneStateGamePair(game, (x, pi_a, pi_b), (x_, *moved))


# Games of several states.


@dataclass(frozen=True, eq=False)
class GamePoint:
    """A point (x, pi_1, pi_2) of a family of games.

    Attributes
    ----------
    name : str
    family : GameFamily
    x : point of its domain
    pi_sa, pi_sb : (S, A), (S, B)
    """

    name: str
    family: GameFamily
    x: Array
    pi_sa: Array
    pi_sb: Array

    @cached_property
    def game(self) -> ZeroSumGame:
        """The game at x."""
        return self.family.at(self.x)

    @cached_property
    def responses(self) -> tuple[Optimum, Optimum]:
        """Best responses of both players."""
        game = self.game
        first = policy_iteration(game.for_player_1(self.pi_sb))
        return first, policy_iteration(game.for_player_2(self.pi_sa))

    def evaluate(self, pi_sa: Array, pi_sb: Array) -> JointEvaluation:
        """Values of a pair of policies."""
        return evaluate_joint(self.game, pi_sa, pi_sb)

    def slopes(
        self, evaluation: JointEvaluation, start_ks: Array
    ) -> tuple[Measured, Measured, Measured]:
        """Gradients of V(mu) in x and along the simplices in both policies, for start measures mu_k.

        Shapes (K, size of x), (K, S A), (K, S B); the errors are those of each row, at mass one.
        """
        game, scale = self.game, joint_scale(evaluation)
        visits_ks = evaluation.visits(start_ks)
        k = len(start_ks)
        weights = visits_ks[:, None, :, None, None] * evaluation.joint_sab
        in_x = self.family.pullback(self.x, weights, evaluation.v_s[None]).reshape(k, -1)
        q_sab = evaluation.q_sab
        own_sa = np.einsum("sab,sb->sa", q_sab, evaluation.pi_sb) - game.tau * evaluation.pi_sa
        own_sb = np.einsum("sab,sa->sb", q_sab, evaluation.pi_sa) + game.tau * evaluation.pi_sb
        in_a = (visits_ks[:, :, None] * tangential(own_sa)).reshape(k, -1)
        in_b = (visits_ks[:, :, None] * tangential(own_sb)).reshape(k, -1)
        entry = x_gradient(
            self.family,
            scale,
            mass=scale.horizon,
            mass_error=scale.visits_error(1.0),
            value_error=scale.value_error,
        )
        size = float(np.abs(q_sab).max()) + game.tau
        push = scale.q_error + UNIT * (scale.n_actions + 8) * size
        in_policy = 2.0 * (scale.visits_error(1.0) * size + scale.horizon * push)
        return (
            Measured(in_x, float(np.sqrt(in_x.shape[1])) * entry),
            Measured(in_a, float(np.sqrt(own_sa.shape[1])) * in_policy),
            Measured(in_b, float(np.sqrt(own_sb.shape[1])) * in_policy),
        )

    def drift(self, optimum: Optimum) -> float:
        """What the error of a best response does to the gradients of V(rho)."""
        best = at_optimum(optimum)
        scale: Scale = best.scale
        entry = x_gradient(
            self.family,
            scale,
            mass=scale.horizon,
            mass_error=best.visits + scale.horizon * best.row,
            value_error=best.value,
        )
        size = scale.value + scale.reward
        in_policy = best.visits * size + scale.horizon * (best.value + best.row * size)
        n_entries = self.x.size + self.pi_sa.size + self.pi_sb.size
        return float(np.sqrt(n_entries)) * (entry + 2.0 * in_policy)

    def from_start(self, evaluation: JointEvaluation) -> tuple[Measured, Measured, Measured]:
        """Gradients of V(rho)."""
        rows = self.slopes(evaluation, self.game.rho_s[None])
        in_x, in_a, in_b = (Measured(row.vector[0], row.error) for row in rows)
        return in_x, in_a, in_b


@dataclass(frozen=True, eq=False)
class GamePair:
    """Two points of one family of games."""

    first: GamePoint
    second: GamePoint

    @property
    def moves(self) -> tuple[float, float, float]:
        """|x - x'|, |pi_1 - pi_1'|, |pi_2 - pi_2'|."""
        a, b = self.first, self.second
        return (
            float(np.linalg.norm(a.x - b.x)),
            float(np.linalg.norm(a.pi_sa - b.pi_sa)),
            float(np.linalg.norm(a.pi_sb - b.pi_sb)),
        )

    @property
    def apart(self) -> float:
        """|z - z'|."""
        return float(np.hypot.reduce(self.moves))

    @property
    def name(self) -> str:
        """The family and the moves."""
        return f"{self.first.name}: moves " + ", ".join(f"{move:.2g}" for move in self.moves)


def game_pairs(context: Context, claim: str, *, regularized: bool = True) -> Iterator[GamePair]:
    """Pairs of points of small families near corners; transitions and rewards depend on x."""
    generator = generator_of(context, f"{claim} games")
    for i in range(DRAWS[context.level] // 2):
        n_states, n_first, n_second = (int(k) for k in generator.integers(1, 4, 3))
        sharpness = float(10.0 ** generator.uniform(-2.0, 0.0))
        gamma = float(generator.choice([0.0, 0.5, 0.9]))
        tau = float(generator.choice([0.05, 0.3, 2.0] if regularized else [0.0, 0.3, 2.0]))
        game = ZeroSumGame(
            sparse(generator, (n_states, n_first, n_second, n_states), sharpness),
            generator.standard_normal((n_states, n_first, n_second)),
            gamma,
            general_distributions(generator, (n_states,)),
            tau,
            Quadratic(),
            Quadratic(),
        )
        family = general_game_family(generator, game)
        near = (1e-3, 1.0)[i % 2]
        x, far = (general_point(generator, family.domain) for _ in range(2))
        (pi_sa, other_sa), (pi_sb, other_sb) = (
            [sparse(generator, (n_states, n), 0.3) for _ in range(2)] for n in (n_first, n_second)
        )
        still = generator.integers(0, 2, 3) * near if i % 4 > 1 else np.full(3, near)
        x_ = family.domain.project(x + still[0] * (far - x))
        moved = pi_sa + still[1] * (other_sa - pi_sa), pi_sb + still[2] * (other_sb - pi_sb)
        name = f"S = {n_states}, A = {n_first}, B = {n_second}, gamma = {gamma:g}, tau = {tau:g}"
        yield GamePair(GamePoint(name, family, x, pi_sa, pi_sb), GamePoint(name, family, x_, *moved))


def pennies_in_states(n_states: int) -> GamePair:
    """Matching pennies in every state at gamma = 0: best responses move as fast as payoffs over tau."""
    up, shape = np.array([1.0, -1.0]), (n_states, 2, 2)
    start_s = np.full(n_states, 1.0 / n_states)
    nowhere = Box(np.zeros(1), np.zeros(1))
    r_sab = np.broadcast_to(np.outer(up, up), shape)
    reward = LinearReward(np.zeros((1, *shape)), r_sab, nowhere)
    kernel = FixedKernel(np.broadcast_to(start_s, (n_states, 4, n_states)))
    family = GameFamily(reward, kernel, 0.0, start_s, 2.0, Quadratic(), Quadratic())
    name = f"matching pennies in {n_states} states"
    half = np.full((n_states, 2), 0.5)
    ends = (GamePoint(name, family, np.zeros(1), half, half + side * 0.25 * up) for side in (1.0, -1.0))
    return GamePair(*ends)


def both(*parts: Measured) -> Measured:
    """Rows side by side; the error is that of each row."""
    vector = np.concatenate([part.vector for part in parts], axis=-1)
    return Measured(vector, joined(*parts).error)


# What Lemma 15 says of pairs of points.


def gradient(point: GamePoint) -> Measured:
    """grad psi."""
    first, second = point.responses
    low = point.from_start(point.evaluate(point.pi_sa, second.pi_sa))
    high = point.from_start(point.evaluate(first.pi_sa, point.pi_sb))
    drift = Measured(np.zeros(0), point.drift(first) + point.drift(second))
    return joined(high[0] - low[0], -low[1], high[2], drift)


def smooth_value(pair: GamePair, share: float = 1.0) -> float:
    """L_v of the family, from its data, to which the change of grad V(rho) is held: Assumption 8(a).

    Raises
    ------
    PremiseError
        If it changes by more than the share of L_v allows.
    """
    first, second = (
        joined(*point.from_start(point.evaluate(point.pi_sa, point.pi_sb)))
        for point in (pair.first, pair.second)
    )
    smooth = share * value_smoothness(bounds(pair.first.family))
    return smooth_with(smooth, first - second, pair.apart, pair.name)


def from_data(pair: GamePair) -> Iterator[Margin]:
    """The change of grad psi, with L_v and with either L_pi from the data of the family.

    Raises
    ------
    PremiseError
        As :func:`smooth_value`.
    """
    change = gradient(pair.first) - gradient(pair.second)
    given = bounds(pair.first.family)
    smooth = smooth_value(pair)
    from_values = 2.0 * smooth * float(np.hypot(1.0, given.n_states * smooth / given.tau))
    for constant in (from_values, nikaido_isoda_smoothness(given)):
        yield Margin(change.norm, constant * pair.apart, change.error, pair.name)


def responses(pair: GamePair, states: float = 1.0, modulus: float = 1.0) -> Margin:
    """tau |d|^2 / |S| <= the mixed difference of player 1's value from the uniform distribution."""
    first, second = pair.first, pair.second
    n_states, tau = first.game.n_states, first.game.tau
    a, b = first.responses[0].pi_sa, second.responses[0].pi_sa
    mixed, error = 0.0, 0.0
    for point, own, other in ((first, a, b), (second, b, a)):
        for sign, pi_sa in ((1.0, own), (-1.0, other)):
            evaluation = point.evaluate(pi_sa, point.pi_sb)
            mixed += sign * float(evaluation.v_s.mean())
            error += joint_scale(evaluation).value_error
        # A best response that is off by row loses its square; and it changes d.
        best = at_optimum(point.responses[0])
        error += 2.0 * tau * best.row * (float(np.linalg.norm(a - b)) + best.row) + best.value
    left = modulus * tau * float(((a - b) ** 2).sum()) / n_states**states
    return Margin(left, mixed, error, f"best responses, {pair.name}")

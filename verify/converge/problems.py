r"""Small bilevel problems that meet every assumption of Theorems 11 and 16, with all that a bound needs.

X is a box, policies are direct, h(p) = |p|^2 / 2, rho > 0, tau > 0, rewards are linear in x and
transitions a softmax of numbers linear in x.  The upper objective and its infimum over Z = X x Y::

    f(x, pi) = sum_i ( a_i x_i^2 / 2 + b_i x_i ) + sum_j <w_j, pi_j>
    inf f    = sum_i min_{X_i} ( a_i x^2 / 2 + b_i x ) + sum_j sum_s min_a w_j(s, a)

with L_f = max |a_i|.  The infimum is also the lower bound of F_lambda = f + lambda p that the theorems
use, as p >= 0; it is lowered by a bound on its own rounding.  The step is 1 / (L_f + lambda L_p).

Random problems come in batches that share gamma, tau, X and the step, whose L_p is their largest.

**Flips.**  One state, gamma = 0, three actions (player 2, if there is one, has a single action)::

    r_x = (2 tau, kappa x, -kappa x),   X = [-kappa, kappa],   f = x^2 / 2,   lambda = 1

The first action is optimal for all x in X, and the policy stays there.  A companion that gives the
second or third action the weight share |x| / kappa errs by share x in the gradient in x, so that with
step 1 the exact step x -> 0 becomes x -> -share x, and every inequality of the proof is tight, but for
L_p, which tends to 0 with kappa: the bound is attained.  share = 0 is exact gradient descent on f.

In the game the error in player 2's only action is of order tau, not kappa, and L_psi of order
kappa^2 / tau: tau = kappa^(3/2) makes both small against kappa and 1.  In the MDP tau = kappa.

**Rounding**, with u the unit roundoff, kappa = 1 / (1 - gamma), rewards (with tau h) at most R, and the
errors of values, visits and Q of :mod:`verify.crosscheck.tolerances`::

    optimum           error_V = 4 kappa rounding     (what policy iteration attains)
    its policy        row = sqrt(A) (error_V / tau + (A + 8) u) per state, so sqrt(S) row in all
    gradient in x     per entry and policy  |dw| size + kappa gamma G_P dv + u (S + A + 8) kappa size,
                      size = G_r + gamma G_P kappa R;  at most four such terms
    gradient in pi    per player  sqrt(A) ( |dd| slope + kappa (dq + 4 u tau) ),
                      slope <= 2 kappa R + tau
    companions        C sqrt(S) row per player, C the companion constant

A value of F errs by lambda (2 dv + error_V) and the last digits of its terms.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from reference.algorithms.bilevel import Bilevel
from reference.algorithms.contract import Constant, State
from reference.algorithms.oracles import Exact, Oracle
from reference.algorithms.pbrl import Pbrl
from reference.constants import Bounds, bounds
from reference.domains import Box
from reference.equilibrium import nash_equilibrium
from reference.evaluated import Evaluated
from reference.evaluation import rounding as residual_rounding
from reference.objectives.contract import Objective
from reference.optimality import policy_iteration
from reference.policies import DirectPolicy
from reference.problems.general_position import general_distributions
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel, LinearReward, SoftmaxKernel
from reference.problems.structure import stack
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.converge.kinds import NIKAIDO_ISODA, Kind
from verify.converge.oracles import Flipping
from verify.crosscheck.tolerances import UNIT, Scale

Family = MdpFamily | GameFamily


@dataclass(frozen=True, eq=False)
class Separable:
    """The upper objective.

    Attributes
    ----------
    a, b : (B, d)
    weights : one array (B, S, A) per policy
    """

    a: Array
    b: Array
    weights: tuple[Array, ...]

    def __call__(self, problem: object, x: Array, policies: tuple[Array, ...]) -> Evaluated:  # noqa: ARG002 - the contract's signature
        """Value and gradients."""
        linear = sum((w * pi).sum(axis=(-2, -1)) for w, pi in zip(self.weights, policies, strict=True))
        gradients = tuple(
            np.broadcast_to(w, pi.shape) for w, pi in zip(self.weights, policies, strict=True)
        )
        value = (self.a * x * x / 2.0 + self.b * x).sum(axis=-1) + linear
        return Evaluated(np.asarray(value), self.a * x + self.b, gradients)

    @property
    def smoothness(self) -> float:
        """L_f."""
        return float(np.abs(self.a).max())

    def infimum(self, box: Box) -> Array:
        """A lower bound of inf f over X x Y, exact but for rounding; shape (B,)."""
        a, b = self.a, self.b
        inner = np.clip(-b / np.where(a > 0.0, a, 1.0), box.low, box.high)
        points = (np.broadcast_to(box.low, a.shape), np.broadcast_to(box.high, a.shape), inner)
        along = np.min([a * x * x / 2.0 + b * x for x in points], axis=0)
        # A minimum inside errs by its value there times a few units.
        reach = np.maximum(np.abs(box.low), np.abs(box.high))
        size = (np.abs(a) * reach**2 + np.abs(b) * reach).sum(axis=-1)
        lowest = along.sum(axis=-1)
        for w in self.weights:
            lowest = lowest + w.min(axis=-1).sum(axis=-1)
            size = size + np.abs(w).max(axis=-1).sum(axis=-1)
        terms = a.shape[-1] + sum(w.shape[-2] for w in self.weights)
        return np.asarray(lowest - UNIT * (terms + 8) * size)


@dataclass(frozen=True, eq=False)
class Setup:
    """A run that can be made, with what is known of it.

    Attributes
    ----------
    title : str
    kind : Kind
    algorithm : Pbrl
    state : State
        Its start, with one batch axis (B,).
    lowest : (B,)
        Lower bound of F over Z: inf f.
    upper, lower : float
        L_f, and L_p or L_psi, as proved.
    gradient_rounding, value_rounding : float
        Bounds on the errors of a computed grad F_lambda, in the norm, and of a computed F_lambda.
    gamma, tau : float
    """

    title: str
    kind: Kind
    algorithm: Pbrl[Any]
    state: State
    lowest: Array
    upper: float
    lower: float
    gradient_rounding: float
    value_rounding: float
    gamma: float
    tau: float

    @property
    def strength(self) -> float:
        """lambda."""
        return self.algorithm.strength(0)

    @property
    def alpha(self) -> float:
        """The step."""
        return self.algorithm.step_size(0)

    @property
    def smoothness(self) -> float:
        """L_f + lambda L_p."""
        return self.upper + self.strength * self.lower


@dataclass(frozen=True)
class Recipe:
    """A random batch in general position.

    Attributes
    ----------
    kind : Kind
    label : str
        Seeds the draws, with the seed.
    seed : int
    members : int
    gamma, tau : float
    scale : float
        Standard deviation of rewards and their features.
    tilt : float
        Of the features of the transitions; zero for transitions that do not depend on x.
    strength : float
        lambda.
    n_states : int
    """

    kind: Kind
    label: str
    seed: int
    members: int
    gamma: float = 0.1
    tau: float = 1.0
    scale: float = 0.3
    tilt: float = 0.2
    strength: float = 4.0
    n_states: int = 3

    def generator(self, purpose: str) -> np.random.Generator:
        """Source of a part of the draws."""
        return np.random.default_rng([self.seed, *f"{self.label} {purpose}".encode()])

    def families(self) -> list[Family]:
        """The members."""
        draws = self.generator("problems")
        box = Box(np.array([-0.7, -0.4]), np.array([0.5, 0.6]))
        d, S, actions = 2, self.n_states, self.kind.actions
        joint = math.prod(actions)
        found: list[Family] = []
        for _ in range(self.members):
            features, offset = (self.scale * draws.normal(size=(*n, S, *actions)) for n in ((d,), ()))
            logits = draws.normal(size=(S, joint, S))
            tilts = self.tilt * draws.normal(size=(d, S, joint, S))
            reward = LinearReward(features, offset, box)
            kernel = SoftmaxKernel(logits, tilts, box)
            rho_s, h = general_distributions(draws, (S,)), Quadratic()
            found.append(
                MdpFamily(reward, kernel, self.gamma, rho_s, self.tau, h)
                if len(actions) == 1
                else GameFamily(reward, kernel, self.gamma, rho_s, self.tau, h, h)
            )
        return found

    def objective(self) -> Separable:
        """The upper level: strictly convex in x, with minimisers inside and on the boundary."""
        draws = self.generator("objective")
        a = draws.uniform(0.5, 1.5, (self.members, 2))
        b = 0.3 * draws.normal(size=(self.members, 2))
        shapes = [(self.members, self.n_states, n) for n in self.kind.actions]
        return Separable(a, b, tuple(0.25 * draws.normal(size=shape) for shape in shapes))

    def setup(self, oracle: Oracle | None = None, *, warm: bool = False, multiple: float = 1.0) -> Setup:
        """Ready to run from a vertex of the policies, or from the solution of the lower level if warm.

        Parameters
        ----------
        oracle : Oracle, optional
            Of every player; exact if not given.
        warm : bool
        multiple : float
            Of the step 1 / (L_f + lambda L_p); beyond 1 nothing is promised.
        """
        families, upper = self.families(), self.objective()
        given = [bounds(family) for family in families]
        lower_constant = max(map(self.kind.smoothness, given))
        family = stack(families)
        box = cast(Box, family.domain)
        smoothness = upper.smoothness + self.strength * lower_constant
        bilevel = Bilevel[Any](
            family,
            Objective("separable", "-", upper),
            tuple(DirectPolicy((self.n_states, n)) for n in self.kind.actions),
        )
        algorithm = Pbrl[Any](
            bilevel,
            self.kind.penalty,
            (Exact() if oracle is None else oracle,) * len(self.kind.actions),
            Constant(multiple / (smoothness * (1.0 + 4.0 * UNIT))),
            Constant(self.strength),
        )
        x = self.generator("start").uniform(box.low, box.high, (self.members, 2))
        y = solution(family, x) if warm else vertices(self.members, self.n_states, self.kind.actions)
        slips = [
            _rounding(self.kind, one, member, upper, box, self.strength)
            for one, member in zip(given, families, strict=True)
        ]
        return Setup(
            f"{self.kind.title}, gamma = {self.gamma:g}, tau = {self.tau:g}, lambda = {self.strength:g}",
            self.kind,
            algorithm,
            algorithm.start(x, y),
            upper.infimum(box),
            upper.smoothness,
            lower_constant,
            max(slip for slip, _ in slips),
            max(slip for _, slip in slips),
            self.gamma,
            self.tau,
        )


def vertices(members: int, n_states: int, actions: tuple[int, ...]) -> tuple[Array, ...]:
    """Every player takes its first action."""
    return tuple(np.tile(np.eye(n)[0], (members, n_states, 1)) for n in actions)


def solution(family: Family, x: Array) -> tuple[Array, ...]:
    """The optimal policies at x, or the equilibria: where the penalty vanishes."""
    lower = family.at(x)
    if isinstance(lower, Mdp):
        return (policy_iteration(lower).unique_policy(),)
    found = nash_equilibrium(lower)
    return found.pi_sa, found.pi_sb


def flips(kind: Kind, shares: tuple[float, ...], *, kappa: float = 1e-8, multiple: float = 1.0) -> Setup:
    """The family that attains the bound; a member per share, each from the end of X.

    Parameters
    ----------
    kind : Kind
    shares : tuple of float
        In [-1, 1]; the errors of the gradients in x are shares of them.
    kappa : float
    multiple : float
        Of the step 1 / (L_f + lambda L_p).
    """
    game = kind is NIKAIDO_ISODA
    tau = kappa**1.5 if game else kappa
    actions = (3, 1) if game else (3,)
    box = Box(np.array([-kappa]), np.array([kappa]))
    features = kappa * np.array([0.0, 1.0, -1.0]).reshape(1, 1, *actions)
    offset = 2.0 * tau * np.array([1.0, 0.0, 0.0]).reshape(1, *actions)
    reward, kernel = LinearReward(features, offset, box), FixedKernel(np.ones((1, 3, 1)))
    rho_s, h = np.ones(1), Quadratic()
    member: Family = (
        GameFamily(reward, kernel, 0.0, rho_s, tau, h, h)
        if game
        else MdpFamily(reward, kernel, 0.0, rho_s, tau, h)
    )
    n = len(shares)
    upper = Separable(np.ones((n, 1)), np.zeros((n, 1)), tuple(np.zeros((n, 1, k)) for k in actions))
    given = bounds(member)
    lower_constant = kind.smoothness(given)
    smoothness = 1.0 + lower_constant
    oracles: tuple[Oracle, ...] = (Flipping(np.array(shares), kappa), *[Exact()] * game)
    algorithm = Pbrl[Any](
        Bilevel[Any](
            stack([member] * n),
            Objective("half the square of x", "-", upper),
            tuple(DirectPolicy((1, k)) for k in actions),
        ),
        kind.penalty,
        oracles,
        Constant(multiple / (smoothness * (1.0 + 4.0 * UNIT))),
        Constant(1.0),
    )
    slip, value_slip = _rounding(kind, given, member, upper, box, 1.0)
    return Setup(
        f"{kind.title}, flips with kappa = {kappa:g}",
        kind,
        algorithm,
        algorithm.start(np.full((n, 1), kappa), vertices(n, 1, actions)),
        np.zeros(n),
        1.0,
        lower_constant,
        slip,
        value_slip,
        0.0,
        tau,
    )


def _rounding(
    kind: Kind, given: Bounds, family: Family, upper: Separable, box: Box, strength: float
) -> tuple[float, float]:
    """Of a gradient and of a value of F; see the module's docstring."""
    corners = itertools.product(*zip(box.low, box.high, strict=True))
    rewards = [family.at(np.array(x)) for x in corners]
    largest = max(
        float(np.abs(m.r_sab if isinstance(m, ZeroSumGame) else m.r_sa).max()) for m in rewards
    )
    counts = [player.n_actions for player in given.players]
    S, A, tau, players = given.n_states, math.prod(counts), given.tau, len(counts)
    R = largest + 0.5 * tau * players
    scale = Scale(S, A, given.gamma, R, given.horizon * R)
    dv, horizon = scale.value_error, given.horizon
    residual = residual_rounding(S, A, np.asarray(scale.value), np.asarray(R), 0.5 * tau)
    error = 4.0 * horizon * float(residual)
    rows = sum(math.sqrt(S * n) * (error / tau + (n + 8) * UNIT) for n in counts)
    size = given.reward_slope + given.gamma * given.kernel_slope * scale.value
    entry = (
        scale.visits_error(2.0) * size
        + horizon * given.gamma * given.kernel_slope * dv
        + UNIT * (S + A + 8) * horizon * size
    )
    slope = 2.0 * horizon * R + tau
    in_policies = sum(
        math.sqrt(n) * (scale.visits_error(1.0) * slope + horizon * (scale.q_error + 4.0 * UNIT * tau))
        for n in counts
    )
    d = len(box.low)
    gradient = 4.0 * math.sqrt(d) * entry + in_policies + kind.companion_error(given) * rows
    reach = np.maximum(np.abs(box.low), np.abs(box.high))
    size_f = float((np.abs(upper.a) * reach + np.abs(upper.b)).sum(axis=-1).max()) + sum(
        float(np.abs(w).max()) for w in upper.weights
    )
    value_f = float((np.abs(upper.a) * reach**2 + np.abs(upper.b) * reach).sum(axis=-1).max()) + sum(
        float(np.abs(w).sum(axis=(-2, -1)).max()) for w in upper.weights
    )
    of_value = UNIT * (d + S * A + 8) * value_f + strength * (2.0 * dv + error)
    return UNIT * 8 * size_f + strength * gradient, of_value + 4.0 * UNIT * (
        value_f + strength * scale.value
    )

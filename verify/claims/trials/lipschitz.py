r"""Lipschitz claims on pairs of points: vectors with error bounds, and problems to take the points from.

A claim |G(z) - G(z')| <= L |z - z'| is tried where its constant is known, in two ways.

*Small problems with exact constants.*  With one state and gamma = 0,

    r_x(a) = r + x f + x^2 g / 2,    V = <pi, r_x> - tau |pi|^2 / 2,    x in [low, high],

all second derivatives are affine in (x, pi), so the largest over X x Pi of their norms are those at
vertices; the optimal policy is a projection.  The game of one state is the same with three blocks.  All
constants of the paper are then known exactly, not only bounded, and an adversary looks for large ratios.

*General families* of several states, where transitions depend on x.  The constants are those at the
points where the proof uses them: for instance |grad V(z) - grad V(z')| / |z - z'| for L_v.  This makes
the claim stronger than stated, and its trials sensitive to every term.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from reference.domains import Box, Domain, project_to_simplex
from reference.evaluation import (
    PolicyEvaluation,
    evaluate,
    policy_gradient,
    q_gradient_x,
    value_gradient_x,
)
from reference.optimality import Optimum, policy_iteration
from reference.problems.general_position import general_point, linear_family, tabular_family
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel, LinearReward
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims.contract import PremiseError
from verify.claims.trials.instances import corners, generator_of, sparse
from verify.contract import Context
from verify.crosscheck.tolerances import (
    UNIT,
    at_optimum,
    policy_gradient_tolerance,
    scale_of,
    x_gradient,
)

# Vectors that know their error.


@dataclass(frozen=True, eq=False)
class Measured:
    """A vector with a bound on the Euclidean norm of its error."""

    vector: Array
    error: float

    def __sub__(self, other: "Measured") -> "Measured":
        """Difference."""
        return Measured(self.vector - other.vector, self.error + other.error)

    def __neg__(self) -> "Measured":
        """Opposite."""
        return Measured(-self.vector, self.error)

    @property
    def norm(self) -> float:
        """Euclidean length."""
        return float(np.linalg.norm(self.vector))


def joined(*parts: Measured) -> Measured:
    """One vector of all entries."""
    vector = np.concatenate([part.vector.ravel() for part in parts])
    return Measured(vector, float(np.hypot.reduce([part.error for part in parts])))


def tangential(gradient_sa: Array) -> Array:
    """The part of a gradient along the simplices."""
    return np.asarray(gradient_sa - gradient_sa.mean(axis=-1, keepdims=True))


def spectral(matrix: Array) -> float:
    """Largest singular value."""
    return float(np.linalg.norm(matrix, 2))


def lambda_max(a: float, b: float, c: float) -> float:
    """Largest eigenvalue of [[a, b], [b, c]]."""
    return 0.5 * (a + c + float(np.hypot(a - c, 2.0 * b)))


def slope(change: Measured, distance: float) -> float:
    """How fast something changes; zero over no distance."""
    return change.norm / distance if distance > 0.0 else 0.0


def smooth_with(constant: float, change: Measured, distance: float, where: str) -> float:
    """The constant, if a gradient of V that it is said to be of does not change faster.

    Raises
    ------
    PremiseError
        If it does, beyond rounding.
    """
    if not change.norm <= constant * distance + change.error:
        raise PremiseError(
            f"V is not smooth with {constant:.6g} on {where}: its gradient changes by {change.norm:.6g} "
            f"over {distance:.6g}"
        )
    return constant


# One state, gamma = 0: every constant exactly.


@dataclass(frozen=True, eq=False)
class OneState:
    """r_x = r + x f + x^2 g / 2 on an interval, at gamma = 0, with h = |p|^2 / 2.

    The policy is y / stretch, with y in the simplex of that size; direct at stretch 1.

    Attributes
    ----------
    r_a, f_a, g_a : (A,)
    tau : float > 0
    low, high : float
    stretch : float >= 1
    """

    r_a: Array
    f_a: Array
    g_a: Array
    tau: float
    low: float
    high: float
    stretch: float = 1.0

    def rewards(self, x: float) -> Array:
        """r_x, which is also Q, and -q."""
        return np.asarray(self.r_a + x * self.f_a + 0.5 * x * x * self.g_a)

    def optimum(self, x: float) -> Array:
        """The optimal policy."""
        return project_to_simplex(self.rewards(x) / self.tau)

    @cached_property
    def rounding(self) -> float:
        """Of a gradient: some ten operations for each action, on terms that projections magnify."""
        reach = max(abs(self.low), abs(self.high), 1.0) ** 2
        terms = float(np.abs([self.r_a, self.f_a, self.g_a]).sum()) * reach + self.tau
        return UNIT * 16.0 * (len(self.r_a) + 4) * terms * (1.0 + terms / self.tau)

    def slope(self, x: float, pi_a: Array) -> Measured:
        """Gradient of V in (x, y), along the simplex."""
        in_x = pi_a @ (self.f_a + x * self.g_a)
        in_y = tangential(self.rewards(x) - self.tau * pi_a) / self.stretch
        return Measured(np.array([in_x, *in_y]), self.rounding)

    def best_slope(self, x: float) -> Measured:
        """Gradient in x of max V, which is -grad v."""
        return Measured(self.slope(x, self.optimum(x)).vector[:1], self.rounding)

    def penalty_slope(self, x: float, pi_a: Array) -> Measured:
        """Gradient of the penalty, value or Bellman, in (x, y)."""
        own, best = self.slope(x, pi_a), self.best_slope(x)
        vector = -own.vector
        vector[0] += best.vector[0]
        return Measured(vector, own.error + best.error)

    def largest(self, stretch: float) -> float:
        """Exact L_v in (x, y) for a stretch: the largest norm of second derivatives, at a vertex."""
        n = len(self.r_a)
        bend = self.tau / stretch**2
        hessian_xa = np.zeros((2, n, n + 1, n + 1))
        hessian_xa[:, :, 0, 0] = self.g_a
        hessian_xa[:, :, 1:, 1:] = bend / n - bend * np.eye(n)
        mixed = [tangential(self.f_a + x * self.g_a) / stretch for x in (self.low, self.high)]
        hessian_xa[:, :, 0, 1:] = hessian_xa[:, :, 1:, 0] = np.array(mixed)[:, None, :]
        return float(np.abs(np.linalg.eigvalsh(hessian_xa)).max())

    @cached_property
    def smoothness(self) -> float:
        """L_v: exact smoothness of V and Q in (x, y)."""
        return self.largest(self.stretch)

    @property
    def policy_smoothness(self) -> float:
        """L: the same in x and the policy."""
        return self.smoothness if self.stretch == 1.0 else self.largest(1.0)

    @property
    def q_slope(self) -> float:
        """C_J: largest |grad q|, at an end of the interval."""
        ends = (self.f_a + x * self.g_a for x in (self.low, self.high))
        return max(float(np.linalg.norm(end)) for end in ends)

    def __str__(self) -> str:
        """In numbers."""
        rows = ", ".join(str(np.round(row, 3).tolist()) for row in (self.r_a, self.f_a, self.g_a))
        return (
            f"one state, r, f, g = {rows}, tau = {self.tau:.3g}, X = [{self.low:.3g}, {self.high:.3g}]"
        )


@dataclass(frozen=True, eq=False)
class OneStatePair:
    """Two points of a problem of one state."""

    problem: OneState
    x: tuple[float, float]
    pi: tuple[Array, Array]

    @property
    def apart(self) -> float:
        """|z - z'| in (x, y)."""
        moved = self.problem.stretch * np.linalg.norm(self.pi[0] - self.pi[1])
        return float(np.hypot(self.x[0] - self.x[1], moved))

    @property
    def x_apart(self) -> float:
        """|x - x'|."""
        return abs(self.x[0] - self.x[1])

    @property
    def smoothness(self) -> float:
        """L_v in (x, y), to which the change of grad V from point to point is held: Assumption 4.

        Raises
        ------
        PremiseError
            If it changes by more.
        """
        (x, x_), (pi, pi_) = self.x, self.pi
        change = self.problem.slope(x, pi) - self.problem.slope(x_, pi_)
        return smooth_with(self.problem.smoothness, change, self.apart, str(self.problem))


def one_state(z: Array) -> OneStatePair:
    """Decode eleven numbers into a pair of points, with two actions.

    What both rewards have in common, and not through x^2, changes no gradient and enlarges C_J.
    """
    up = np.array([1.0, -1.0])
    low, high = np.tanh(z[4] + np.array([-1.0, 1.0]) * (0.001 + np.exp(min(z[5], 2.0))))
    tau = float(np.exp(np.clip(z[6], -4.0, 4.0)))
    r, f, *g = 3.0 * np.tanh(z[:4])
    problem = OneState(r * up, f * up, np.array(g), tau, float(low), float(high))
    # The points reach the ends of X and of the simplex; the larger the last number, the nearer.
    near = float(np.exp(-np.clip(z[10], 0.0, 6.0)))
    share = 0.5 + 0.5 * np.tanh(z[7])
    x = float(low + share * (high - low))
    away = float(high if share < 0.5 else low)
    first, other = (0.5 + 0.5 * np.clip(end, -1.0, 1.0) * up for end in z[8:10])
    return OneStatePair(problem, (x, x + near * (away - x)), (first, first + near * (other - first)))


def opposed(reach: float, tau: float = 1.0) -> OneStatePair:
    """V_xx is 1 at the policy that is always best and -1 at the one where the points are."""
    up = np.array([1.0, -1.0])
    problem = OneState(np.array([2.0 * tau, 0.0]), 0.0 * up, up, tau, -reach, reach)
    worst = np.array([0.0, 1.0])
    return OneStatePair(problem, (reach, 0.0), (worst, worst))


def steered(tau: float) -> OneStatePair:
    """Rewards (x, -x): the optimal policy moves as fast as C_J / tau allows."""
    up = np.array([1.0, -1.0])
    reach = 0.5 * tau
    problem = OneState(0.0 * up, up, 0.0 * up, tau, -reach, reach)
    half = np.array([0.5, 0.5])
    return OneStatePair(problem, (reach, -reach), (half, half))


def stretched(pair: OneStatePair, factor: float) -> OneStatePair:
    """The same points, with policies y / factor."""
    return replace(pair, problem=replace(pair.problem, stretch=factor))


# Families of several states.


@dataclass(frozen=True, eq=False)
class Point:
    """A point (x, pi) of a family, with gradients that know their errors.

    Attributes
    ----------
    name : str
    family : MdpFamily
    x : point of its domain
    pi_sa : (S, A)
    """

    name: str
    family: MdpFamily
    x: Array
    pi_sa: Array

    @cached_property
    def mdp(self) -> Mdp:
        """The MDP at x."""
        return self.family.at(self.x)

    @cached_property
    def optimum(self) -> Optimum:
        """Its solution."""
        return policy_iteration(self.mdp)

    @cached_property
    def own(self) -> PolicyEvaluation:
        """Values of the policy."""
        return evaluate(self.mdp, self.pi_sa)

    @cached_property
    def best(self) -> PolicyEvaluation:
        """Values of the optimal policy."""
        return evaluate(self.mdp, self.optimum.pi_sa)

    @cached_property
    def policy(self) -> Measured:
        """The optimal policy."""
        rows = float(np.max(self.optimum.policy_error)) * np.sqrt(self.mdp.n_states)
        return Measured(self.optimum.pi_sa, rows)

    @cached_property
    def q(self) -> Measured:
        """Q*."""
        best = at_optimum(self.optimum)
        entries = np.sqrt(self.optimum.q_sa.size)
        return Measured(self.optimum.q_sa, float(entries * (best.value + best.scale.q_error)))

    def slope(self, evaluation: PolicyEvaluation) -> tuple[Measured, Measured]:
        """Gradients of V(rho) in x and, along the simplices, in the policy."""
        mdp, scale = self.mdp, scale_of(evaluation)
        in_x = value_gradient_x(self.family, self.x, evaluation)
        visits, value = scale.visits_error(1.0), scale.value_error
        entry = x_gradient(self.family, scale, mass=scale.horizon, mass_error=visits, value_error=value)
        in_pi = policy_gradient(evaluation)
        slope_sa = evaluation.q_sa - mdp.tau * evaluation.pi_sa
        entries = policy_gradient_tolerance(evaluation, slope_sa, evaluation.pi_sa)
        return (
            Measured(in_x, float(np.sqrt(in_x.size) * entry)),
            Measured(tangential(in_pi), 2.0 * float(np.linalg.norm(entries))),
        )

    @cached_property
    def own_slope(self) -> tuple[Measured, Measured]:
        """At the policy."""
        return self.slope(self.own)

    @cached_property
    def best_slope(self) -> Measured:
        """Gradient of V(rho) in x at the optimal policy, which is that of max V(rho)."""
        at_best, _ = self.slope(self.best)
        return Measured(at_best.vector, at_best.error + self.drift)

    @cached_property
    def q_slopes(self) -> Measured:
        """Gradients in x of all Q*(s, a), shape (S A, size of x)."""
        weights = np.eye(self.pi_sa.size).reshape(-1, *self.pi_sa.shape)
        rows = q_gradient_x(self.family, self.x, self.best, weights).reshape(self.pi_sa.size, -1)
        return Measured(rows, float(np.sqrt(self.pi_sa.size)) * self.drift)

    @property
    def drift(self) -> float:
        """Error of a gradient in x at the optimal policy, of weights of mass one, with its drift."""
        best = at_optimum(self.optimum)
        scale = best.scale
        entry = x_gradient(
            self.family,
            scale,
            mass=scale.horizon,
            mass_error=best.visits + scale.horizon * best.row,
            value_error=best.value,
        )
        return float(np.sqrt(self.x.size) * entry)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two points of one family."""

    first: Point
    second: Point

    @property
    def x_apart(self) -> float:
        """|x - x'|."""
        return float(np.linalg.norm(self.first.x - self.second.x))

    @property
    def pi_apart(self) -> float:
        """|pi - pi'|."""
        return float(np.linalg.norm(self.first.pi_sa - self.second.pi_sa))

    @property
    def apart(self) -> float:
        """|z - z'|."""
        return float(np.hypot(self.x_apart, self.pi_apart))

    @property
    def name(self) -> str:
        """The family, and how far the points are apart."""
        return f"{self.first.name}: |dx| = {self.x_apart:.2g}, |dpi| = {self.pi_apart:.2g}"


def regularized(context: Context, claim: str) -> Iterator[tuple[str, Mdp]]:
    """Small MDPs near corners and some hard cases, with the quadratic regulariser and tau > 0."""
    for instance in corners(context, claim):
        mdp = instance.mdp
        quadratic = isinstance(mdp.regularizer, Quadratic)
        # At gamma next to 1 or tau next to 0 the moduli leave float64 little to compare.
        if quadratic and mdp.tau > 0.0 and mdp.gamma <= 0.99:
            yield instance.name, mdp


def pairs(context: Context, claim: str) -> Iterator[Pair]:
    """Pairs of points, near and far, with and without a move of x or of the policy."""
    generator = generator_of(context, f"{claim} pairs")
    for i, (name, mdp) in enumerate(regularized(context, claim)):
        if i % 3:
            family = linear_family(generator, mdp)
        else:
            room = Box(mdp.r_sa - 1.0, mdp.r_sa + 2.0)
            family = tabular_family(generator, mdp, domain=room)
        yield pair_of(generator, name, family)


def pair_of(generator: np.random.Generator, name: str, family: MdpFamily) -> Pair:
    """Draw two points of a family."""
    x, far = general_point(generator, family.domain), general_point(generator, family.domain)
    shape = family.at(x).r_sa.shape
    pi_sa, other = (sparse(generator, shape, 0.2) for _ in range(2))
    in_x, in_pi = (float(generator.choice([0.0, 1e-3, 1.0, 1.0])) for _ in range(2))
    return Pair(
        Point(name, family, x, pi_sa),
        Point(name, family, toward(x, far, in_x, family.domain), pi_sa + in_pi * (other - pi_sa)),
    )


def toward(x: Array, far: Array, share: float, domain: Domain) -> Array:
    """A point on the way, as the domain has it in floats."""
    return domain.project(x + share * (far - x))


# The general form of the small instances, and one that has no one-state form.


def steered_family(tau: float, n_states: int = 1) -> MdpFamily:
    """Rewards (x, -x) in every state, |x| <= tau / 2, gamma = 0."""
    reach, shape = np.array([0.5 * tau]), (n_states, 2)
    features = np.broadcast_to(np.array([1.0, -1.0]), (1, *shape))
    reward = LinearReward(features, np.zeros(shape), Box(-reach, reach))
    start_s = np.full(n_states, 1.0 / n_states)
    P_sat = np.broadcast_to(start_s, (*shape, n_states))
    return MdpFamily(reward, FixedKernel(P_sat), 0.0, start_s, tau, Quadratic())


def steered_states(tau: float, n_states: int) -> Pair:
    """Both ends of x: in every state the optimal policy moves as fast as q allows."""
    family = steered_family(tau, n_states)
    uniform = np.full((n_states, 2), 0.5)
    x, x_ = np.array([-0.5 * tau]), np.array([0.5 * tau])
    name = f"r = (x, -x) in {n_states} states, tau = {tau:g}"
    return Pair(Point(name, family, x, uniform), Point(name, family, x_, uniform))


def crossing(tau: float) -> Pair:
    """Two points of that family, in whose difference the blocks of the penalty's Hessian add up."""
    family = steered_family(tau)
    start, move = np.array([[0.5, 0.5]]), 0.125 * np.array([[-1.0, 1.0]])
    x, x_ = np.zeros(1), np.array([0.25 / tau])
    name = f"one state, r = (x, -x), tau = {tau:g}"
    return Pair(Point(name, family, x, start), Point(name, family, x_, start + move))


def affine_value(tau: float) -> Pair:
    """Two policies between which V is affine, since the bend of -tau h and that of the chain cancel.

    Two states, gamma = 1/2, no x: in the first, "stay" leads to either state and "leave" to the other;
    there both actions lead back, and the policy is (1/2, 1/2).  V = (8, 4) tau t, t the chance to stay.
    """
    P_sat = np.array([[[0.5, 0.5], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    r_sa = tau * np.array([[5.5, 0.5], [0.25, 0.25]])
    nowhere = Box(np.zeros(1), np.zeros(1))
    reward, rho_s = LinearReward(np.zeros((1, 2, 2)), r_sa, nowhere), np.array([0.5, 0.5])
    family = MdpFamily(reward, FixedKernel(P_sat), 0.5, rho_s, tau, Quadratic())
    stay, leave = (np.array([[p, 1.0 - p], [0.5, 0.5]]) for p in (1.0, 0.0))
    name = f"V affine in the policy, tau = {tau:g}"
    return Pair(Point(name, family, np.zeros(1), stay), Point(name, family, np.zeros(1), leave))

r"""Policies that depend on a parameter y, and derivatives in y, for the estimates of Lemma 20.

That lemma's premises: B_pi bounds sum_a |grad pi_y(a|s)| and L_y the smoothness of each pi_y(a|s); B_h,
B'_h, L_h bound h = |p|^2 / 2, its gradient in y and its smoothness there::

    segment   pi_y = p + y (p' - p), 0 <= y <= 1        B_pi = max_s |p' - p|_1,      L_y = 0
    direct    orthonormal coordinates of the simplices  B_pi = sqrt(A (A - 1)) <= A,  L_y = 0
    softmax   logits, at tau = 0                        B_pi = 1,                     L_y = 2

Many of the estimates are attained by `swap`: two states and two deterministic actions; "stay" pays B in
the first state and -B in the second, for ever, and "go" changes the state and earns what is paid there;
pi_y goes with probability y.  At y = 0 both states are stayed in for ever, and to first order y trades
one for the other.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.linalg import null_space
from scipy.special import softmax

from reference.constants import Bounds, Player
from reference.evaluation import PolicyEvaluation, evaluate
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from reference.validation import Array
from verify.claims.trials.instances import corners, generator_of, simplex, sparse
from verify.claims.trials.lipschitz import Measured
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT, Scale, scale_of


class Policies(Protocol):
    """A parametrisation of the policies of one MDP, y -> pi_y, with the premises' constants."""

    @property
    def name(self) -> str:
        """In a word."""
        ...

    def at(self, y: Array) -> Array:
        """pi_y, shape (S, A)."""
        ...

    def jacobian(self, y: Array) -> Array:
        """Derivatives of pi_y(a|s) in y, shape (S, A, D)."""
        ...

    @property
    def player(self) -> Player:
        """B_pi as ``move``, A L_y as ``bend``, B'_h and L_h as ``h_slope`` and ``h_curvature``."""
        ...


@dataclass(frozen=True, eq=False)
class Segment:
    """pi_y between two policies, for one number y in [0, 1]."""

    start_sa: Array
    end_sa: Array
    name: str = "a segment of policies"

    @property
    def delta_sa(self) -> Array:
        """The derivative."""
        return self.end_sa - self.start_sa

    def at(self, y: Array) -> Array:
        """The mixture."""
        return np.asarray(self.start_sa + float(y[0]) * self.delta_sa)

    def jacobian(self, y: Array) -> Array:  # noqa: ARG002 - the same everywhere
        """The difference of the ends."""
        return self.delta_sa[..., None]

    @property
    def player(self) -> Player:
        """Slopes of a quadratic are largest at an end."""
        delta_sa = self.delta_sa
        slopes = [np.abs((end * delta_sa).sum(axis=1)).max() for end in (self.start_sa, self.end_sa)]
        curvature = float((delta_sa**2).sum(axis=1).max())
        move = float(np.abs(delta_sa).sum(axis=1).max())
        return Player(delta_sa.shape[1], move, 0.0, float(max(slopes)), curvature, 1.0)


@dataclass(frozen=True, eq=False)
class Direct:
    """All policies, in orthonormal coordinates around the uniform one."""

    shape: tuple[int, int]
    name: str = "direct policies"

    @cached_property
    def basis_ad(self) -> Array:
        """Orthonormal directions of one simplex."""
        return np.asarray(null_space(np.ones((1, self.shape[1]))))

    def coordinates(self, pi_sa: Array) -> Array:
        """y of a policy."""
        return np.asarray((pi_sa @ self.basis_ad).ravel())

    def at(self, y: Array) -> Array:
        """The policy, whose rounding of zeros is taken away."""
        n_states, n_actions = self.shape
        pi_sa = 1.0 / n_actions + y.reshape(n_states, n_actions - 1) @ self.basis_ad.T
        pi_sa = np.where(np.abs(pi_sa) < 16.0 * UNIT, 0.0, pi_sa)
        return np.asarray(pi_sa / pi_sa.sum(axis=1, keepdims=True))

    def jacobian(self, y: Array) -> Array:  # noqa: ARG002 - the same everywhere
        """One block for each state."""
        n_states, n_actions = self.shape
        jacobian = np.einsum("st,ad->satd", np.eye(n_states), self.basis_ad)
        return np.asarray(jacobian.reshape(n_states, n_actions, -1))

    @property
    def player(self) -> Player:
        """|grad pi_y(a|s)| is sqrt(1 - 1/A)."""
        n = self.shape[1]
        return Player(n, np.sqrt(n * (n - 1.0)), 0.0, np.sqrt(1.0 - 1.0 / n), 1.0, 1.0)


@dataclass(frozen=True, eq=False)
class Softmax:
    """Softmax of logits, as the text has it: B_pi = 1 and L_y = 2."""

    shape: tuple[int, int]
    name: str = "softmax policies"

    def at(self, y: Array) -> Array:
        """The policy."""
        return np.asarray(softmax(y.reshape(self.shape), axis=1))

    def jacobian(self, y: Array) -> Array:
        """pi(a) (1[a = b] - pi(b)), one block for each state."""
        n_states, n_actions = self.shape
        pi_sa = self.at(y)
        block = pi_sa[:, :, None] * (np.eye(n_actions) - pi_sa[:, None, :])
        jacobian = np.einsum("st,sab->satb", np.eye(n_states), block)
        return np.asarray(jacobian.reshape(n_states, n_actions, -1))

    @property
    def player(self) -> Player:
        """Without a regulariser."""
        n = self.shape[1]
        return Player(n, 1.0, 2.0 * n, 0.0, 0.0, 1.0)


@dataclass(frozen=True, eq=False)
class Derivatives:
    """Values of pi_y and their gradients in y.

    Attributes
    ----------
    mdp : Mdp
    policies : Policies
    y : (D,)
    """

    mdp: Mdp
    policies: Policies
    y: Array

    @cached_property
    def evaluation(self) -> PolicyEvaluation:
        """Values of pi_y."""
        return evaluate(self.mdp, self.policies.at(self.y))

    @cached_property
    def scale(self) -> Scale:
        """Sizes that rounding is measured by."""
        return scale_of(self.evaluation)

    @cached_property
    def jacobian(self) -> Array:
        """Derivatives of pi_y, shape (S, A, D)."""
        return self.policies.jacobian(self.y)

    @cached_property
    def push(self) -> Measured:
        """sum_a Q grad pi - tau grad h, shape (S, D); the error is that of each row."""
        mdp, jacobian = self.mdp, self.jacobian
        slope_sa = self.evaluation.q_sa - mdp.tau * self.evaluation.pi_sa
        rows = np.einsum("sa,sad->sd", slope_sa, jacobian)
        length = float(np.linalg.norm(jacobian, axis=2).sum(axis=1).max())
        size = float(np.abs(slope_sa).max())
        return Measured(rows, length * (self.scale.q_error + UNIT * (mdp.n_actions + 4) * size))

    @cached_property
    def values(self) -> Measured:
        """grad_y V(s), shape (S, D); the error is that of each row."""
        push = self.push
        rows = self.evaluation.chain.solve(push.vector.T).T
        size = float(np.linalg.norm(rows, axis=1).max(initial=0.0))
        return Measured(rows, self.scale.horizon * (push.error + self.scale.solve * size))

    @cached_property
    def action_values(self) -> Measured:
        """grad_y Q(s, a), shape (S, A, D); the error is that of each row."""
        mdp, values = self.mdp, self.values
        rows = mdp.gamma * np.einsum("sat,td->sad", mdp.P_sat, values.vector)
        size = float(np.linalg.norm(values.vector, axis=1).max(initial=0.0))
        return Measured(rows, mdp.gamma * (values.error + UNIT * (mdp.n_states + 4) * size))

    @cached_property
    def occupancies(self) -> Measured:
        """d_s(t), shape (S, S); the error is that of each row in the l1 norm."""
        rows = self.evaluation.occupancy(np.eye(self.mdp.n_states))
        return Measured(rows, (1.0 - self.mdp.gamma) * self.scale.visits_error(1.0))

    @property
    def name(self) -> str:
        """The MDP and its policies."""
        mdp = self.mdp
        return (
            f"{self.policies.name}, S = {mdp.n_states}, A = {mdp.n_actions}, gamma = {mdp.gamma:g}, "
            f"tau = {mdp.tau:g}"
        )


def longest_row(measured: Measured) -> float:
    """Largest Euclidean norm over the last axis."""
    return float(np.linalg.norm(measured.vector, axis=-1).max(initial=0.0))


@dataclass(frozen=True, eq=False)
class ParameterPair:
    """Two parameters of one MDP."""

    first: Derivatives
    second: Derivatives

    @property
    def apart(self) -> float:
        """|y - y'|."""
        return float(np.linalg.norm(self.first.y - self.second.y))

    @property
    def name(self) -> str:
        """The MDP, its policies, and the distance."""
        return f"{self.first.name}: |dy| = {self.apart:.2g}"


def half_range(mdp: Mdp) -> float:
    """beta: half the range of one-step rewards r - tau h, h = |p|^2 / 2."""
    bonus = 0.5 * mdp.tau * (1.0 - 1.0 / mdp.n_actions)
    return 0.5 * (float(mdp.r_sa.max() - mdp.r_sa.min()) + bonus)


def reward_bound(mdp: Mdp) -> float:
    """B_r + tau B_h."""
    return float(np.abs(mdp.r_sa).max()) + 0.5 * mdp.tau


def without_x(mdp: Mdp, player: Player) -> Bounds:
    """The bounds of an MDP that does not depend on x."""
    start = float(mdp.rho_s.max()), float(np.linalg.norm(mdp.rho_s))
    nothing = (0.0, 0.0, 0.0, 0.0)
    return Bounds(mdp.n_states, mdp.gamma, mdp.tau, *start, half_range(mdp), *nothing, (player,))


def suitable(context: Context, claim: str) -> Iterator[tuple[str, Mdp, Array]]:
    """Small MDPs near corners and hard cases, each with a policy: quadratic, or unregularised."""
    for instance in corners(context, claim):
        mdp = instance.mdp
        if mdp.gamma <= 0.99 and (isinstance(mdp.regularizer, Quadratic) or mdp.tau == 0.0):
            yield instance.name, mdp, instance.pi_sa


def parameter_pairs(context: Context, claim: str) -> Iterator[ParameterPair]:
    """Pairs of parameters, near and far, with every parametrisation that the regulariser allows."""
    generator = generator_of(context, f"{claim} parameters")
    for i, (_, mdp, pi_sa) in enumerate(suitable(context, claim)):
        near = (1e-3, 1.0)[i // 3 % 2]
        other = sparse(generator, pi_sa.shape, 0.2)
        policies: Policies
        if i % 3 == 0 or mdp.n_actions == 1:
            policies = Segment(pi_sa, other)
            y = np.array([float(generator.choice([0.0, 0.5 * generator.random()]))])
            y_ = y + near * (1.0 - y)
        elif i % 3 == 1 or mdp.tau > 0.0:
            policies = Direct((mdp.n_states, mdp.n_actions))
            y, y_ = (policies.coordinates(p) for p in (pi_sa, pi_sa + near * (other - pi_sa)))
        else:
            policies = Softmax((mdp.n_states, mdp.n_actions))
            y = 2.0 * generator.standard_normal(pi_sa.size)
            y_ = y + 2.0 * near * generator.standard_normal(pi_sa.size)
        yield ParameterPair(Derivatives(mdp, policies, y), Derivatives(mdp, policies, y_))


def climbed_to(z: Array) -> ParameterPair:
    """Decode six numbers into two states and actions, rewards 1 and -1, and a small step."""
    P_sat = simplex(np.stack([z[:4], -z[:4]], axis=-1)).reshape(2, 2, 2)
    r_sa = np.array([[1.0, -1.0], [-1.0, 1.0]])
    start_sa = simplex(np.stack([z[4:6], -z[4:6]], axis=-1))
    mdp = Mdp.unchecked(P_sat, r_sa, 0.5, np.array([0.5, 0.5]), 0.0, Quadratic())
    policies = Segment(start_sa, GO, "climbed to")
    return ParameterPair(*(Derivatives(mdp, policies, np.array([y])) for y in (0.0, 1e-3)))


def softened(logit: float) -> ParameterPair:
    """One state, rewards 1 and -1, gamma = 0: only the curvature of the softmax bends V."""
    mdp = Mdp(np.ones((1, 2, 1)), np.array([[1.0, -1.0]]), 0.0, np.ones(1), 0.0, Quadratic())
    policies = Softmax((1, 2))
    ends = (np.zeros(2), logit * np.array([1.0, -1.0]))
    return ParameterPair(*(Derivatives(mdp, policies, y) for y in ends))


STAY, GO = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 1.0], [0.0, 1.0]])


def swap(gamma: float, reward: float = 1.0) -> tuple[Mdp, Segment]:
    """Two states, one good and one bad for ever; pi_y changes between them with probability y."""
    P_sat = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    r_sa = reward * np.array([[1.0, -1.0], [-1.0, 1.0]])
    mdp = Mdp(P_sat, r_sa, gamma, np.array([0.5, 0.5]), 0.0, Quadratic())
    return mdp, Segment(STAY, GO, "stay or go")


def swapped(gamma: float, y: float, y_: float, reward: float = 1.0) -> ParameterPair:
    """Two parameters of it."""
    mdp, policies = swap(gamma, reward)
    first, second = (Derivatives(mdp, policies, np.array([one])) for one in (y, y_))
    return ParameterPair(first, second)

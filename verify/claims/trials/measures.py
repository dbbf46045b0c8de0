r"""What the claims on penalties measure, each number with a bound on its own error.

::

    value gap     V*(rho) - V^pi(rho)                                               (3.2)
    Bellman gap   E_rho [ max_p (<p, q> - tau h(p)) - <pi, q> + tau h(pi) ]         (3.5)
    mu            (1 - gamma) m / (gamma + (1 - gamma) m),   m = min rho            Lemma 2 as proved

The Bellman gap is that of the given vectors q: the claims on it hold for any q, so an error of a
computed Q* does not count against them.
"""

from dataclasses import dataclass

import numpy as np

from reference.evaluation import PolicyEvaluation
from reference.optimality import Optimum, optimal_backup
from reference.problems.mdp import Mdp
from reference.problems.zero_sum_game import ZeroSumGame
from reference.validation import Array
from verify.crosscheck.tolerances import UNIT


@dataclass(frozen=True)
class Measured:
    """A number and a bound on its error."""

    value: float
    error: float

    def __add__(self, other: "Measured") -> "Measured":
        """Sum."""
        value = self.value + other.value
        return Measured(value, self.error + other.error + UNIT * abs(value))

    def __sub__(self, other: "Measured") -> "Measured":
        """Difference."""
        return self + (-1.0) * other

    def __rmul__(self, factor: float) -> "Measured":
        """Multiple by an exact number."""
        value = factor * self.value
        return Measured(value, abs(factor) * self.error + UNIT * abs(value))


def start_value(found: PolicyEvaluation | Optimum) -> Measured:
    """V(rho) of a policy, or V*(rho): the certified error, and the rounding of the mean."""
    mean = UNIT * (found.mdp.n_states + 1) * float(np.abs(found.v_s).max())
    return Measured(float(found.value), float(np.max(found.error)) + mean)


def relative(q_sa: Array) -> Array:
    """Action values from the best one down: the same penalty and policies, and less rounding."""
    return np.asarray(q_sa - q_sa.max(axis=-1, keepdims=True))


def bellman_gap(mdp: Mdp, q_sa: Array, pi_sa: Array) -> Measured:
    """E_rho of what a policy loses in one step, at action values from :func:`relative`."""
    h_s = mdp.regularizer.value(pi_sa)
    lost_s = optimal_backup(mdp, q_sa) - (pi_sa * q_sa).sum(axis=-1) + mdp.tau * h_s
    size_s = np.abs(q_sa).max(axis=-1) + mdp.tau * mdp.regularizer.bound(mdp.n_actions)
    units = mdp.n_states + 2 * (mdp.n_actions + 4) ** 2
    return Measured(float(mdp.rho_s @ lost_s), UNIT * units * float(mdp.rho_s @ size_s))


def dominance_constant(problem: Mdp | ZeroSumGame) -> float:
    """mu: the best constant of gradient dominance on product classes."""
    rare = (1.0 - problem.gamma) * float(problem.rho_s.min())
    return rare / (problem.gamma + rare)


def lipschitz(*slopes_sa: Array) -> float:
    """Lipschitz constant of <c, y> on a product of whole simplices: |c| along them."""
    along = (c_sa - c_sa.mean(axis=-1, keepdims=True) for c_sa in slopes_sa)
    return float(np.sqrt(sum(float((c_sa * c_sa).sum()) for c_sa in along)))


def diameter(*shapes: tuple[int, int]) -> float:
    """Diameter of a product of whole simplices (S, A): sqrt(2) for each with two vertices or more."""
    return float(np.sqrt(sum(2.0 * n_states for n_states, n_actions in shapes if n_actions > 1)))

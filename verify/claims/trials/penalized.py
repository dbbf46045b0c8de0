r"""Solutions of <c, y> + lambda p(y) for the Bellman penalty, exact up to a known change of c.

On a product of simplices the problem separates; with y uniquely determined in each state,

    y_s = argmax_p <p, q_s - c_s / (lambda rho(s))> - tau h_s(p).

The computed y solves the problem exactly for another c, which differs by the rounding of the argument
and of the maximiser: that distance is returned, and a claim on solutions has to hold with it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from reference.optimality import Optimum, policy_iteration
from reference.problems.mdp import Mdp
from reference.validation import Array
from verify.claims.trials.instances import corners, generator_of
from verify.claims.trials.measures import relative
from verify.contract import Context
from verify.crosscheck.tolerances import UNIT


@dataclass(frozen=True, eq=False)
class Solution:
    """A minimiser.

    Attributes
    ----------
    pi_sa : (S, A)
    change : float
        Bound on |c - c'|, where c' is what it solves exactly.
    """

    pi_sa: Array
    change: float


def linear_solution(mdp: Mdp, q_sa: Array, c_sa: Array, strength: float) -> Solution:
    """Minimise <c, y> + lambda p(y) at action values q and lambda = ``strength`` > 0; tau > 0.

    Both sides of the maximisation round relative to the best action; see :func:`relative`.
    """
    weight_s1 = strength * mdp.rho_s[:, None]
    tilt_sa = relative(c_sa.max(axis=-1, keepdims=True) - c_sa) / weight_s1
    argument_sa = relative(q_sa + tilt_sa)
    size_s1 = np.abs(q_sa).max(axis=-1, keepdims=True) + np.abs(tilt_sa).max(axis=-1, keepdims=True)
    each_s1 = weight_s1 * UNIT * (mdp.n_actions + 12) * (size_s1 + mdp.tau)
    change = float(np.sqrt(mdp.n_actions) * np.linalg.norm(each_s1))
    return Solution(mdp.regularizer.argmax(argument_sa, mdp.tau), change)


def random_slopes(generator: np.random.Generator, mdp: Mdp, strength: float) -> Array:
    """Slopes that move a solution by some of the simplex, half of them in the rarest state only."""
    size = strength * mdp.tau * 10.0 ** generator.uniform(-2.0, 0.5)
    c_sa = size * mdp.rho_s[:, None] * generator.standard_normal((mdp.n_states, mdp.n_actions))
    if generator.random() < 0.5:
        c_sa[np.arange(mdp.n_states) != mdp.rho_s.argmin()] = 0.0
    return np.asarray(c_sa)


@dataclass(frozen=True, eq=False)
class Case:
    """A regularised MDP with its optimum, a policy, and the slopes of an upper objective.

    Attributes
    ----------
    name : str
    optimum : Optimum
    q_sa : (S, A)
        Q* from the best action down.
    pi_sa : (S, A)
    c_sa : (S, A)
        f(y) = <c, y>.
    strength : float
        The penalty constant whose solution is tried.
    """

    name: str
    optimum: Optimum
    q_sa: Array
    pi_sa: Array
    c_sa: Array
    strength: float

    @property
    def mdp(self) -> Mdp:
        """The MDP."""
        return self.optimum.mdp

    @property
    def star_sa(self) -> Array:
        """argmin g."""
        return self.mdp.regularizer.argmax(self.q_sa, self.mdp.tau)

    @property
    def star_error(self) -> float:
        """Rounding of it, as a policy of the given q."""
        mdp = self.mdp
        largest = float(np.abs(self.q_sa).max()) / mdp.tau + 1.0
        return float(np.sqrt(mdp.n_states * mdp.n_actions)) * (mdp.n_actions + 12) * UNIT * largest


def cases(context: Context, claim: str) -> Iterator[Case]:
    """Every regularised MDP whose h is 1-strongly convex, with rho > 0; ``claim`` seeds the draws."""
    generator = generator_of(context, f"{claim} slopes")
    for instance in corners(context, claim):
        mdp = instance.mdp
        if mdp.tau == 0.0 or mdp.regularizer.strong_convexity < 1.0 or mdp.rho_s.min() == 0.0:
            continue
        strength = float(10.0 ** generator.uniform(-1.0, 2.0))
        optimum = policy_iteration(mdp)
        q_sa, c_sa = relative(optimum.q_sa), random_slopes(generator, mdp, strength)
        yield Case(instance.name, optimum, q_sa, instance.pi_sa, c_sa, strength)

"""Oracles whose errors are known: a lasting bias, and the errors that make the bound tight."""

from dataclasses import dataclass

import numpy as np

from reference.optimality import policy_iteration
from reference.problems.mdp import Mdp
from reference.validation import Array


@dataclass(frozen=True)
class Biased:
    """The optimal policy, mixed with the first action: an oracle that never gets better.

    Attributes
    ----------
    share : float
        Weight of the first action.
    """

    share: float

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The policy."""
        return pi_sa

    def improve(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """Solve, and tilt."""
        best_sa = policy_iteration(mdp).unique_policy()
        return np.asarray((1.0 - self.share) * best_sa + self.share * np.eye(mdp.n_actions)[0])

    def policy(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The state itself."""
        return state


@dataclass(frozen=True, eq=False)
class Flipping:
    """For flips: a policy whose error in the gradient in x is a share of it.

    Attributes
    ----------
    share : (B,)
    kappa : float
        Of the problem.
    """

    share: Array
    kappa: float

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The policy."""
        return pi_sa

    def improve(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """Weigh the second or the third action by share |x| / kappa."""
        x = (mdp.r_sa[..., 0, 1] - mdp.r_sa[..., 0, 2]) / (2.0 * self.kappa)
        weight = self.share * x / self.kappa
        entries = [1.0 - np.abs(weight), np.maximum(weight, 0.0), np.maximum(-weight, 0.0)]
        return np.stack(entries, axis=-1)[..., None, :]

    def policy(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The state itself."""
        return state

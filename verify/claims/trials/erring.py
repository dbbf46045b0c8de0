"""Oracles for companion policies whose errors are known."""

from dataclasses import dataclass

import numpy as np

from reference.optimality import policy_iteration
from reference.problems.mdp import Mdp
from reference.validation import Array


@dataclass(frozen=True, eq=False)
class Tilted:
    """The optimal policy, mixed with a vertex: an oracle with a lasting bias.

    Attributes
    ----------
    share : (B,) or (1,)
        Weight of the first action.
    """

    share: Array

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The policy."""
        return pi_sa

    def improve(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """Solve, and tilt."""
        best_sa = policy_iteration(mdp).unique_policy()
        share = self.share[:, None, None]
        return np.asarray((1.0 - share) * best_sa + share * np.eye(mdp.n_actions)[0])

    def policy(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The state itself."""
        return state


# Contextual problems.


@dataclass(frozen=True, eq=False)
class Flipping:
    """In `flip`: a policy that makes the error in x equal to share times x.

    The state is the policy, and a fourth entry that counts the iterations.

    Attributes
    ----------
    share : (K, B)
        The last one is kept.
    scale : float
        kappa of the problem.
    """

    share: Array
    scale: float

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The policy, and zero."""
        return np.concatenate([pi_sa, np.zeros_like(pi_sa[..., :1])], axis=-1)

    def improve(self, mdp: Mdp, state: Array) -> Array:
        """Weigh the second or the third action by share |x| / kappa."""
        k = state[..., 0, 3]
        share = self.share[min(int(k[0]), len(self.share) - 1)]
        x = (mdp.r_sa[..., 0, 1] - mdp.r_sa[..., 0, 2]) / (2.0 * self.scale)
        weight = share * x / self.scale
        entries = [1.0 - np.abs(weight), np.maximum(weight, 0.0), np.maximum(-weight, 0.0), k + 1.0]
        return np.stack(entries, axis=-1)[..., None, :]

    def policy(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The policy of the state."""
        return state[..., :3]


@dataclass(frozen=True, eq=False)
class Leaning:
    """The optimal policy, mixed with a given one.

    Attributes
    ----------
    share : (B,)
        Weight of the given one.
    target_sa : (B, S, A)
    """

    share: Array
    target_sa: Array

    def start(self, mdp: Mdp, pi_sa: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The policy."""
        return pi_sa

    def improve(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """Solve, and lean."""
        best_sa = policy_iteration(mdp).unique_policy()
        share = self.share[:, None, None]
        return np.asarray((1.0 - share) * best_sa + share * self.target_sa)

    def policy(self, mdp: Mdp, state: Array) -> Array:  # noqa: ARG002 - the contract's signature
        """The state itself."""
        return state

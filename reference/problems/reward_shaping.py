r"""Reward shaping (2.6): the policy is trained on a shaped reward and judged by the original one.

::

    minimise over x and y   -V_M^{pi_y}(rho)     subject to   y maximises V_{M(x)}^{pi_y}(rho)

M has the original reward, M(x) the shaped one; both share transitions, discount, start and
regulariser.
"""

from dataclasses import dataclass

from reference.domains import Domain
from reference.problems.mdp import Mdp, ParametricMdp
from reference.validation import Array


@dataclass(frozen=True, eq=False)
class RewardShaping:
    """A shaping problem; as a parametric MDP it is the shaped one.

    Parameters
    ----------
    original : Mdp
        The task by which policies are judged.
    shaped : ParametricMdp
        The task on which they are trained.
    """

    original: Mdp
    shaped: ParametricMdp

    @property
    def domain(self) -> Domain:
        """The set X, the shaping parameters."""
        return self.shaped.domain

    def at(self, x: Array) -> Mdp:
        """Return the shaped MDP."""
        return self.shaped.at(x)

    def pullback(self, x: Array, w_ksa: Array, v_kt: Array) -> Array:
        """Pullback of the shaped MDP."""
        return self.shaped.pullback(x, w_ksa, v_kt)

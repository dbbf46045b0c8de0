r"""Reward shaping (2.6): the policy is trained on a shaped reward and judged by the original one.

::

    minimise over x and y   -V_M^{pi_y}(rho)     subject to   y maximises V_{M(x)}^{pi_y}(rho)

M has the original reward, M(x) the shaped one; both share transitions, discount, start and
regulariser.
"""

from dataclasses import dataclass

from reference.domains import Domain, some_point
from reference.errors import InputError
from reference.problems.mdp import Mdp, ParametricMdp
from reference.problems.structure import same
from reference.validation import Array, instance, provides


@dataclass(frozen=True, eq=False)
class RewardShaping:
    """A shaping problem; as a parametric MDP it is the shaped one.

    Parameters
    ----------
    original : Mdp
        The task by which policies are judged.
    shaped : ParametricMdp
        The task on which they are trained.

    Raises
    ------
    InputError
        If the two differ in anything but the reward, at one point of X.
    """

    original: Mdp
    shaped: ParametricMdp

    def __post_init__(self) -> None:
        instance("original", self.original, Mdp)
        provides("shaped", self.shaped, ParametricMdp)
        shaped = self.shaped.at(some_point(self.domain))
        for name in ("P_sat", "gamma", "rho_s", "tau", "regularizer"):
            if not same(getattr(self.original, name), getattr(shaped, name)):
                raise InputError(
                    f"the original and the shaped task differ in {name}; shaping changes the reward "
                    f"only: build both from one {name}"
                )
        if self.original.r_sa.shape != shaped.r_sa.shape:
            raise InputError(
                f"the original reward has shape {self.original.r_sa.shape} and the shaped one "
                f"{shaped.r_sa.shape}: give both the same states, actions and batch"
            )

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

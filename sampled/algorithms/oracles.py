r"""Oracles: approximate solutions of each player's MDP from samples, better with every outer iteration.

T steps of projected policy gradient per outer iteration k, for the player i of one or two, against the
other's policy at hand::

    z_i <- Proj_Y( z_i + eta_k grad_{z_i} V_i(x_k, pi_{z_i}, pi_{y_-i}) )          (C.33), Section 5.3

Each step has trajectories of its own.  The paper does not say where the T steps begin.  ``carried``
reads: where those of the last iteration ended, so that one step per iteration is enough to follow a
solution that moves slowly; otherwise they begin at the policy at hand, and one step goes nowhere near.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from sampled.algorithms.bilevel import Bilevel, gradients, leaves, total
from sampled.algorithms.contract import Schedule, scheduled
from sampled.expectations import Expectation, Term
from sampled.processes import lower_process
from sampled.validation import instance, provides, whole

Policies = tuple[Tensor, ...]


@runtime_checkable
class Oracle(Protocol):
    """Improves policies in problems that change a little between the calls."""

    def start(self, bilevel: Bilevel[Any], y: Policies) -> Policies:
        """First state, at the players' parameters."""
        ...

    def improve(
        self,
        bilevel: Bilevel[Any],
        k: int,
        x: Tensor,
        y: Policies,
        state: Policies,
        mean: Expectation,
    ) -> Policies:
        """State after the steps of outer iteration k, at the parameters y and this very x.

        The bilevel problem is that at x (:meth:`Bilevel.at`); the state is no function of x.
        """
        ...

    def policies(self, bilevel: Bilevel[Any], state: Policies) -> Policies:
        """The companions of a state."""
        ...


@dataclass(frozen=True)
class PolicyGradient:
    """T steps of projected policy gradient (C.33); the state is the parameters.

    Attributes
    ----------
    size : Schedule
        The step eta, by the outer iteration.
    steps : int >= 1
        T.
    carried : bool
        Whether the steps begin where those of the last iteration ended, or else at the policy.

    Raises
    ------
    InputError
        If a parameter is of another kind or out of range.
    """

    size: Schedule
    steps: int
    carried: bool = True

    def __post_init__(self) -> None:
        provides("size", self.size, Schedule)
        whole("steps", self.steps, low=1)
        instance("carried", self.carried, bool)

    def start(self, bilevel: Bilevel[Any], y: Policies) -> Policies:  # noqa: ARG002 - the contract's signature
        """The players' parameters."""
        return y

    def improve(
        self,
        bilevel: Bilevel[Any],
        k: int,
        x: Tensor,
        y: Policies,
        state: Policies,
        mean: Expectation,
    ) -> Policies:
        """T updates."""
        eta = scheduled("size", self.size, k)
        held = bilevel.policies(y)
        z = state if self.carried else y
        for _ in range(self.steps):
            z = leaves(z)
            own = responses(bilevel.problem, x, held, bilevel.policies(z))
            ascent = gradients(total(own, mean), z)
            z = bilevel.projected_y([part.detach() + eta * g for part, g in zip(z, ascent, strict=True)])
        return z

    def policies(self, bilevel: Bilevel[Any], state: Policies) -> Policies:
        """pi_z."""
        return bilevel.policies(state)


def responses(problem: Any, x: Tensor, policies: Policies, companions: Policies) -> tuple[Term, ...]:
    """Each player's value against the other's policy: V_1, and -V for player 2 of a zero-sum game."""
    if len(policies) == 1:
        return ((1.0, lower_process(problem, x, companions)),)
    (pi_1, pi_2), (best_1, best_2) = policies, companions
    return (
        (1.0, lower_process(problem, x, (best_1, pi_2))),
        (-1.0, lower_process(problem, x, (pi_1, best_2))),
    )

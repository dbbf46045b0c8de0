"""What can be audited: each quantity with its estimate from samples and its exact gradients."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from reference.evaluated import Evaluated
from reference.optimality import policy_iteration
from reference.penalties.nikaido_isoda import PENALTY as NIKAIDO_ISODA
from reference.policies import SoftmaxPolicy
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import ParametricMdp
from reference.problems.reward_shaping import RewardShaping
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import ParametricGame
from reference.validation import Array
from sampled.expectations import Expectation
from sampled.objectives.incentive_design import designer_loss
from sampled.objectives.reward_shaping import original_loss
from sampled.objectives.stackelberg import leader_loss
from sampled.penalties.bellman import bellman_penalty
from sampled.penalties.nikaido_isoda import nikaido_isoda
from sampled.penalties.value import value_penalty
from sampled.processes import lower_process
from verify.audit import decomposition as exact
from verify.audit.decomposition import Blocks, Cut, Policies

__all__ = ["QUANTITIES", "Quantity"]

Estimate = Callable[[Any, Tensor, Sequence[Tensor], Sequence[Tensor], Expectation], Tensor]


@dataclass(frozen=True)
class Quantity:
    """A quantity of x, of policies and, for penalties, of companions.

    Attributes
    ----------
    name : str
    title : str
    kind : type
        Of the problems that have it.
    players : int
        Number of policies.
    estimate : callable
        (problem, x, policies, companions, expectation) -> (P,), of :mod:`sampled`.
    evaluate : callable
        (problem, x, policies, companions, cut) -> Evaluated, of :mod:`reference`.
    companions : callable, optional
        (problem, x, policies) -> exact companions.
    moves_x : bool
        Whether it depends on x.
    """

    name: str
    title: str
    kind: Any
    players: int
    estimate: Estimate
    evaluate: Callable[[Any, Array, Policies, Policies, Cut], Evaluated]
    companions: Callable[[Any, Array, Policies], Policies] | None = None
    moves_x: bool = True

    @property
    def blocks(self) -> tuple[str, ...]:
        """Names of the blocks of its gradient, x first."""
        policies = ("y",) if self.players == 1 else ("y_1", "y_2")
        return (("x",) if self.moves_x else ()) + policies

    def gradient(
        self, problem: Any, x: Array, logits: Policies, companions: Policies, cut: Cut
    ) -> Blocks:
        """Exact gradient of what is kept, per block, in x and in the logits."""
        maps = [SoftmaxPolicy((y.shape[0], y.shape[1])) for y in logits]
        policies = tuple(soft(y) for soft, y in zip(maps, logits, strict=True))
        found = self.evaluate(problem, x, policies, companions, cut)
        pulled = [
            soft.pullback(y, g) for soft, y, g in zip(maps, logits, found.grad_policies, strict=True)
        ]
        parts = ([found.grad_x] if self.moves_x else []) + pulled
        return dict(zip(self.blocks, parts, strict=True))


def _value(lower: Any, x: Tensor, policies: Sequence[Tensor], _: Any, mean: Expectation) -> Tensor:
    return mean.value(lower_process(lower, x, policies))


def _objective(loss: Callable[..., Tensor]) -> Estimate:
    def estimate(
        problem: Any, x: Tensor, policies: Sequence[Tensor], _: Any, mean: Expectation
    ) -> Tensor:
        return loss(problem, x, policies, mean)

    return estimate


def _optimal(lower: ParametricMdp, x: Array, _: Policies) -> Policies:
    return (policy_iteration(lower.at(x)).unique_policy(),)


QUANTITIES: Mapping[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        Quantity("value", "V(rho) of a policy (2.1)", ParametricMdp, 1, _value, exact.value),
        Quantity(
            "value_penalty",
            "value penalty (3.2)",
            ParametricMdp,
            1,
            value_penalty,
            exact.value_penalty,
            _optimal,
        ),
        Quantity(
            "bellman_penalty",
            "Bellman penalty (3.5)",
            ParametricMdp,
            1,
            bellman_penalty,
            exact.bellman_penalty,
            _optimal,
        ),
        Quantity(
            "nikaido_isoda",
            "Nikaido-Isoda function (5.6)",
            ParametricGame,
            2,
            nikaido_isoda,
            exact.nikaido_isoda,
            NIKAIDO_ISODA.companions,
        ),
        Quantity(
            "leader_loss",
            "leader's loss (2.4)",
            StackelbergGame,
            1,
            _objective(leader_loss),
            exact.leader_loss,
        ),
        Quantity(
            "original_loss",
            "loss of reward shaping (2.6)",
            RewardShaping,
            1,
            _objective(original_loss),
            exact.original_loss,
            moves_x=False,
        ),
        Quantity(
            "designer_loss",
            "designer's loss (5.5)",
            IncentiveDesign,
            2,
            _objective(designer_loss),
            exact.designer_loss,
            moves_x=False,
        ),
    )
}
"""By name."""

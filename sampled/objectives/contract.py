"""What an upper-level objective of samples provides.

It is one number per problem whose derivatives, by autograd, estimate the gradients in x and in the
lower level's policies of its twin in ``reference.objectives``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from sampled.expectations import Expectation, Term

ProblemT_contra = TypeVar("ProblemT_contra", contravariant=True)


class Estimate(Protocol[ProblemT_contra]):
    """Signature of an objective's estimate."""

    def __call__(
        self, problem: ProblemT_contra, x: Tensor, policies: Sequence[Tensor], mean: Expectation
    ) -> Tensor:
        """Objective of each problem, (P,), differentiable in x and in the policies."""
        ...


class Terms(Protocol[ProblemT_contra]):
    """Signature of an objective's terms."""

    def __call__(
        self, problem: ProblemT_contra, x: Tensor, policies: Sequence[Tensor]
    ) -> tuple[Term, ...]:
        """Processes whose values, each times its coefficient, add up to the objective."""
        ...


@dataclass(frozen=True)
class Objective(Generic[ProblemT_contra]):
    """An upper-level objective: name, source and estimate.

    Attributes
    ----------
    name : str
        That of the exact twin.
    source : str
        Number of the equation in the paper.
    estimate : Estimate
    terms : Terms, optional
        The same as data, so that its trajectories can be drawn together with others; none if the
        objective is no sum of values.
    """

    name: str
    source: str
    estimate: Estimate[ProblemT_contra]
    terms: Terms[ProblemT_contra] | None = None

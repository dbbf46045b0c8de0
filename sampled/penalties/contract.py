"""What a penalty of samples provides.

It is one number per problem whose derivatives, by autograd, estimate the gradients in x and in the
policies of its twin in ``reference.penalties``, at the same companions.  Companions are constants: what
they were computed from gets no derivative through them, as the penalties' gradients demand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from sampled.errors import InputError
from sampled.expectations import Expectation, Term

LowerT_contra = TypeVar("LowerT_contra", contravariant=True)


class Estimate(Protocol[LowerT_contra]):
    """Signature of a penalty's estimate."""

    def __call__(
        self,
        lower: LowerT_contra,
        x: Tensor,
        policies: Sequence[Tensor],
        companions: Sequence[Tensor],
        mean: Expectation,
    ) -> Tensor:
        """Penalty of each problem, (P,), differentiable in x and in the policies."""
        ...


class Terms(Protocol[LowerT_contra]):
    """Signature of a penalty's terms."""

    def __call__(
        self,
        lower: LowerT_contra,
        x: Tensor,
        policies: Sequence[Tensor],
        companions: Sequence[Tensor],
    ) -> tuple[Term, ...]:
        """Processes whose values, each times its coefficient, add up to the penalty."""
        ...


@dataclass(frozen=True)
class Penalty(Generic[LowerT_contra]):
    """A penalty: name, source and estimate.

    Attributes
    ----------
    name : str
        That of the exact twin.
    source : str
        Number of the equation or lemma in the paper.
    estimate : Estimate
    terms : Terms
        The same as data, so that its trajectories can be drawn together with others.
    """

    name: str
    source: str
    estimate: Estimate[LowerT_contra]
    terms: Terms[LowerT_contra]


def constants(policies: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Companions without derivatives."""
    return tuple(pi.detach() for pi in policies)


def each(policies: Sequence[Tensor], companions: Sequence[Tensor], players: int) -> None:
    """Check that there is one policy and one companion of each player.

    Raises
    ------
    InputError
        If there is another number.
    """
    for name, given in (("policies", policies), ("companions", companions)):
        if len(given) != players:
            raise InputError(f"{name} has {len(given)} entries; the penalty compares {players}")

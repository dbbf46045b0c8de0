"""What an upper-level objective provides.

An objective is evaluated at x and at the policies of the lower level.  Its gradients in the policies
are taken in the entries, off the simplex too, where f is extended by the formula of its file; a
policy map pulls them back to parameters.
"""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from reference.evaluated import Evaluated
from reference.validation import Array, function, instance

ProblemT_contra = TypeVar("ProblemT_contra", contravariant=True)


class Evaluate(Protocol[ProblemT_contra]):
    """Signature of an objective's evaluation."""

    def __call__(self, problem: ProblemT_contra, x: Array, policies: tuple[Array, ...]) -> Evaluated:
        """Value and gradients in x and in the policies."""
        ...


@dataclass(frozen=True)
class Objective(Generic[ProblemT_contra]):
    """An upper-level objective: name, source and evaluation.

    Attributes
    ----------
    name : str
    source : str
        Number of the equation in the paper.
    evaluate : Evaluate

    Raises
    ------
    InputError
        If name or source is no text, or ``evaluate`` no function.
    """

    name: str
    source: str
    evaluate: Evaluate[ProblemT_contra]

    def __post_init__(self) -> None:
        instance("name", self.name, str)
        instance("source", self.source, str)
        function("evaluate", self.evaluate)

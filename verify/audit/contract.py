"""What is audited, what is asked of it, and what comes of it: the data of every audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import inf, prod
from typing import TYPE_CHECKING, Protocol

import numpy as np

from reference.errors import InputError
from reference.validation import Array, scalar
from verify.audit.decomposition import Decomposition

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from verify.audit.given import Given


class Verdict(StrEnum):
    """What an audit says of an estimator."""

    CERTIFIED = "CERTIFIED"
    BIASED = "BIASED"
    UNDECIDED = "UNDECIDED"


class Norm(StrEnum):
    """In which norm a bias is measured."""

    EUCLIDEAN = "euclidean"
    MAXIMUM = "maximum"


class GradientEstimator(Protocol):
    """Anyone's estimator.

    It draws all randomness from the generator, keeps no state between calls, and returns estimates of a
    gradient from so many trajectories each: one of the parameters' shape, or several along a first
    axis, each from trajectories of its own.  For more than one block it returns a mapping of their
    names to such tensors.
    """

    def __call__(
        self,
        problem: Given,
        parameters: Tensor | tuple[Tensor, ...],
        batch: int,
        generator: torch.Generator,
    ) -> Tensor | Mapping[str, Tensor]:
        """Estimates at policy parameters (logits): one (S, A), or one of each player."""
        ...


@dataclass(frozen=True, eq=False)
class Subject:
    """An estimator with all that an audit needs to know of it.

    Attributes
    ----------
    name : str
    title : str
    shapes : mapping of str to shape
        Blocks of the gradient, in the order of its coordinates.
    decomposition : Decomposition
        From the gradient that is wanted to what is declared, which the audit holds the estimates to.
    low, high : (I,)
        Computed range of an estimate.
    draw : callable
        (rows, generator) -> independent estimates, (rows or another number, I).
    batch : int
        Trajectories of one estimate.
    most_rows : int
        Largest number of rows that are asked for at once.
    exact : callable, optional
        Tier 0: the implementation error over every trajectory, and a bound on its rounding; (I,) each.
    anchored : callable, optional
        Seed -> what the rows and the code as it is called by everyone give for the same randomness.
    given_law : bool
        Whether the certificate holds given the simulator's law, which tier 1 tests.
    """

    name: str
    title: str
    shapes: Mapping[str, tuple[int, ...]]
    decomposition: Decomposition
    low: Array
    high: Array
    draw: Callable[[int, torch.Generator], Array]
    batch: int = 1
    most_rows: int = 8192
    exact: Callable[[], tuple[Array, Array]] | None = None
    anchored: Callable[[int], tuple[Array, Array]] | None = None
    given_law: bool = False

    @property
    def declared(self) -> Array:
        """The declared expectation, (I,)."""
        return flat(self.decomposition.declared, self.shapes)

    @property
    def slices(self) -> Mapping[str, slice]:
        """Coordinates of each block."""
        found, start = {}, 0
        for name, shape in self.shapes.items():
            found[name] = slice(start, start + prod(shape))
            start += prod(shape)
        return found


def flat(blocks: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> Array:
    """Blocks as one vector, in the order of ``shapes``."""
    return np.concatenate([np.asarray(blocks[name]).reshape(-1) for name in shapes])


@dataclass(frozen=True)
class Demand:
    """What is asked of an estimator, and how surely.

    Attributes
    ----------
    epsilon : float
        Largest bias of each block.
    relative : bool
        In units of the declared block's norm; a block that is zero is measured absolutely.
    norm : Norm
    alpha : float
        1 - alpha is the confidence of the certificate.
    alarm : float
        Level of the alarm, this audit's share of all false alarms.
    limit : int
        Most rows.
    measure : bool
        Whether to go on after an alarm until the bias itself is known to within epsilon.

    Raises
    ------
    InputError
        If a number is out of range.
    """

    epsilon: float = 0.01
    relative: bool = True
    norm: Norm = Norm.EUCLIDEAN
    alpha: float = 1e-3
    alarm: float = 1e-6
    limit: int = 1 << 26
    measure: bool = False

    def __post_init__(self) -> None:
        for name in ("epsilon", "alpha", "alarm"):
            high = inf if name == "epsilon" else 1.0
            value = scalar(name, getattr(self, name), low=0.0, high=high, open_low=True, open_high=True)
            object.__setattr__(self, name, value)
        if self.limit < 1:
            raise InputError(f"limit is {self.limit}; at least one estimate must be drawn")

    def size(self, vector: Array) -> float:
        """Norm of a block."""
        if self.norm is Norm.MAXIMUM:
            return float(np.abs(vector).max(initial=0.0))
        return float(np.sqrt((vector * vector).sum()))

    def allowed(self, declared: Array) -> float:
        """Largest bias of a block with this declared gradient."""
        size = self.size(declared)
        return self.epsilon * size if self.relative and size > 0.0 else self.epsilon

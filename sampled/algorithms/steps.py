r"""Step rules: how far a point moves along a gradient.

With g the gradient at z_k, one row per problem, and alpha_k from a schedule::

    descent      z - alpha_k g
    normalised   z - alpha_k g / max(|g|, floor)          |g| over all of a problem's entries
    adam         z - alpha_k m^ / (sqrt(v^) + epsilon)    Kingma and Ba 2015, entry by entry

The projection onto Z comes after, by the algorithm.  What a rule remembers is part of the state.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sampled.algorithms.contract import Schedule, scheduled
from sampled.validation import fraction, number, provides

Point = tuple[Tensor, ...]


@runtime_checkable
class StepRule(Protocol):
    """Moves a point along a gradient."""

    def start(self, z: Point) -> tuple[Tensor, ...]:
        """What is remembered before the first step."""
        ...

    def step(
        self, k: int, z: Point, gradients: Point, memory: tuple[Tensor, ...]
    ) -> tuple[Point, tuple[Tensor, ...]]:
        """Return the moved point, and what is remembered."""
        ...


@dataclass(frozen=True)
class Descent:
    """Steps of alpha_k times the gradient.

    Attributes
    ----------
    size : Schedule
        alpha.

    Raises
    ------
    InputError
        If the size is no schedule.
    """

    size: Schedule

    def __post_init__(self) -> None:
        provides("size", self.size, Schedule)

    def start(self, z: Point) -> tuple[Tensor, ...]:  # noqa: ARG002 - the contract's signature
        """Nothing."""
        return ()

    def step(
        self, k: int, z: Point, gradients: Point, memory: tuple[Tensor, ...]
    ) -> tuple[Point, tuple[Tensor, ...]]:
        """z - alpha_k g."""
        alpha = scheduled("size", self.size, k)
        moved = (torch.sub(part, g, alpha=alpha) for part, g in zip(z, gradients, strict=True))
        return tuple(moved), memory


@dataclass(frozen=True)
class Normalised:
    """Steps of length alpha_k, whatever the gradient's length, down to a floor.

    Attributes
    ----------
    size : Schedule
        alpha.
    floor : float
        Shorter gradients are divided by this instead.

    Raises
    ------
    InputError
        If the size is no schedule, or the floor not positive.
    """

    size: Schedule
    floor: float = 1e-8

    def __post_init__(self) -> None:
        provides("size", self.size, Schedule)
        number("floor", self.floor, low=0.0, open_low=True)

    def start(self, z: Point) -> tuple[Tensor, ...]:  # noqa: ARG002 - the contract's signature
        """Nothing."""
        return ()

    def step(
        self, k: int, z: Point, gradients: Point, memory: tuple[Tensor, ...]
    ) -> tuple[Point, tuple[Tensor, ...]]:
        """z - alpha_k g / max(|g|, floor)."""
        alpha = scheduled("size", self.size, k)
        flat = torch.cat([g.flatten(1) for g in gradients], -1)
        share_p = alpha / flat.norm(dim=-1).clamp(min=self.floor)
        moved = (
            part - share_p.reshape(-1, *(1,) * (g.ndim - 1)) * g
            for part, g in zip(z, gradients, strict=True)
        )
        return tuple(moved), memory


@dataclass(frozen=True)
class Adam:
    """Adam, with moments from the first step of the run on.

    Attributes
    ----------
    size : Schedule
        alpha.
    decay_mean, decay_square : float in [0, 1)
        beta_1 and beta_2.
    epsilon : float

    Raises
    ------
    InputError
        If the size is no schedule, or a number is out of range.
    """

    size: Schedule
    decay_mean: float = 0.9
    decay_square: float = 0.999
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        provides("size", self.size, Schedule)
        for name in ("decay_mean", "decay_square"):
            fraction(name, getattr(self, name), "with 1 nothing new would count")
        number("epsilon", self.epsilon, low=0.0, open_low=True)

    def start(self, z: Point) -> tuple[Tensor, ...]:
        """Two moments of each part, zero."""
        return tuple(torch.zeros_like(part) for part in (*z, *z))

    def step(
        self, k: int, z: Point, gradients: Point, memory: tuple[Tensor, ...]
    ) -> tuple[Point, tuple[Tensor, ...]]:
        """m <- b_1 m + (1 - b_1) g, v <- b_2 v + (1 - b_2) g^2, both divided by 1 - b^(k+1)."""
        alpha = scheduled("size", self.size, k)
        first, second = memory[: len(z)], memory[len(z) :]
        mean = tuple(torch.lerp(g, m, self.decay_mean) for g, m in zip(gradients, first, strict=True))
        square = tuple(
            torch.lerp(g.square(), v, self.decay_square) for g, v in zip(gradients, second, strict=True)
        )
        unbias, unsquare = (1.0 - b ** (k + 1) for b in (self.decay_mean, self.decay_square))
        moved = (
            part - (alpha / unbias) * m / ((v / unsquare).sqrt() + self.epsilon)
            for part, m, v in zip(z, mean, square, strict=True)
        )
        return tuple(moved), (*mean, *square)

"""Convex sets X and Y on tensors: projections, as in ``reference``, of one point per problem.

Points are (P, *shape).  All projections are Euclidean and differentiable by autograd.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.validation import entry, finite, first, floating, number, one_device, one_dtype, shaped


@runtime_checkable
class Domain(Protocol):
    """A closed convex set of tensors of one shape."""

    def project(self, x: Tensor) -> Tensor:
        """Nearest point of the set, for each point of ``x`` (P, *shape)."""
        ...


@dataclass(frozen=True)
class Euclidean:
    """The whole space."""

    def project(self, x: Tensor) -> Tensor:
        """Return the point itself."""
        return x


@dataclass(frozen=True, eq=False)
class Box:
    """All x with ``low <= x <= high``, entry by entry.

    Attributes
    ----------
    low, high : (*shape)

    Raises
    ------
    InputError
        If they do not fit each other, or some ``low`` exceeds ``high``.
    """

    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        low, high = floating("low", self.low), floating("high", self.high)
        one_device(low=low, high=high)
        one_dtype(low=low, high=high)
        shaped("high", high, "those of low", tuple(low.shape))
        crossed = ~(low <= high)
        if crossed.any():
            at = first(crossed)
            raise InputError(
                f"{entry('low', at)} is {float(low[at])} and {entry('high', at)} {float(high[at])}; a "
                "box needs low <= high: exchange the two"
            )

    def project(self, x: Tensor) -> Tensor:
        """Clip every entry."""
        return torch.minimum(torch.maximum(x, self.low), self.high)


@dataclass(frozen=True, eq=False)
class Ball:
    """All x with ``|x - centre| <= radius``.

    Attributes
    ----------
    centre : (*shape)
    radius : float

    Raises
    ------
    InputError
        If the centre is not finite, or the radius not positive.
    """

    centre: Tensor
    radius: float

    def __post_init__(self) -> None:
        finite("centre", floating("centre", self.centre))
        number("radius", self.radius, low=0.0, open_low=True)

    def project(self, x: Tensor) -> Tensor:
        """Pull a point outside radially to the sphere."""
        offset = x - self.centre
        squared = offset.square().flatten(1).sum(-1).reshape(-1, *(1,) * (x.ndim - 1))
        # The root of an inner point is not taken: at the centre it would have no derivative.
        outside = squared > self.radius**2
        norm = torch.where(outside, squared, torch.ones_like(squared)).sqrt()
        return torch.where(outside, self.centre + (self.radius / norm) * offset, x)


@dataclass(frozen=True)
class Simplices:
    """Products of simplices: the last axis holds distributions."""

    def project(self, x: Tensor) -> Tensor:
        """max(x - c, 0), with the threshold c of each row found from its sorted entries."""
        # Only differences within a row matter: subtracting the maximum keeps large rows exact.
        x = x - x.detach().amax(-1, keepdim=True)
        descending = x.sort(-1, descending=True).values
        counts = torch.arange(1, x.shape[-1] + 1, dtype=x.dtype, device=x.device)
        thresholds = (descending.cumsum(-1) - 1.0) / counts
        support = (descending > thresholds).sum(-1, keepdim=True)
        return (x - thresholds.gather(-1, support - 1)).clamp(min=0.0)

"""Convex sets X and Y on tensors: projections, as in ``reference``, of one point per problem.

Points are (P, *shape).  All projections are Euclidean and differentiable by autograd.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


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
    """

    low: Tensor
    high: Tensor

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
    """

    centre: Tensor
    radius: float

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

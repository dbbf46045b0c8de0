r"""How many steps a trajectory has: a fixed number, or a random one.

A length L is the number of pairs (s_0, a_0), ..., (s_{L-1}, a_{L-1}).  With a geometric length,

    P(L = l) = (1 - c) c^(l-1),  l = 1, 2, ...,      so    P(L > h) = c^h,

an undiscounted sum over the steps h < L has the expectation of the infinite sum discounted by c: the
random horizon stands for the discount, and nothing is truncated.
"""

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from sampled.laws import BITS
from sampled.sources import Source
from sampled.validation import fraction, whole


class Horizon(Protocol):
    """Lengths of a batch of trajectories."""

    def lengths(self, source: Source, shape: tuple[int, int]) -> tuple[Tensor, int]:
        """Return lengths (P, N) int64 on the source's device, and a number of steps that covers all."""
        ...


@dataclass(frozen=True)
class Fixed:
    """The same number of steps for all.

    Raises
    ------
    InputError
        If it is not a whole number >= 1.
    """

    steps: int

    def __post_init__(self) -> None:
        whole("steps", self.steps, low=1)

    def lengths(self, source: Source, shape: tuple[int, int]) -> tuple[Tensor, int]:
        """Draw nothing."""
        return torch.full(shape, self.steps, dtype=torch.int64, device=source.device), self.steps


@dataclass(frozen=True)
class Geometric:
    """Lengths with P(L > h) = continuation^h.

    The longest of the drawn lengths is read on the host, once, before the first step.  Lengths have no
    other bound than that of the words: at most 1 + 43 / (1 - continuation).

    Parameters
    ----------
    continuation : float in [0, 1)
        c; gamma for an unbiased estimate of a discounted sum.

    Raises
    ------
    InputError
        If it is outside.
    """

    continuation: float

    def __post_init__(self) -> None:
        fraction("continuation", self.continuation, "with 1 a trajectory would never end")

    def lengths(self, source: Source, shape: tuple[int, int]) -> tuple[Tensor, int]:
        """Invert the tail: with U uniform on (0, 1], L > h iff U <= c^h."""
        log_c = math.log(self.continuation) if self.continuation > 0.0 else -math.inf
        log_u = (source.words(shape) + 1).to(torch.float64).mul_(2.0**-BITS).log_()
        lengths = log_u.div_(log_c).floor_().to(torch.int64).add_(1)
        return lengths, int(lengths.max())

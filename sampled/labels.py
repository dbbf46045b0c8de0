"""Preference labels of segment pairs as functions of tensors: see ``reference.problems.rlhf``."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sampled.validation import number


@runtime_checkable
class LabelRule(Protocol):
    """Probability that the first of two segments is preferred, from the difference of true returns."""

    def __call__(self, return_difference: Tensor) -> Tensor:
        """l_0 as a function of R_0 - R_1, elementwise."""
        ...


@dataclass(frozen=True)
class LabelByReturn:
    """The segment with the higher true return is preferred; ties within ``tolerance`` give 1/2.

    Raises
    ------
    InputError
        If the tolerance is no number >= 0.
    """

    tolerance: float

    def __post_init__(self) -> None:
        number("tolerance", self.tolerance, low=0.0)

    def __call__(self, return_difference: Tensor) -> Tensor:
        """0, 1/2 or 1."""
        tied = return_difference.abs() <= self.tolerance
        sign = torch.where(tied, torch.zeros_like(return_difference), return_difference.sign())
        return 0.5 * (1.0 + sign)


@dataclass(frozen=True)
class BradleyTerryLabels:
    """sigmoid((R_0 - R_1) / temperature).

    Raises
    ------
    InputError
        If the temperature is no positive number.
    """

    temperature: float

    def __post_init__(self) -> None:
        number("temperature", self.temperature, low=0.0, open_low=True)

    def __call__(self, return_difference: Tensor) -> Tensor:
        """Between 0 and 1."""
        return (return_difference / self.temperature).sigmoid()

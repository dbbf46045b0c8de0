r"""Regularisers h of a policy as differentiable functions of tensors, value only.

For a row p of a policy::

    negative entropy   h(p) = sum_a p_a log p_a
    KL to a reference  h(p) = sum_a p_a log(p_a / m_a)
    quadratic          h(p) = |p|^2 / 2
    weighted           w(s) h(p)

with 0 log 0 = 0.  Policies are (P, S, A), values (P, S); companions have the axis of the problems.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sampled.validation import finite, floating, provides


@runtime_checkable
class Regularizer(Protocol):
    """A convex function of each state's distribution."""

    def value(self, pi_psa: Tensor) -> Tensor:
        """h_s(pi(s)), shape (P, S)."""
        ...


def _entropy_terms(pi_psa: Tensor) -> Tensor:
    """p log p, zero at zero; the derivative there is log of the smallest number, and large."""
    # Faster than xlogy, forwards and backwards.
    return pi_psa * pi_psa.clamp(min=torch.finfo(pi_psa.dtype).tiny).log()


@dataclass(frozen=True)
class NegativeEntropy:
    """h(p) = sum p log p."""

    def value(self, pi_psa: Tensor) -> Tensor:
        """Between -log A and 0."""
        return _entropy_terms(pi_psa).sum(-1)


@dataclass(frozen=True, eq=False)
class KLDivergence:
    """h_s(p) = sum p log(p / m(s)).

    Attributes
    ----------
    log_reference_psa : (P, S, A)
        log m.

    Raises
    ------
    InputError
        If it is no table of finite numbers.
    """

    log_reference_psa: Tensor

    def __post_init__(self) -> None:
        finite("log_reference_psa", floating("log_reference_psa", self.log_reference_psa, axes=3))

    def value(self, pi_psa: Tensor) -> Tensor:
        """Zero at the reference, positive elsewhere."""
        return (_entropy_terms(pi_psa) - pi_psa * self.log_reference_psa).sum(-1)


@dataclass(frozen=True)
class Quadratic:
    """h(p) = |p|^2 / 2."""

    def value(self, pi_psa: Tensor) -> Tensor:
        """Between 1 / (2A) and 1/2."""
        return 0.5 * pi_psa.square().sum(-1)


@dataclass(frozen=True, eq=False)
class Weighted:
    """w(s) h_s(p).

    Attributes
    ----------
    base : Regularizer
    weight_ps : (P, S)

    Raises
    ------
    InputError
        If the base is no regulariser, or the weights no table of finite numbers.
    """

    base: Regularizer
    weight_ps: Tensor

    def __post_init__(self) -> None:
        provides("base", self.base, Regularizer)
        finite("weight_ps", floating("weight_ps", self.weight_ps, axes=2))

    def value(self, pi_psa: Tensor) -> Tensor:
        """w(s) h_s(p)."""
        return self.weight_ps * self.base.value(pi_psa)

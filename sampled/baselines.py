r"""Baselines: what is subtracted from the returns that multiply scores, without a change of the mean.

A step's return may be lowered by anything that is decided independently of what is scored, given the
past: E[ b grad log pi(a_h|s_h) ] = 0 for b a function of s_h, and for one of other trajectories.
With the discount q of the estimator and its discounted rewards to go D_h = sum_{k >= h} q^k c_k::

    none             0
    constant         q^h b
    state values     q^h v(s_h)
    leave one out    mean of D_h over the other trajectories of the batch
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from sampled.errors import InputError
from sampled.trajectories import Trajectories
from sampled.validation import finite, floating, number, one_dtype


@runtime_checkable
class Baseline(Protocol):
    """A baseline of every step."""

    @property
    def batch(self) -> int:
        """Trajectories that it needs of each problem: 2 if it couples them, else 1."""
        ...

    def __call__(self, trajectories: Trajectories, weight_h: Tensor, to_go_pnh: Tensor) -> Tensor:
        """Return a baseline that broadcasts to D_h, given the weights q^h and D_h itself.

        There may be fewer steps in both than in the trajectories: the first ones.
        """
        ...


@dataclass(frozen=True)
class NoBaseline:
    """Zero."""

    batch: ClassVar[int] = 1

    def __call__(self, trajectories: Trajectories, weight_h: Tensor, to_go_pnh: Tensor) -> Tensor:  # noqa: ARG002 - the contract's signature
        """0."""
        return torch.zeros_like(weight_h)


NO_BASELINE = NoBaseline()


@dataclass(frozen=True)
class Constant:
    """The same undiscounted number for all steps.

    Raises
    ------
    InputError
        If it is no finite number.
    """

    level: float
    batch: ClassVar[int] = 1

    def __post_init__(self) -> None:
        number("level", self.level)

    def __call__(self, trajectories: Trajectories, weight_h: Tensor, to_go_pnh: Tensor) -> Tensor:  # noqa: ARG002 - the contract's signature
        """q^h b."""
        return self.level * weight_h


@dataclass(frozen=True, eq=False)
class StateValues:
    """A guess of the state's value, made without the trajectories that it serves.

    Attributes
    ----------
    values_ps : (P, S)

    Raises
    ------
    InputError
        If it is no table of finite numbers.
    """

    values_ps: Tensor
    batch: ClassVar[int] = 1

    def __post_init__(self) -> None:
        finite("values_ps", floating("values_ps", self.values_ps, axes=2))

    def __call__(self, trajectories: Trajectories, weight_h: Tensor, to_go_pnh: Tensor) -> Tensor:
        """q^h v(s_h).

        Raises
        ------
        InputError
            If the values have another dtype, shape or device than the problem.
        """
        one_dtype(values_ps=self.values_ps, earnings=to_go_pnh)
        values_pnh = trajectories.at_states(self.values_ps.detach())
        return weight_h * values_pnh[..., : to_go_pnh.shape[-1]]


@dataclass(frozen=True)
class LeaveOneOut:
    """The mean of the other trajectories; it needs two at least."""

    batch: ClassVar[int] = 2

    def __call__(self, trajectories: Trajectories, weight_h: Tensor, to_go_pnh: Tensor) -> Tensor:  # noqa: ARG002 - the contract's signature
        """(sum_m D_mh - D_nh) / (N - 1).

        Raises
        ------
        InputError
            If there is one trajectory.
        """
        n = to_go_pnh.shape[1]
        if n < 2:
            raise InputError("a batch of 1 trajectory leaves none once it is left out: draw 2 or more")
        return (to_go_pnh.sum(1, keepdim=True) - to_go_pnh) / (n - 1)

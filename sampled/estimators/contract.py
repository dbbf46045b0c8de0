r"""What an estimator is, and how it declares the expectation that it claims.

From a process and a batch of its trajectories an estimator makes one number per trajectory, a
*surrogate*: its value estimates J and its derivatives, by autograd, estimate those of J in whatever the
process depends on.  What they are the expectation of is declared as data, a :class:`Target`, in enough
detail to compute it exactly.  With T steps, weights w_h, a critic v and 0 <= lambda <= 1::

    q_h(s, j, t) = c(s, j) + gamma [ (1 - lambda) v(t) + lambda v_{h+1}(t) ]
    v_h(s)       = E[ q_h(s_h, a_h, s_{h+1}) | s_h = s ],       v_T = v
    gradient     = sum_{h < T} w_h E[ grad c(s_h, a_h) + q_h grad l_h ],
                   l_h = log( pi(a_h|s_h) P(s_{h+1}|s_h, a_h) )

Without a critic v = 0.  With lambda = 1 and w_h = gamma^h that is the gradient of
E[ sum_{h < T} gamma^h c_h + gamma^T v(s_T) ] at fixed v; with T infinite, too, it is that of J.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from sampled.baselines import Baseline
from sampled.errors import InputError
from sampled.horizons import Horizon
from sampled.processes import Process
from sampled.trajectories import Trajectories


@dataclass(frozen=True, eq=False)
class Target:
    """An exact expectation; see the module.

    Attributes
    ----------
    steps : int or None
        T; None if infinite.
    discounted : bool
        Whether w_h is gamma^h, or else 1: the latter is no function's gradient in general.
    trace : float
        lambda.
    critic_ps : (P, S), optional
        v, which does not depend on the trajectories.
    every_order : bool
        Whether higher derivatives of the surrogate, too, are those of this expectation.
    """

    steps: int | None
    discounted: bool = True
    trace: float = 1.0
    critic_ps: Tensor | None = None
    every_order: bool = False

    @property
    def truncates(self) -> str:
        """The terms of the gradient of J that are not in this expectation, in words."""
        left_out = []
        if self.steps is not None and self.critic_ps is None:
            left_out.append(f"all that is earned from step {self.steps} on")
        if self.steps is not None and self.critic_ps is not None:
            left_out.append(f"scores and derivatives of earnings from step {self.steps} on")
        if self.critic_ps is not None:
            left_out.append("the error of the critic")
        if not self.discounted:
            left_out.append("the discount of later steps' weights")
        return "; ".join(left_out) if left_out else "nothing"


@runtime_checkable
class Estimator(Protocol):
    """Surrogates of trajectories."""

    @property
    def target(self) -> Target:
        """What the surrogate's derivatives have as their expectation."""
        ...

    @property
    def horizon(self) -> Horizon:
        """The lengths of trajectories that the target is claimed for."""
        ...

    @property
    def batch(self) -> int:
        """Trajectories that it needs of each problem."""
        ...

    def surrogate(self, trajectories: Trajectories, process: Process) -> Tensor:
        """Return one number of each trajectory, (P, N); see the module.

        Raises
        ------
        InputError
            If the trajectories have another number of steps than the target, or are too few.
        """
        ...


@dataclass(frozen=True)
class EstimatorKind:
    """An estimator: name, source, and the settings that checks go through.

    Attributes
    ----------
    name : str
    source : str
        Where it comes from: an equation of the paper, or the literature.
    variants : (steps, values_ps) -> {setting: Estimator}
        For a number of steps, or of expected steps, and a table (P, S) of whatever values.
    """

    name: str
    source: str
    variants: Callable[[int, Tensor], Mapping[str, Estimator]]


def powers(base: float, like_pnh: Tensor) -> Tensor:
    """base^h for each step h, (H,)."""
    step_h = torch.arange(like_pnh.shape[-1], dtype=like_pnh.dtype, device=like_pnh.device)
    return torch.pow(base, step_h)


def to_go(paid_pnh: Tensor) -> Tensor:
    """sum_{k >= h} of what is paid at step k."""
    return paid_pnh.flip(-1).cumsum(-1).flip(-1)


def reward_to_go(
    trajectories: Trajectories, process: Process, rate: float, baseline: Baseline
) -> Tensor:
    """sum_{h < L} q^h c_h with the scores of its steps, each times what it still affects.

    Parameters
    ----------
    trajectories : Trajectories
    process : Process
    rate : float
        The discount q of what is seen.
    baseline : Baseline

    Returns
    -------
    (P, N)
    """
    weight_h, paid_pnh = discounted_earnings(trajectories, process, rate)
    to_go_pnh = to_go(paid_pnh.detach())
    gain_pnh = to_go_pnh - baseline(trajectories, weight_h, to_go_pnh)
    scored_pnh = trajectories.counted(gain_pnh * process.score(trajectories))
    return (paid_pnh + scored_pnh).sum(-1)


def discounted_earnings(
    trajectories: Trajectories, process: Process, rate: float
) -> tuple[Tensor, Tensor]:
    """Weights q^h, (H,), and q^h c_h with zeros for padding, (P, N, H)."""
    earned_pnh = process.earned(trajectories)
    weight_h = powers(rate, earned_pnh)
    return weight_h, trajectories.counted(weight_h * earned_pnh)


def of_steps(trajectories: Trajectories, steps: int) -> None:
    """Check the number of steps.

    Raises
    ------
    InputError
        If it is another, or lengths are random.
    """
    if trajectories.cut:
        raise InputError(
            f"the trajectories may end before the {steps} steps of the estimator's target: draw them "
            "with the estimator's own horizon, or say cut=False if none does"
        )
    if trajectories.horizon != steps:
        raise InputError(
            f"the trajectories have {trajectories.horizon} steps; the estimator's target has {steps}: "
            "draw them with the estimator's own horizon"
        )

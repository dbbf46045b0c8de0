r"""Reward to go of earnings whose dependence on the action is replaced by its mean.

::

    sum_{h < H} gamma^h c'_h,   scores   ( sum_{k=h}^{H-1} gamma^k c'_k - b_h ) grad log pi(a_h|s_h)

with c'_h = c_h + v_pi(s_h) - q(s_h, a_h) of :mod:`sampled.controls`: the expectation is that of c.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sampled.baselines import NO_BASELINE, Baseline, LeaveOneOut, StateValues
from sampled.controls import ActionValues, Lookahead, controlled
from sampled.estimators.contract import Estimator, EstimatorKind, Target, of_steps, reward_to_go
from sampled.horizons import Fixed
from sampled.processes import Process
from sampled.trajectories import Trajectories
from sampled.validation import provides


@dataclass(frozen=True, eq=False)
class ControlVariate:
    """The discounted sum of H steps, with action values as control variate.

    Attributes
    ----------
    steps : int
        H.
    q : ActionValues
    baseline : Baseline
        Of the rewards to go of c'.

    Raises
    ------
    InputError
        If H is not a whole number >= 1, or q or the baseline none.
    """

    steps: int
    q: ActionValues
    baseline: Baseline = NO_BASELINE

    def __post_init__(self) -> None:
        Fixed(self.steps)
        provides("q", self.q, ActionValues)
        provides("baseline", self.baseline, Baseline)

    @property
    def target(self) -> Target:
        """The discounted sum of the H steps."""
        return Target(self.steps)

    @property
    def horizon(self) -> Fixed:
        """H steps."""
        return Fixed(self.steps)

    @property
    def batch(self) -> int:
        """What the baseline needs."""
        return self.baseline.batch

    def surrogate(self, trajectories: Trajectories, process: Process) -> Tensor:
        """Return the discounted sum with its scores."""
        of_steps(trajectories, self.steps)
        return reward_to_go(trajectories, controlled(process, self.q), process.gamma, self.baseline)


def _variants(steps: int, values_ps: Tensor) -> Mapping[str, Estimator]:
    rewards, ahead = Lookahead(torch.zeros_like(values_ps)), Lookahead(values_ps)
    return {
        "rewards": ControlVariate(steps, rewards),
        "one step ahead": ControlVariate(steps, ahead),
        "with state values": ControlVariate(steps, ahead, StateValues(values_ps)),
        "leave one out": ControlVariate(steps, ahead, LeaveOneOut()),
    }


ESTIMATOR = EstimatorKind("control variate", "Jiang and Li 2016", _variants)

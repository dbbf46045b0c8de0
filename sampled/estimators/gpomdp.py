r"""Reward to go with discounted weights: GPOMDP (Baxter and Bartlett 2001), regularised.

::

    sum_{h < H} gamma^h c_h,   scores   ( sum_{k=h}^{H-1} gamma^k c_k - b_h ) grad log pi(a_h|s_h)

With c_k = r_k - tau h_{s_k}(pi(s_k)) and the derivative of c, that is (B.9) cut off after H steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sampled.baselines import NO_BASELINE, Baseline, Constant, LeaveOneOut, StateValues
from sampled.estimators.contract import Estimator, EstimatorKind, Target, of_steps, reward_to_go
from sampled.horizons import Fixed
from sampled.processes import Process
from sampled.trajectories import Trajectories
from sampled.validation import provides


@dataclass(frozen=True)
class Gpomdp:
    """The discounted sum of H steps.

    Attributes
    ----------
    steps : int
        H.
    baseline : Baseline

    Raises
    ------
    InputError
        If H is not a whole number >= 1, or the baseline none.
    """

    steps: int
    baseline: Baseline = NO_BASELINE

    def __post_init__(self) -> None:
        Fixed(self.steps)
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
        return reward_to_go(trajectories, process, process.gamma, self.baseline)


def _variants(steps: int, values_ps: Tensor) -> Mapping[str, Estimator]:
    return {
        "no baseline": Gpomdp(steps),
        "constant": Gpomdp(steps, Constant(0.7)),
        "state values": Gpomdp(steps, StateValues(values_ps)),
        "leave one out": Gpomdp(steps, LeaveOneOut()),
    }


ESTIMATOR = EstimatorKind("gpomdp", "(B.9)", _variants)

r"""The whole return for every score: REINFORCE (Williams 1992), regularised.

::

    R = sum_{h < H} gamma^h c_h,     scores   ( R - b ) sum_{h < H} grad log pi(a_h|s_h)

What was earned before a step multiplies its score with mean zero: the expectation is that of reward to
go, the variance is larger.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sampled.baselines import NO_BASELINE, Baseline, Constant, LeaveOneOut, StateValues
from sampled.estimators.contract import Estimator, EstimatorKind, Target, discounted_earnings, of_steps
from sampled.horizons import Fixed
from sampled.processes import Process
from sampled.trajectories import Trajectories
from sampled.validation import provides


@dataclass(frozen=True)
class Reinforce:
    """The discounted sum of H steps.

    Attributes
    ----------
    steps : int
        H.
    baseline : Baseline
        Of the return, read at the first step.

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
        weight_h, paid_pnh = discounted_earnings(trajectories, process, process.gamma)
        return_pn = paid_pnh.sum(-1)
        whole_pn1 = return_pn.detach().unsqueeze(-1)
        gain_pn1 = whole_pn1 - self.baseline(trajectories, weight_h[:1], whole_pn1)
        score_pnh = trajectories.counted(process.score(trajectories))
        return return_pn + (gain_pn1 * score_pnh).sum(-1)


def _variants(steps: int, values_ps: Tensor) -> Mapping[str, Estimator]:
    return {
        "no baseline": Reinforce(steps),
        "constant": Reinforce(steps, Constant(0.7)),
        "state values": Reinforce(steps, StateValues(values_ps)),
        "leave one out": Reinforce(steps, LeaveOneOut()),
    }


ESTIMATOR = EstimatorKind("reinforce", "Williams 1992", _variants)

r"""Derivatives of every order: the magic box (Foerster et al. 2018), regularised.

::

    sum_{h < H} gamma^h [ c_h M_h + b_h (1 - M_h / M_{h-1}) ],     M_h = prod_{k <= h} of the law's ratio

M_h is the probability of the steps up to h, divided by itself held constant: one, with the derivatives
of a change of measure.  The weighted sum is J for *all* parameters, not only to first order, so that the
derivative of a gradient estimate estimates the derivative of the gradient: of an inner step, which a
meta-gradient differentiates.  The first derivatives are those of reward to go; the baseline b of
Mao et al. (2019), held constant, changes no expectation of any order, since E[M_h / M_{h-1}] = 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sampled.baselines import NO_BASELINE, Baseline, Constant, LeaveOneOut, StateValues
from sampled.estimators.contract import (
    Estimator,
    EstimatorKind,
    Target,
    discounted_earnings,
    of_steps,
    to_go,
)
from sampled.horizons import Fixed
from sampled.processes import Process
from sampled.trajectories import Trajectories
from sampled.validation import provides


@dataclass(frozen=True)
class Dice:
    """The discounted sum of H steps, with derivatives of every order.

    Attributes
    ----------
    steps : int
        H.
    baseline : Baseline
        Of the rewards to go.

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
        return Target(self.steps, every_order=True)

    @property
    def horizon(self) -> Fixed:
        """H steps."""
        return Fixed(self.steps)

    @property
    def batch(self) -> int:
        """What the baseline needs."""
        return self.baseline.batch

    def surrogate(self, trajectories: Trajectories, process: Process) -> Tensor:
        """Return the discounted sum times the ratios."""
        of_steps(trajectories, self.steps)
        weight_h, paid_pnh = discounted_earnings(trajectories, process, process.gamma)
        ratio_pnh = process.ratio(trajectories)
        total_pn = (paid_pnh * ratio_pnh.cumprod(-1)).sum(-1)
        baseline = self.baseline(trajectories, weight_h, to_go(paid_pnh.detach()))
        return total_pn + (baseline * (1.0 - ratio_pnh)).sum(-1)


def _variants(steps: int, values_ps: Tensor) -> Mapping[str, Estimator]:
    return {
        "no baseline": Dice(steps),
        "constant": Dice(steps, Constant(0.7)),
        "state values": Dice(steps, StateValues(values_ps)),
        "leave one out": Dice(steps, LeaveOneOut()),
    }


ESTIMATOR = EstimatorKind("dice", "Foerster et al. 2018", _variants)

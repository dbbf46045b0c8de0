r"""Random lengths in place of a cut-off: unbiased for the infinite horizon.

With a length L that is independent of all else, P(L > h) = kappa^h, and the rate q = gamma / kappa::

    E sum_{h < L} q^h c_h  =  sum_h kappa^h q^h E c_h  =  J

and likewise for each of its scores, since step k still counts when it does: with kappa = gamma the
earnings of the L steps are simply added up.  A longer walk, kappa > gamma, costs 1 / (1 - kappa) steps
and discounts the rest.  For kappa <= gamma^2 the variance is infinite in general, and from gamma down to
there it grows: hence kappa >= gamma is demanded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from sampled.baselines import NO_BASELINE, Baseline, Constant, LeaveOneOut, StateValues
from sampled.errors import InputError
from sampled.estimators.contract import Estimator, EstimatorKind, Target, reward_to_go
from sampled.horizons import Geometric
from sampled.processes import Process
from sampled.trajectories import Trajectories
from sampled.validation import provides


@dataclass(frozen=True)
class RandomHorizon:
    """The infinite discounted sum, from geometric lengths.

    Attributes
    ----------
    continuation : float in [gamma, 1)
        kappa.
    baseline : Baseline

    Raises
    ------
    InputError
        If kappa is outside [0, 1), or the baseline none.
    """

    continuation: float
    baseline: Baseline = NO_BASELINE

    def __post_init__(self) -> None:
        Geometric(self.continuation)
        provides("baseline", self.baseline, Baseline)

    @property
    def target(self) -> Target:
        """The infinite discounted sum."""
        return Target(None)

    @property
    def horizon(self) -> Geometric:
        """P(L > h) = kappa^h."""
        return Geometric(self.continuation)

    @property
    def batch(self) -> int:
        """What the baseline needs."""
        return self.baseline.batch

    def surrogate(self, trajectories: Trajectories, process: Process) -> Tensor:
        """Return the weighted sum of the L steps with its scores.

        Raises
        ------
        InputError
            If kappa is below the process' gamma, or the trajectories have one fixed length.
        """
        if self.continuation < process.gamma:
            raise InputError(
                f"continuation is {self.continuation!r} and gamma {process.gamma!r}; the weights of "
                "late steps must not grow: continue with probability gamma or more"
            )
        if not trajectories.cut:
            raise InputError(
                f"the trajectories have {trajectories.horizon} steps each; the estimator's target is "
                "the infinite sum: draw them with the estimator's own horizon"
            )
        rate = process.gamma / self.continuation if process.gamma else 0.0
        return reward_to_go(trajectories, process, rate, self.baseline)


def _variants(steps: int, values_ps: Tensor) -> Mapping[str, Estimator]:
    kappa = 1.0 - 1.0 / steps
    return {
        "no baseline": RandomHorizon(kappa),
        "constant": RandomHorizon(kappa, Constant(0.7)),
        "state values": RandomHorizon(kappa, StateValues(values_ps)),
        "leave one out": RandomHorizon(kappa, LeaveOneOut()),
    }


ESTIMATOR = EstimatorKind("random horizon", "(B.9)", _variants)

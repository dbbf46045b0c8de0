r"""The settings of Appendix E, and what has to be chosen beside them.

Printed, for Sections 6.1 and 6.3:

=====================  =====================  =======================  =================
..                     6.1, value penalty     6.1, Bellman penalty     6.3, Nikaido-Isoda
=====================  =====================  =======================  =================
learning rate          0.1                    0.1                      0.1
lambda                 2                      7                        4
inner steps T          1                      10                       1
trajectory length      5                      5                        5
batch                  16                     16                       24
=====================  =====================  =======================  =================

Independent gradient shares rate, length and batch with the first column, the meta-gradient with the
last; it makes one inner step.

Left open, and read here as follows; each is a field of :class:`Settings` or an argument:

* ``inner_rate = 0.1``: Appendix E.3 prints it for the companions' steps; E.1 names one learning rate.
* ``carried = True``: the companions' steps begin where those of the last iteration ended.  From the
  current policy, a single step of 0.1 would stay next to it.
* ``shared = True``: walks of the same policies serve all who learn from them, such as leader and
  follower: one step of the environment shows both rewards.  Each batch is counted once.
* ``estimator``: discounted reward to go (GPOMDP), which Appendix C.7 names first, without a baseline,
  since none is mentioned; the regularisation of a step is part of what it earns.  The meta-gradient
  uses the estimator with the same first derivatives and right second ones.
* The step is alpha times the gradient of f + lambda p, not of f / lambda + p; it is constant, and so is
  lambda (``rule``, ``strength``).
* Each inner step and each iteration draws new trajectories; the meta-gradient draws f's after the inner
  step, with the new policies.
* All start from uniform policies, the companions too, and x from zero (a uniform leader, sigmoid 1/2).
* Without incentives, players follow independent policy gradient with the same rate and batch.
* In the Bellman penalty, Q* of the gradient in the policy is the companion's Q, measured.
* gamma, tau, the regulariser and rho belong to the problem: see
  :mod:`reference.problems.instances`, which assumes 0.9, 0.1, entropy and the uniform distribution.
* The number of iterations is the caller's.
"""

from dataclasses import dataclass
from typing import Any

from sampled.algorithms.bilevel import Bilevel
from sampled.algorithms.contract import Constant, Schedule
from sampled.algorithms.independent_gradient import IndependentGradient
from sampled.algorithms.meta_gradient import MetaGradient
from sampled.algorithms.oracles import PolicyGradient
from sampled.algorithms.pbrl import Pbrl
from sampled.algorithms.steps import Descent, StepRule
from sampled.baselines import NO_BASELINE, Baseline
from sampled.estimators.dice import Dice
from sampled.estimators.gpomdp import Gpomdp
from sampled.expectations import Samples
from sampled.penalties import bellman, nikaido_isoda, value
from sampled.problems import IncentiveDesign, StackelbergGame

_RATE = Constant(0.1)
_DESCENT = Descent(_RATE)


@dataclass(frozen=True)
class Settings:
    """Settings of one algorithm; see the module.

    Attributes
    ----------
    batch : int
        Trajectories of each law.
    strength : Schedule
        lambda; of PBRL only.
    inner_steps : int
        T; of PBRL only.
    rule : StepRule
        With the learning rate.
    inner_rate : Schedule
        Of the companions' steps.
    steps : int
        Length of a trajectory.
    baseline : Baseline
    carried, shared : bool
    """

    batch: int
    strength: Schedule
    inner_steps: int
    rule: StepRule = _DESCENT
    inner_rate: Schedule = _RATE
    steps: int = 5
    baseline: Baseline = NO_BASELINE
    carried: bool = True
    shared: bool = True

    @property
    def samples(self) -> Samples:
        """Batches for gradients."""
        return Samples(Gpomdp(self.steps, self.baseline), self.batch, self.shared)

    @property
    def oracle(self) -> PolicyGradient:
        """The companions' steps."""
        return PolicyGradient(self.inner_rate, self.inner_steps, self.carried)


VALUE = Settings(batch=16, strength=Constant(2.0), inner_steps=1)
BELLMAN = Settings(batch=16, strength=Constant(7.0), inner_steps=10)
NIKAIDO_ISODA = Settings(batch=24, strength=Constant(4.0), inner_steps=1)


def pbrl_value(bilevel: Bilevel[StackelbergGame], settings: Settings = VALUE) -> Pbrl[StackelbergGame]:
    """PBRL with the value penalty, for Figure 1."""
    penalty: Any = value.PENALTY  # of every problem with one player
    return Pbrl(bilevel, penalty, settings.oracle, settings.rule, settings.strength, settings.samples)


def pbrl_bellman(
    bilevel: Bilevel[StackelbergGame], settings: Settings = BELLMAN
) -> Pbrl[StackelbergGame]:
    """PBRL with the Bellman penalty, for Figure 1."""
    penalty: Any = bellman.PENALTY  # of every problem with one player
    return Pbrl(bilevel, penalty, settings.oracle, settings.rule, settings.strength, settings.samples)


def independent(
    bilevel: Bilevel[StackelbergGame], settings: Settings = VALUE
) -> IndependentGradient[StackelbergGame]:
    """Independent policy gradient, for Figure 1; lambda and T play no part."""
    return IndependentGradient(bilevel, settings.rule, settings.rule, settings.samples)


def pbrl_nikaido_isoda(
    bilevel: Bilevel[IncentiveDesign], settings: Settings = NIKAIDO_ISODA
) -> Pbrl[IncentiveDesign]:
    """PBRL with the Nikaido-Isoda function, for Figure 3."""
    penalty: Any = nikaido_isoda.PENALTY  # of every problem with two players
    return Pbrl(bilevel, penalty, settings.oracle, settings.rule, settings.strength, settings.samples)


def meta_gradient(
    bilevel: Bilevel[IncentiveDesign], settings: Settings = NIKAIDO_ISODA
) -> MetaGradient[IncentiveDesign]:
    """Meta-gradient, for Figure 3; ``inner_rate`` is that of the players, lambda and T play no part."""
    samples = Samples(Dice(settings.steps, settings.baseline), settings.batch, settings.shared)
    return MetaGradient(bilevel, settings.rule, settings.inner_rate, samples)


def no_incentive(
    bilevel: Bilevel[IncentiveDesign], settings: Settings = NIKAIDO_ISODA
) -> IndependentGradient[IncentiveDesign]:
    """The players alone, x held fixed, for Figure 3; lambda and T play no part."""
    return IndependentGradient(bilevel, None, settings.rule, settings.samples)

r"""The preference loss (2.5) from samples.

Two segments of L pairs (s, a) are the last L steps of two independent trajectories of delay + L steps.
With the true returns' label l_0 and Delta the difference of the learned returns::

    l(d_0, d_1; x) = l_0 log(1 + exp(-Delta)) + (1 - l_0) log(1 + exp(Delta))
    grad f         = E[ grad_x l + (l - b) grad( log Pr(d_0) + log Pr(d_1) ) ]

Pr(d) is the probability of the whole trajectory: the policy also decides where a segment begins.  The
baseline b is that of pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from sampled.baselines import NO_BASELINE, Baseline
from sampled.expectations import Expectation
from sampled.objectives.contract import Objective
from sampled.problems import Rlhf
from sampled.processes import lower_process
from sampled.validation import provides


@dataclass(frozen=True)
class PreferenceLoss:
    """The loss, with a baseline.

    Attributes
    ----------
    baseline : Baseline
        State values are read where the first trajectory starts.

    Raises
    ------
    InputError
        If the baseline is none.
    """

    baseline: Baseline = NO_BASELINE

    def __post_init__(self) -> None:
        provides("baseline", self.baseline, Baseline)

    def __call__(
        self, problem: Rlhf, x: Tensor, policies: Sequence[Tensor], mean: Expectation
    ) -> Tensor:
        """Estimate the expected preference loss.

        Parameters
        ----------
        problem : Rlhf
        x : (P, *shape) or (1, *shape)
        policies : one of (P, S, A)
        mean : Expectation

        Returns
        -------
        (P,)

        Raises
        ------
        InputError
            If x or the policy do not fit the problem.
        """
        process = lower_process(problem, x, policies)
        pairs = mean.pairs(process, problem.delay + problem.segment_length)
        both = (pairs.first, pairs.second)

        def difference(r_psa: Tensor) -> Tensor:
            returns = [batch.at_actions(r_psa)[..., problem.delay :].sum(-1) for batch in both]
            return returns[0] - returns[1]

        label_pn = problem.labels(difference(problem.r_true_psa))
        delta_pn = difference(process.r_psj)
        loss_pn = -label_pn * logsigmoid(delta_pn) - (1.0 - label_pn) * logsigmoid(-delta_pn)
        known_pn1 = loss_pn.detach().unsqueeze(-1)
        one = torch.ones_like(known_pn1[0, 0])
        gain_pn = (known_pn1 - self.baseline(pairs.first, one, known_pn1)).squeeze(-1)
        score_pn = process.score(pairs.first).sum(-1) + process.score(pairs.second).sum(-1)
        return (pairs.weight_pn * (loss_pn + gain_pn * score_pn)).sum(-1)


OBJECTIVE = Objective[Rlhf]("rlhf", "(2.5)", PreferenceLoss())

r"""The preference loss (2.5) as a subject: pairs of segments, which no combination of values is.

One estimate is that of :class:`sampled.objectives.rlhf.PreferenceLoss` from one pair of trajectories of
delay + L steps, for each of many copies of the problem at once.  It is never truncated: the exact
gradient is what it declares.  With D = max |r_x(s,a) - r_x(t,b)| the loss of a pair is between 0 and
l = log(1 + exp(L D)), and its slope in the difference of the returns at most 1 in size, so that

    |d_i loss| <= L (max_sa d_i r_x - min_sa d_i r_x)                        in x, at fixed transitions
    |loss d_sa log Pr| <= 2 (delay + L) l max(pi(a|s), 1 - pi(a|s))          in the logits.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from reference.objectives.rlhf import OBJECTIVE as EXACT
from reference.policies import SoftmaxPolicy
from reference.problems.rlhf import Rlhf
from reference.problems.structure import stack
from reference.validation import Array
from sampled.conversion import tensors
from sampled.estimators.gpomdp import Gpomdp
from sampled.expectations import MonteCarlo
from sampled.objectives.rlhf import OBJECTIVE
from sampled.sources import Independent
from verify.audit.contract import Subject
from verify.audit.decomposition import Decomposition
from verify.audit.problems import Setting
from verify.audit.ranges import jacobian
from verify.audit.walks import leaf


def subject(name: str, setting: Setting) -> Subject:
    """Return the preference loss of a problem as the subject of an audit."""
    problem: Rlhf = setting.problem
    (y,) = setting.logits
    soft = SoftmaxPolicy((y.shape[0], y.shape[1]))
    exact = EXACT.evaluate(problem, setting.x, (soft(y),))
    blocks = {"x": exact.grad_x, "y": soft.pullback(y, exact.grad_policies[0])}
    reach = np.concatenate([part.reshape(-1) for part in _reach(setting)])
    return Subject(
        name,
        f"preference loss (2.5) on {setting.name}",
        {block: part.shape for block, part in blocks.items()},
        Decomposition(blocks, blocks, ()),
        -reach,
        reach,
        partial(_draw, setting, cache(partial(_copies, problem))),
        most_rows=2048,
    )


def _copies(problem: Rlhf, rows: int) -> Any:
    return tensors(stack([problem] * rows))


def _reach(setting: Setting) -> tuple[Array, Array]:
    """Largest sizes of an estimate in x and in the logits; see the module."""
    problem: Rlhf = setting.problem
    x = leaf(setting.x)
    r_psa = tensors(problem).at(x).r_psa
    table = r_psa.detach().numpy()
    slope_isa = jacobian(r_psa, (x,))
    count, steps = problem.segment_length, problem.segment_length + problem.delay
    in_x = count * (slope_isa.max((-2, -1)) - slope_isa.min((-2, -1)))
    loss = float(np.logaddexp(0.0, count * np.ptp(table)))
    (y,) = setting.logits
    pi_sa = SoftmaxPolicy((y.shape[0], y.shape[1]))(y)
    return in_x, 2.0 * steps * loss * np.maximum(pi_sa, 1.0 - pi_sa)


def _draw(
    setting: Setting, copies: Callable[[int], Any], rows: int, generator: torch.Generator
) -> Array:
    def repeated(array: Array) -> Tensor:
        return torch.from_numpy(np.array(array)).expand(rows, *array.shape).clone().requires_grad_()

    x, y = repeated(setting.x), repeated(setting.logits[0])
    mean = MonteCarlo(Gpomdp(1), 1, Independent(generator))
    problem = copies(rows)
    total = OBJECTIVE.estimate(problem, x, (y.softmax(-1),), mean)
    parts = torch.autograd.grad(total.sum(), (x, y), allow_unused=True, materialize_grads=True)
    return torch.cat([part.reshape(rows, -1) for part in parts], 1).numpy()

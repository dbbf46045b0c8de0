r"""Paired tests over seeds, their correction and their effect sizes.

For the differences d_1, ..., d_n of two methods on the same seeds, with mean m and deviation s::

    t = m / (s / sqrt(n)),  n - 1 degrees of freedom           paired t-test
    Wilcoxon's signed ranks, exact for n <= 50 without ties
    d_z = m / s                                                 effect size

Both tests are two-sided.  **Holm's correction** of p_(1) <= ... <= p_(k), which bounds the
probability of any false rejection: the i-th becomes max over j <= i of min(1, (k - j + 1) p_(j)).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from reference.errors import InputError
from reference.validation import Array, real_array

LEVEL = 0.05
"""Probability of any false rejection in one family."""


@dataclass(frozen=True)
class Paired:
    """Differences of pairs.

    Attributes
    ----------
    n : int
    positive : int
        How many are above zero.
    mean, error : float
        Mean and its standard error.
    low, high : float
        The 95 % interval of the mean by the t distribution.
    effect : float
        d_z; infinite if all differences are equal and not zero.
    p_t, p_rank : float
        Two-sided.
    """

    n: int
    positive: int
    mean: float
    error: float
    low: float
    high: float
    effect: float
    p_t: float
    p_rank: float


def paired(differences: Array) -> Paired:
    """Test the differences of pairs against zero.

    Parameters
    ----------
    differences : (n,)

    Raises
    ------
    InputError
        If there are fewer than two, or they are not finite.
    """
    d = real_array("differences", differences)
    if d.ndim != 1 or len(d) < 2:
        raise InputError(f"differences has shape {d.shape}; a paired test needs two pairs or more")
    n = len(d)
    mean, deviation = float(d.mean()), float(d.std(ddof=1))
    error = deviation / float(np.sqrt(n))
    if error == 0.0:
        p_t, effect = (1.0, 0.0) if mean == 0.0 else (0.0, float(np.copysign(np.inf, mean)))
    else:
        p_t, effect = float(2.0 * stats.t.sf(abs(mean) / error, n - 1)), mean / deviation
    half = float(stats.t.ppf(0.975, n - 1)) * error
    p_rank = float(stats.wilcoxon(d, zero_method="zsplit").pvalue) if d.any() else 1.0
    return Paired(n, int((d > 0.0).sum()), mean, error, mean - half, mean + half, effect, p_t, p_rank)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of one family; the order is kept.

    Raises
    ------
    InputError
        If one is not in [0, 1].
    """
    if not all(0.0 <= p <= 1.0 for p in p_values):
        raise InputError(f"p_values are {list(p_values)}; each must be in [0, 1]")
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = largest
    return corrected

"""Tests of samples whose false-alarm probability is known, not asymptotic.

Seeds are fixed, so a test that passes once always passes; the level says how likely a correct program
was to fail when the seed was chosen.
"""

from math import comb

import numpy as np
import numpy.typing as npt
from scipy import stats

LEVEL = 1e-6
"""False-alarm probability of each test."""


def multinomial_p_value(count_k: npt.ArrayLike, p_k: npt.ArrayLike) -> float:
    """Exact multinomial test: probability of all count vectors that are no likelier than this one."""
    counts, p = np.asarray(count_k), np.asarray(p_k)
    n, k = int(counts.sum()), len(counts)
    assert comb(n + k - 1, k - 1) <= 200_000, "too many count vectors to enumerate"
    bars = np.array(list(_compositions(n, k)))
    law = stats.multinomial.pmf(bars, n, p)
    # Equally likely vectors must count, whatever the rounding of their probabilities.
    observed = stats.multinomial.pmf(counts, n, p) * (1.0 + 1e-9)
    return float(law[law <= observed].sum())


def _compositions(n: int, k: int) -> list[tuple[int, ...]]:
    if k == 1:
        return [(n,)]
    return [(i, *rest) for i in range(n + 1) for rest in _compositions(n - i, k - 1)]


def binomial_p_value(count_k: npt.ArrayLike, n: npt.ArrayLike, p_k: npt.ArrayLike) -> float:
    """Smallest of many exact two-sided binomial tests, times their number (Bonferroni)."""
    counts, trials, p = (np.asarray(a) for a in np.broadcast_arrays(count_k, n, p_k))
    law = stats.binom(trials, p)
    two_sided = 2.0 * np.minimum(law.cdf(counts), law.sf(counts - 1))
    return float(min(1.0, two_sided.min() * counts.size))


def hoeffding_radius(n: int, spread: float, tests: int = 1) -> float:
    """How far a mean of n independent numbers in an interval of that length may be, at ``LEVEL``."""
    return float(spread * np.sqrt(np.log(2.0 * tests / LEVEL) / (2.0 * n)))

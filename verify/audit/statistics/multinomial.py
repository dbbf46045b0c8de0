r"""Tier 1: whether counts follow a given law, exactly and at every number of draws.

Draws C_1, C_2, ... of K outcomes, each with the law p given the past.  For a Dirichlet law of the
probabilities with parameters b p, the marginal likelihood over that of p is

    E_n = [ G(b) / G(b + n) prod_k G(b p_k + n_k) / G(b p_k) ]  /  prod_k p_k^{n_k},      G = Gamma,

with the counts n_k of n draws.  Under p a likelihood ratio is a martingale that starts at one, and so
is a mean of several, here over b = K 4^i: an e-process, whose supremum reaches 1/a with probability at
most a (Ville).  It is exact for every n and p: no expected count needs to be large.  An outcome of
probability zero that is seen makes it infinite.

Rows of a table, such as the next states of each pair (s, a), are drawn from in an order that the past
decides; the product of the rows' ratios is a martingale for the whole sequence, so their logarithms
are added.
"""

import numpy as np
from scipy.special import gammaln, logsumexp

from reference.validation import Array

STRENGTHS = 4.0 ** np.arange(8)
"""b / K: from laws that are nothing like p to such as differ by a few per cent."""


def log_e_value(count_rk: Array, p_rk: Array) -> float:
    """Logarithm of the e-value of counts (R, K) under the laws (R, K).

    Rows without draws do not count.
    """
    counts, p = np.atleast_2d(count_rk), np.atleast_2d(p_rk)
    possible = p > 0.0
    if (counts[~possible] > 0).any():
        return float("inf")
    outcomes = possible.sum(axis=-1)  # K of each row
    n = counts.sum(axis=-1)
    fixed = np.where(possible, counts * np.log(np.where(possible, p, 1.0)), 0.0).sum(axis=-1)
    logs = []
    for strength in STRENGTHS:
        b = strength * outcomes
        prior = np.where(possible, b[:, None] * p, 1.0)
        each = np.where(possible, gammaln(prior + counts) - gammaln(prior), 0.0).sum(axis=-1)
        logs.append(float((gammaln(b) - gammaln(b + n) + each - fixed).sum()))
    return float(logsumexp(logs) - np.log(len(STRENGTHS)))

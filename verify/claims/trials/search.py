r"""A maximiser for ratios that are computed for many instances at once.

`verify.claims.trials.instances.adversary` evaluates one instance at a time; here a population is
evaluated as a batch.  The better quarter survives, and the rest are its members moved by normal steps of
a size that shrinks and grows again, so that both far and fine moves are tried throughout.
"""

from collections.abc import Callable

import numpy as np

from reference.validation import Array
from verify.claims.trials.instances import generator_of
from verify.contract import Context, Level

GENERATIONS = {Level.QUICK: 6, Level.STANDARD: 60, Level.DEEP: 600}
"""Of 64 members each."""

MOVES = (1.0, 0.3, 0.1, 0.03, 0.01)
"""Sizes of the steps, in turn."""


def evolved(
    context: Context,
    claim: str,
    dimension: int,
    ratios: Callable[[Array], Array],
    *,
    generations: int | None = None,
) -> Array:
    """Return the best vector found.

    Parameters
    ----------
    context : Context
    claim : str
        Seeds the search.
    dimension : int
    ratios : callable, (B, dimension) -> (B,)
    generations : int, optional
        By the level if not given.
    """
    generator = generator_of(context, f"{claim} search")
    population = 2.0 * generator.standard_normal((64, dimension))
    for i in range(GENERATIONS[context.level] if generations is None else generations):
        found = ratios(population)
        # A ratio that is not a number is a finding, not a failure.
        parents = population[np.argsort(-np.nan_to_num(found, nan=np.inf), kind="stable")[:16]]
        moves = MOVES[i % len(MOVES)] * generator.standard_normal((3, 16, dimension))
        population = np.concatenate([parents, *(parents + moves)])
    return np.asarray(population[0])

"""Both players of a zero-sum game maximise the same value."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="both players of a zero-sum game maximise the same value",
    module="sampled.algorithms.bilevel",
    old="(1.0, -1.0)[: len",
    new="(1.0, 1.0)[: len",
    suspects=("algorithms.no_incentive",),
)

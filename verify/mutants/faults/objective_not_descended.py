"""PBRL descends the penalty alone."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="PBRL descends the penalty alone",
    module="sampled.algorithms.pbrl",
    old="f + strength * p",
    new="strength * p",
    suspects=("algorithms.pbrl_value",),
)

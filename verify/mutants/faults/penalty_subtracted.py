"""PBRL subtracts the penalty."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="PBRL subtracts the penalty",
    module="sampled.algorithms.pbrl",
    old="f + strength * p",
    new="f - strength * p",
    suspects=("algorithms.pbrl_value",),
)

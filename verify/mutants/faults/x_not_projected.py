"""PBRL does not project x."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="PBRL does not project x",
    module="sampled.algorithms.pbrl",
    old="bilevel.domain.project(moved[0])",
    new="moved[0]",
    suspects=("algorithms.pbrl_value",),
)

"""PBRL does not project the players' parameters."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="PBRL does not project the players' parameters",
    module="sampled.algorithms.pbrl",
    old="bilevel.projected_y(moved[1:])",
    new="moved[1:]",
    suspects=("algorithms.pbrl_value",),
)

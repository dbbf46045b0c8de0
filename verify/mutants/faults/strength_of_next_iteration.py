"""Lambda is that of the next iteration."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="lambda is that of the next iteration",
    module="sampled.algorithms.pbrl",
    old='scheduled("strength", self.strength, k)',
    new='scheduled("strength", self.strength, k + 1)',
    suspects=("algorithms.pbrl_value",),
)

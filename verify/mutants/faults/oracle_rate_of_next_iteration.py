"""The oracle's rate is that of the next iteration."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the oracle's rate is that of the next iteration",
    module="sampled.algorithms.oracles",
    old='scheduled("size", self.size, k)',
    new='scheduled("size", self.size, k + 1)',
    suspects=("algorithms.pbrl_value",),
)

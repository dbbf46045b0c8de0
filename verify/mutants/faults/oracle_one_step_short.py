"""The oracle makes one step less."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the oracle makes one step less",
    module="sampled.algorithms.oracles",
    old="range(self.steps)",
    new="range(self.steps - 1)",
    suspects=("algorithms.pbrl_value",),
)

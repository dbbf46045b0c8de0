"""The oracle descends the players' values."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the oracle descends the players' values",
    module="sampled.algorithms.oracles",
    old="part.detach() + eta * g",
    new="part.detach() - eta * g",
    suspects=("algorithms.pbrl_value",),
)

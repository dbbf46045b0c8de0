"""The oracle's steps go on where they ended, whatever was asked for."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the oracle's steps go on where they ended, whatever was asked for",
    module="sampled.algorithms.oracles",
    old="z = state if self.carried else y",
    new="z = state",
    suspects=("algorithms.pbrl_value_afresh",),
)

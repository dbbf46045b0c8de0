"""The oracle's steps begin at the policy, whatever was carried on."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the oracle's steps begin at the policy, whatever was carried on",
    module="sampled.algorithms.oracles",
    old="z = state if self.carried else y",
    new="z = y",
    suspects=("algorithms.pbrl_value",),
)

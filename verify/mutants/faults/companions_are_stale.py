"""PBRL takes the companions from before the oracle's steps."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="PBRL takes the companions from before the oracle's steps",
    module="sampled.algorithms.pbrl",
    old="self.oracle.policies(bilevel, improved)",
    new="self.oracle.policies(bilevel, state.oracle)",
    suspects=("algorithms.pbrl_value",),
)

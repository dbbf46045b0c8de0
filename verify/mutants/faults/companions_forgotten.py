"""The state keeps the companions from before the oracle's steps."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the state keeps the companions from before the oracle's steps",
    module="sampled.algorithms.pbrl",
    old="            improved,\n            memory,",
    new="            state.oracle,\n            memory,",
    suspects=("algorithms.pbrl_value",),
)

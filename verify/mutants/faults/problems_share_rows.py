"""All problems of a batch follow the policy and the transitions of the first."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="all problems of a batch follow the policy and the transitions of the first",
    module="sampled.simulator",
    old="table_m, base_m = walk_m * n_states,",
    new="table_m, base_m = 0 * walk_m,",
    suspects=("simulation.alias",),
)

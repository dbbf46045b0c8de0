"""Of several walks at once all follow the policy of the first."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="of several walks at once all follow the policy of the first",
    module="sampled.simulator",
    old="table_m, base_m = walk_m * n_states,",
    new="table_m, base_m = problem_m * n_states,",
    suspects=("simulation.mean",),
)

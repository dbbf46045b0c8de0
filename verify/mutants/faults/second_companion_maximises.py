"""Player 2's companion maximises the value that it should minimise."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="player 2's companion maximises the value that it should minimise",
    module="sampled.algorithms.oracles",
    old="(-1.0, lower_process(problem, x, (pi_1, best_2)))",
    new="(1.0, lower_process(problem, x, (pi_1, best_2)))",
    suspects=("algorithms.pbrl_nikaido_isoda",),
)

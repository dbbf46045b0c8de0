"""Player 1's companion faces player 2's companion."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="player 1's companion faces player 2's companion",
    module="sampled.algorithms.oracles",
    old="(best_1, pi_2)",
    new="(best_1, best_2)",
    suspects=("algorithms.pbrl_nikaido_isoda",),
)

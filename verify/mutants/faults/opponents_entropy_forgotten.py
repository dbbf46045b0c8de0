"""Player 1's MDP lacks the opponent's regulariser."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="player 1's MDP lacks the opponent's regulariser",
    module="reference.problems.zero_sum_game",
    old="+ self.tau * self.regularizer_2.value(pi_sb)[..., None]",
    new="+ 0.0 * self.regularizer_2.value(pi_sb)[..., None]",
    suspects=("nikaido_isoda.value",),
    statements=("lemma_12_gaps", "lemma_13a"),
)

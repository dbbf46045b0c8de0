"""Player 2's MDP has player 1's reward."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="player 2's MDP has player 1's reward",
    module="reference.problems.zero_sum_game",
    old='-np.einsum("...sab,...sa->...sb", self.r_sab, pi_sa)',
    new='np.einsum("...sab,...sa->...sb", self.r_sab, pi_sa)',
    suspects=("nikaido_isoda.value",),
    statements=("eq_d01", "lemma_13a", "lemma_13b"),
)

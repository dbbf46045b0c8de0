"""The follower is paid the leader's reward."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the follower is paid the leader's reward",
    module="reference.problems.stackelberg",
    old='np.einsum("...sab,...sa->...sb", self.r_follower_sab, pi_sa),',
    new='np.einsum("...sab,...sa->...sb", self.r_leader_sab, pi_sa),',
    suspects=("policy.v",),
    statements=("eq_c05", "lemma_07b", "lemma_09b", "lemma_18"),
)

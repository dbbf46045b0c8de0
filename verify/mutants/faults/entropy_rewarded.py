"""The regulariser is added to the reward instead of charged."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the regulariser is added to the reward instead of charged",
    module="reference.evaluation",
    old="(pi_sa * mdp.r_sa).sum(axis=-1) - mdp.tau",
    new="(pi_sa * mdp.r_sa).sum(axis=-1) + mdp.tau",
    suspects=("policy.v",),
    statements=("eq_b08", "eq_b10", "eq_c32", "lemma_18"),
)

"""Q is backed up without the discount."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="Q is backed up without the discount",
    module="reference.evaluation",
    old="return mdp.r_sa + mdp.gamma * next_values",
    new="return mdp.r_sa + next_values",
    suspects=("policy.q",),
    statements=("eq_b08", "eq_c17", "eq_c18", "eq_c19", "eq_c22", "lemma_20"),
)

"""The quadratic regulariser lacks its 1/2."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the quadratic regulariser lacks its 1/2",
    module="reference.regularizers",
    old="return 0.5 * np.asarray((pi_sa * pi_sa).sum(axis=-1))",
    new="return np.asarray((pi_sa * pi_sa).sum(axis=-1))",
    suspects=("policy.v",),
    statements=("eq_3_7", "eq_b10", "lemma_06", "lemma_08"),
)

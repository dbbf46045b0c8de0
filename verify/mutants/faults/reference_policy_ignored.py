"""The maximiser under KL forgets the reference policy."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the maximiser under KL forgets the reference policy",
    module="reference.regularizers",
    old="return np.asarray(softmax(q_sa / _rows(tau) + np.log(self.reference_sa), axis=-1))",
    new="return np.asarray(softmax(q_sa / _rows(tau), axis=-1))",
    suspects=("optimum.pi",),
    statements=("eq_c32", "lemma_07b", "lemma_09b"),
)

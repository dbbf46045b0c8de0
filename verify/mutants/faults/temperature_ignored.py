"""The entropic maximiser ignores its temperature."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the entropic maximiser ignores its temperature",
    module="reference.regularizers",
    old="return np.asarray(softmax(q_sa / _rows(tau), axis=-1))",
    new="return np.asarray(softmax(q_sa, axis=-1))",
    suspects=("optimum.pi",),
    statements=("eq_c32", "lemma_06", "lemma_08"),
)

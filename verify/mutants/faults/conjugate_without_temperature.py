"""The conjugate of the entropy lacks its factor tau."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the conjugate of the entropy lacks its factor tau",
    module="reference.regularizers",
    old="return np.asarray(tau * logsumexp(q_sa / _rows(tau), axis=-1))",
    new="return np.asarray(logsumexp(q_sa / _rows(tau), axis=-1))",
    suspects=("optimum.conjugate",),
)

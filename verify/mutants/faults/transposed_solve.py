"""Values are solved with the transposed chain."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="values are solved with the transposed chain",
    module="reference.resolvents",
    old="return self._apply(c_s, trans=1)",
    new="return self._apply(c_s, trans=0)",
    suspects=("policy.v",),
    statements=("eq_b08", "eq_c17", "lemma_02", "lemma_18"),
)

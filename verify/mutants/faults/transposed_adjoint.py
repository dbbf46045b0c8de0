"""Visits are solved with the chain instead of its transpose."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="visits are solved with the chain instead of its transpose",
    module="reference.resolvents",
    old="return self._apply(mu_s, trans=0)",
    new="return self._apply(mu_s, trans=1)",
    suspects=("policy.occupancy",),
    statements=("eq_b10", "eq_c05", "lemma_07a", "lemma_09a"),
)

"""Mirror descent forgets to shrink by 1 + eta tau."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="mirror descent forgets to shrink by 1 + eta tau",
    module="reference.optimality",
    old="/ (1.0 + step * mdp.tau)",
    new="/ (1.0 + step)",
    suspects=("optimum.v_by_mirror",),
    statements=("appendix_c7", "eq_c32"),
)

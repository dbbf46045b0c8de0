"""Rho stands where the visits belong in the policy gradient."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="rho stands where the visits belong in the policy gradient",
    module="reference.evaluation",
    old="return _where_visited(evaluation.visits_s, slope_sa)",
    new="return _where_visited(mdp.rho_s, slope_sa)",
    suspects=("policy.grad_pi",),
    statements=("theorem_11",),
)

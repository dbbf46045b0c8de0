"""Visits stand where rho belongs in the Bellman gradient."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="visits stand where rho belongs in the Bellman gradient",
    module="reference.penalties.bellman",
    old="grad_pi = mdp.rho_s[..., None] * (",
    new="grad_pi = best.visits_s[..., None] * (",
    suspects=("bellman_penalty.grad_pi",),
    statements=("theorem_11",),
)

"""The gradient in x is taken at the policy alone."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the gradient in x is taken at the policy alone",
    module="reference.penalties.bellman",
    old="mdp.rho_s[..., None] * (best.pi_sa - pi_sa))",
    new="mdp.rho_s[..., None] * best.pi_sa)",
    suspects=("bellman_penalty.grad_x",),
    statements=("theorem_11",),
)

"""The Bellman gradient in the policy lacks tau."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the Bellman gradient in the policy lacks tau",
    module="reference.penalties.bellman",
    old="mdp.tau * h.gradient(pi_sa) - best.q_sa",
    new="h.gradient(pi_sa) - best.q_sa",
    suspects=("bellman_penalty.grad_pi",),
    statements=("theorem_11",),
)

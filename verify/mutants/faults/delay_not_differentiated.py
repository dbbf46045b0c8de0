"""The policy's influence on where segments begin is forgotten."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the policy's influence on where segments begin is forgotten",
    module="reference.objectives.rlhf",
    old="grad_sa += mu_s[:, None] * ahead_sa",
    new="grad_sa += 0.0 * ahead_sa",
    suspects=("preference_loss.grad_pi",),
)

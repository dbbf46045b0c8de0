"""Only the first segment's probability is differentiated."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="only the first segment's probability is differentiated",
    module="reference.objectives.rlhf",
    old="loss_from + loss_to, p_c",
    new="loss_from, p_c",
    suspects=("preference_loss.grad_pi",),
)

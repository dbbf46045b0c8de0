"""Both players' gradients in x are added."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="both players' gradients in x are added",
    module="reference.penalties.nikaido_isoda",
    old="-best_2.visits_s[..., None, None] * best_2.joint_sab",
    new="best_2.visits_s[..., None, None] * best_2.joint_sab",
    suspects=("nikaido_isoda.grad_x",),
    statements=("theorem_16",),
)

"""The first player answers its own policy's opponent chain with the second's best response."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the first player answers its own policy's opponent chain with the second's best response",
    module="reference.penalties.nikaido_isoda",
    old="grad_1, _ = joint_policy_gradients(best_2, q_ksab[..., 1, :, :, :])",
    new="grad_1, _ = joint_policy_gradients(best_1, q_ksab[..., 0, :, :, :])",
    suspects=("nikaido_isoda.grad_pi1",),
    statements=("theorem_16",),
)

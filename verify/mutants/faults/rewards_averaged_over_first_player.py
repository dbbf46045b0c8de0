"""The first player's slope is averaged with its own policy's marginal."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the first player's slope is averaged with its own policy's marginal",
    module="reference.evaluation",
    old='slope_sa = np.einsum("...sab,...sb->...sa", q_sab, evaluation.pi_sb)',
    new="slope_sa = q_sab.mean(axis=-1)",
    suspects=("joint_policy.grad_pi1",),
    statements=("theorem_16",),
)

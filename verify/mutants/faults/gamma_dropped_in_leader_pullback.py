"""DP/dx is not discounted."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="dP/dx is not discounted",
    module="reference.problems.stackelberg",
    old="self.r_follower_sab[..., None, :, :, :] + self.gamma * next_ksab",
    new="self.r_follower_sab[..., None, :, :, :] + next_ksab",
    suspects=("policy.grad_x",),
)

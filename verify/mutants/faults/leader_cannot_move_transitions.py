"""The gradient in x lacks dP/dx."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the gradient in x lacks dP/dx",
    module="reference.problems.stackelberg",
    old="self.r_follower_sab[..., None, :, :, :] + self.gamma * next_ksab",
    new="self.r_follower_sab[..., None, :, :, :] + 0.0 * next_ksab",
    suspects=("policy.grad_x",),
)

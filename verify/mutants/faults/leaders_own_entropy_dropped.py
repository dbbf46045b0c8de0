"""The leader's gradient lacks its own regulariser."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the leader's gradient lacks its own regulariser",
    module="reference.objectives.stackelberg",
    old="grad_sa = grad_sa - game.tau_leader",
    new="grad_sa = grad_sa - 0.0",
    suspects=("leader_loss.grad_x",),
)

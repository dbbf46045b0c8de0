"""The leader earns the follower's reward."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the leader earns the follower's reward",
    module="sampled.processes",
    old="game.r_leader_psab, game.gamma",
    new="game.r_follower_psab, game.gamma",
    suspects=("twins.leader_loss",),
)

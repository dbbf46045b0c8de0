"""The follower earns the leader's reward."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the follower earns the leader's reward",
    module="sampled.processes",
    old="game.r_follower_psab, game.gamma",
    new="game.r_leader_psab, game.gamma",
    suspects=("twins.value_penalty_b",),
)

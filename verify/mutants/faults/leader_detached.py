"""The leader's policy is detached: no gradient in x."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the leader's policy is detached: no gradient in x",
    module="sampled.processes",
    old="return game.leader(x).expand",
    new="return game.leader(x.detach()).expand",
    suspects=("twins.leader_loss",),
)

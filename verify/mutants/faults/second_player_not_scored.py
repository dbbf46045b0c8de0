"""The second player's actions are not scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the second player's actions are not scored",
    module="sampled.processes",
    old="chance_pnh * trajectories.at_own_actions(i, pi)",
    new="chance_pnh * trajectories.at_own_actions(i, pi.detach())",
    suspects=("twins.leader_loss",),
)

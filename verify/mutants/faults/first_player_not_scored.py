"""The first player's actions are not scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the first player's actions are not scored",
    module="sampled.processes",
    old="trajectories.at_own_actions(0, self.policies[0])",
    new="trajectories.at_own_actions(0, self.policies[0].detach())",
    suspects=("twins.leader_loss",),
)

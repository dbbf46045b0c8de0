"""The leader minimises its own value."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the leader minimises its own value",
    module="sampled.objectives.stackelberg",
    old="((-1.0, leader_process",
    new="((1.0, leader_process",
    suspects=("twins.leader_loss",),
)

"""Segments begin at the start of the trajectory."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="segments begin at the start of the trajectory",
    module="sampled.objectives.rlhf",
    old="[..., problem.delay :].sum(-1)",
    new="[..., : problem.segment_length].sum(-1)",
    suspects=("twins.preference_loss",),
)

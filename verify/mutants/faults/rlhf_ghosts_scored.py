"""Actions of ghosts are scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="actions of ghosts are scored",
    module="sampled.rlhf.preferences",
    old="scored_nh = alive_nh & (step < start_n[:, None] + settings.segment_length)",
    new="scored_nh = step < start_n[:, None] + settings.segment_length",
    suspects=("networks.upper_level",),
)

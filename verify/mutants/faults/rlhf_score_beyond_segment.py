"""Actions behind the segment are scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="actions behind the segment are scored",
    module="sampled.rlhf.preferences",
    old="scored_nh = alive_nh & (step < start_n[:, None] + settings.segment_length)",
    new="scored_nh = track.alive_nh",
    suspects=("networks.upper_level",),
)

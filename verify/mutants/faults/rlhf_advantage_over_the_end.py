"""Advantages flow over the end of an episode."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="advantages flow over the end of an episode",
    module="sampled.rlhf.a2c",
    old="(~(track.over_nh | track.ghost_nh))",
    new="(~track.ghost_nh)",
    suspects=("networks.lower_level",),
)

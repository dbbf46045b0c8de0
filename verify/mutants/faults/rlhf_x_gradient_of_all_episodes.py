"""The x-gradient of RLHF's penalty goes on in the next episode."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the x-gradient of RLHF's penalty goes on in the next episode",
    module="sampled.rlhf.bilevel",
    old="lane_i, step_i = track.first_nh.nonzero().unbind(1)\n    share",
    new="lane_i, step_i = track.alive_nh.nonzero().unbind(1)\n    share",
    suspects=("networks.lower_level",),
)

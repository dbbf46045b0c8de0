"""The x-gradient of RLHF's penalty forgets how many steps stand for one that is drawn."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the x-gradient of RLHF's penalty forgets how many steps stand for one that is drawn",
    module="sampled.rlhf.bilevel",
    old="share = lane_i.numel() / u_i.numel()",
    new="share = 1.0",
    suspects=("networks.lower_level",),
)

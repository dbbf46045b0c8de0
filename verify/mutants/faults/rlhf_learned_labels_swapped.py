"""The reward model takes labels for their opposite."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the reward model takes labels for their opposite",
    module="sampled.rlhf.rewards",
    old="return -label_m * logsigmoid(difference_m) - (1.0 - label_m) * logsigmoid(-difference_m)",
    new="return -label_m * logsigmoid(-difference_m) - (1.0 - label_m) * logsigmoid(difference_m)",
    suspects=("networks.upper_level",),
)

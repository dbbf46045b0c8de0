"""The x-gradient of RLHF's penalty has the wrong sign."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the x-gradient of RLHF's penalty has the wrong sign",
    module="sampled.rlhf.bilevel",
    old="return best - discounted_rewards(",
    new="return -best + discounted_rewards(",
    suspects=("networks.lower_level",),
)

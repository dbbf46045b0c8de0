"""The actor-critic punishes entropy."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the actor-critic punishes entropy",
    module="sampled.rlhf.a2c",
    old="settings.value_weight * critic - settings.entropy * bonus",
    new="settings.value_weight * critic + settings.entropy * bonus",
    suspects=("networks.lower_level",),
)

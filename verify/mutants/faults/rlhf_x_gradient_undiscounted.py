"""The x-gradient of RLHF's penalty is not discounted."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the x-gradient of RLHF's penalty is not discounted",
    module="sampled.rlhf.bilevel",
    old="weight_i = share * gamma ** track.age_nh[lane_i, step_i].to(reward_i.dtype)",
    new="weight_i = share * torch.ones_like(reward_i)",
    suspects=("networks.lower_level",),
)

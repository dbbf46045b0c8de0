"""A little of the true reward leaks into the policy's update."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="a little of the true reward leaks into the policy's update",
    module="sampled.rlhf.a2c",
    old="paid_nh = reward_nh.detach().to(value_nh.dtype)",
    new="paid_nh = reward_nh.detach().to(value_nh.dtype) + 1e-3 * track.true_nh",
    suspects=("networks.lower_level",),
)

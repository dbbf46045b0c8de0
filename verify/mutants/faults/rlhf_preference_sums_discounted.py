"""The sums of rewards that are compared are discounted."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the sums of rewards that are compared are discounted",
    module="sampled.rlhf.rewards",
    old="reward_nl = reward.view(segments.count, segments.length)",
    new=(
        "reward_nl = reward.view(segments.count, segments.length) * 0.99 ** torch.arange("
        "segments.length)"
    ),
    suspects=("networks.upper_level",),
)

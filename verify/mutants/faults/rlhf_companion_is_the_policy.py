"""RLHF's companion is the current policy."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="RLHF's companion is the current policy",
    module="sampled.rlhf.bilevel",
    old="best = discounted_rewards(chosen, companion, gamma, u_i, weights[1])",
    new="best = discounted_rewards(chosen, own, gamma, u_i, weights[0])",
    suspects=("networks.lower_level",),
)

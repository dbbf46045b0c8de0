"""A temporal difference does not discount the next value."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="a temporal difference does not discount the next value",
    module="sampled.estimators.actor_critic",
    old="+ gamma * value_pnh[..., 1:]",
    new="+ value_pnh[..., 1:]",
    suspects=("estimators.actor_critic_one_step",),
)

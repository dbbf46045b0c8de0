"""A temporal difference subtracts the next value in place of the present one."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="a temporal difference subtracts the next value in place of the present one",
    module="sampled.estimators.actor_critic",
    old="- value_pnh[..., :-1]",
    new="- value_pnh[..., 1:]",
    suspects=("estimators.actor_critic_one_step",),
)

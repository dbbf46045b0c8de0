"""Advantages of late steps weigh as much as those of the first."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="advantages of late steps weigh as much as those of the first",
    module="sampled.estimators.actor_critic",
    old="powers(process.gamma if self.discounted else 1.0",
    new="powers(1.0 if self.discounted else 1.0",
    suspects=("estimators.actor_critic_measured",),
)

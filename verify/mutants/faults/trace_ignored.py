"""Every advantage is measured to the end, whatever lambda."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="every advantage is measured to the end, whatever lambda",
    module="sampled.estimators.actor_critic",
    old="_decay(gamma * self.trace,",
    new="_decay(gamma,",
    suspects=("estimators.actor_critic_generalised",),
)

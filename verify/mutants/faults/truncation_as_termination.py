"""Truncation is taken for termination: nothing follows the last step."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="truncation is taken for termination: nothing follows the last step",
    module="sampled.estimators.actor_critic",
    old="value_pnh = trajectories.at_states(self.critic_ps)\n",
    new="value_pnh = trajectories.at_states(self.critic_ps).clone()\n        value_pnh[..., -1] = 0.0\n",
    suspects=("estimators.actor_critic_one_step",),
)

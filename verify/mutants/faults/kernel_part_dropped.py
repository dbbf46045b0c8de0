"""The pullback of a family lacks the transitions."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the pullback of a family lacks the transitions",
    module="reference.problems.mdp",
    old="else from_reward + self.gamma * from_kernel",
    new="else from_reward",
    suspects=("policy.grad_x",),
    statements=("theorem_11",),
)

"""Policies are judged by the shaped task."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="policies are judged by the shaped task",
    module="sampled.objectives.reward_shaping",
    old="task_process(problem.original, policies)",
    new="task_process(problem.at(x.detach()), policies)",
    suspects=("twins.shaping_loss",),
)

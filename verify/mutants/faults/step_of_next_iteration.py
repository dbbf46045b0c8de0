"""The step size is that of the next iteration."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the step size is that of the next iteration",
    module="sampled.algorithms.steps",
    old='        """z - alpha_k g."""\n        alpha = scheduled("size", self.size, k)',
    new='        """z - alpha_k g."""\n        alpha = scheduled("size", self.size, k + 1)',
    suspects=("algorithms.pbrl_value",),
)

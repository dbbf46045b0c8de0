"""The losing segment is labelled as preferred."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the losing segment is labelled as preferred",
    module="reference.objectives.rlhf",
    old="l_0 = problem.labels(true_c[some, None] - true_c)",
    new="l_0 = problem.labels(true_c - true_c[some, None])",
    suspects=("preference_loss.value",),
)

"""Only the first segment's actions are scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="only the first segment's actions are scored",
    module="sampled.objectives.rlhf",
    old=" + process.score(pairs.second).sum(-1)",
    new="",
    suspects=("twins.preference_loss",),
)

"""Actions before a segment are not scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="actions before a segment are not scored",
    module="sampled.objectives.rlhf",
    old="score_pn = process.score(pairs.first).sum(-1) + process.score(pairs.second).sum(-1)",
    new="scores = [process.score(batch)[..., problem.delay :] for batch in both]\n"
    "        score_pn = scores[0].sum(-1) + scores[1].sum(-1)",
    suspects=("twins.preference_loss",),
)

"""Only the first stored segment of a pair is scored."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="only the first stored segment of a pair is scored",
    module="sampled.rlhf.bilevel",
    old="return scores[0] + scores[1]",
    new="return scores[0]",
    suspects=("networks.segments",),
)

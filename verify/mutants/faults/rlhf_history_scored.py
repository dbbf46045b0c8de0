"""The whole history is scored where the segment is due."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the whole history is scored where the segment is due",
    module="sampled.rlhf.bilevel",
    old="scored_nh = histories.scored_nh if span is Span.HISTORY else histories.within_nh",
    new="scored_nh = histories.scored_nh",
    suspects=("networks.segments",),
)

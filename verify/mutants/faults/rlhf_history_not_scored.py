"""The score stops at the segment where the whole history is due."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the score stops at the segment where the whole history is due",
    module="sampled.rlhf.bilevel",
    old="scored_nh = histories.scored_nh if span is Span.HISTORY else histories.within_nh",
    new="scored_nh = histories.within_nh",
    suspects=("networks.upper_level",),
)

"""The upper level's surrogate in the policy ascends."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the upper level's surrogate in the policy ascends",
    module="sampled.rlhf.bilevel",
    old="gain_m = centred(loss_m.detach(), rule).to(score_m.dtype)",
    new="gain_m = -centred(loss_m.detach(), rule).to(score_m.dtype)",
    suspects=("networks.upper_level",),
)

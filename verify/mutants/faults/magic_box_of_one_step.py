"""The magic box holds one step instead of all so far."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the magic box holds one step instead of all so far",
    module="sampled.estimators.dice",
    old="ratio_pnh.cumprod(-1)",
    new="ratio_pnh",
    suspects=("estimators.dice_no_baseline",),
)

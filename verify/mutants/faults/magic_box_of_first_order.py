"""The magic box adds ratios in place of their product, right to first order."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the magic box adds ratios in place of their product, right to first order",
    module="sampled.estimators.dice",
    old="ratio_pnh.cumprod(-1)",
    new="(1.0 + (ratio_pnh - 1.0).cumsum(-1))",
    suspects=("algorithms.meta_gradient",),
)

"""An action gets credit for the past instead of the future."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="an action gets credit for the past instead of the future",
    module="sampled.estimators.contract",
    old="return paid_pnh.flip(-1).cumsum(-1).flip(-1)",
    new="return paid_pnh.cumsum(-1)",
    suspects=("estimators.gpomdp_no_baseline",),
)

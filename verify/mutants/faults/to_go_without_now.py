"""An action gets no credit for what it earns at once."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="an action gets no credit for what it earns at once",
    module="sampled.estimators.contract",
    old="return paid_pnh.flip(-1).cumsum(-1).flip(-1)",
    new="return paid_pnh.flip(-1).cumsum(-1).flip(-1) - paid_pnh",
    suspects=("estimators.gpomdp_no_baseline",),
)

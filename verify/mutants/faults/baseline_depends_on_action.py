"""The baseline is read at the state that the action led to."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the baseline is read at the state that the action led to",
    module="sampled.baselines",
    old="values_pnh[..., : to_go_pnh.shape[-1]]",
    new="values_pnh[..., 1 : 1 + to_go_pnh.shape[-1]]",
    suspects=("estimators.gpomdp_state_values",),
)

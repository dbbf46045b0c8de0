"""Discounting starts one step early."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="discounting starts one step early",
    module="sampled.estimators.contract",
    old="return torch.pow(base, step_h)",
    new="return torch.pow(base, step_h + 1)",
    suspects=("estimators.gpomdp_no_baseline",),
)

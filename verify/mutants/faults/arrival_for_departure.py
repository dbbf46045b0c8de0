"""Policies are read at the state of arrival."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="policies are read at the state of arrival",
    module="sampled.trajectories",
    old="row_pnh = self._state_rows_pnh[..., :-1]\n        return _read(table_psa",
    new="row_pnh = self._state_rows_pnh[..., 1:]\n        return _read(table_psa",
    suspects=("estimators.gpomdp_no_baseline",),
)

"""Steps beyond the length of a trajectory earn."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="steps beyond the length of a trajectory earn",
    module="sampled.estimators.contract",
    old="return weight_h, trajectories.counted(weight_h * earned_pnh)",
    new="return weight_h, weight_h * earned_pnh",
    suspects=("estimators.random_horizon_no_baseline",),
)

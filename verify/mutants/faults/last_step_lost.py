"""What the last step earns is lost."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="what the last step earns is lost",
    module="sampled.estimators.contract",
    old="return weight_h, trajectories.counted(weight_h * earned_pnh)",
    new="earned_pnh = earned_pnh * (powers(0.0, earned_pnh.flip(-1)).flip(-1) == 0.0)\n"
    "    return weight_h, trajectories.counted(weight_h * earned_pnh)",
    suspects=("estimators.gpomdp_no_baseline",),
)

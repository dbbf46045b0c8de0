"""Tables of actions are read at the state of arrival."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="tables of actions are read at the state of arrival",
    module="sampled.trajectories",
    old="torch.add(actions_hm, self._rows_hm[:-1], alpha=prod(self.n_actions))",
    new="torch.add(actions_hm, self._rows_hm[1:], alpha=prod(self.n_actions))",
    suspects=("estimators.gpomdp_no_baseline",),
)

"""The visits after the first step are not discounted."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the visits after the first step are not discounted",
    module="reference.evaluation",
    old="arrivals_s = mdp.gamma * arrivals(mdp.P_sat, w_sa)",
    new="arrivals_s = arrivals(mdp.P_sat, w_sa)",
    suspects=("policy.q_grad_x",),
    statements=("eq_c30",),
)

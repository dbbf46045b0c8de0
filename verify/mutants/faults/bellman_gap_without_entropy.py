"""The Bellman penalty compares action values alone."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the Bellman penalty compares action values alone",
    module="reference.penalties.bellman",
    old="gap_s = gap_s - mdp.tau * (h.value(best.pi_sa) - h.value(pi_sa))",
    new="gap_s = gap_s - 0.0 * (h.value(best.pi_sa) - h.value(pi_sa))",
    suspects=("bellman_penalty.value",),
    statements=("theorem_11",),
)

"""Policy iteration returns its second iterate, with a bound of zero."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="policy iteration returns its second iterate, with a bound of zero",
    module="reference.optimality",
    old="        if iteration == max_iterations or not left_s.any():\n"
    "            break\n"
    "        P_st = greedy_chain",
    new="        if iteration == 1:\n"
    "            q_sa, none = found.q_sa, 0.0 * found.error\n"
    "            return Optimum(mdp, greedy(mdp, q_sa), found.v_s, q_sa, none, 1)\n"
    "        P_st = greedy_chain",
    suspects=("optimum.v",),
    statements=("lemma_04_optimum", "lemma_06", "lemma_12_gaps", "lemma_13a"),
)

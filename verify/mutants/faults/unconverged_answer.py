"""Policy iteration returns its second iterate, with a bound of zero."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="policy iteration returns its second iterate, with a bound of zero",
    module="reference.optimality",
    old="        if iteration == max_iterations or not left_s.any():\n"
    "            break\n"
    "        v_s = found.v_s + discounted_sum(greedy_chain",
    new="        if iteration == 1:\n"
    "            return Optimum(\n                mdp, greedy(mdp, found.q_sa), found.v_s, found.q_sa, 0.0 * found.error, 1)\n"
    "        v_s = found.v_s + discounted_sum(greedy_chain",
    suspects=("optimum.v",),
)

"""The sampled loss swaps the labels."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the sampled loss swaps the labels",
    module="sampled.objectives.rlhf",
    old="-label_pn * logsigmoid(delta_pn) - (1.0 - label_pn) * logsigmoid(-delta_pn)",
    new="-label_pn * logsigmoid(-delta_pn) - (1.0 - label_pn) * logsigmoid(delta_pn)",
    suspects=("twins.preference_loss",),
)

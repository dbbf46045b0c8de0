"""Running sums are taken in the order of the probabilities."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="running sums are taken in the order of the probabilities",
    module="sampled.laws",
    old="detach().to(torch.float64).cumsum(-1)",
    new="detach().to(torch.float64).sort(-1).values.cumsum(-1)",
    suspects=("simulation.running_sums",),
)

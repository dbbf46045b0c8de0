"""The designer's trajectories follow the players' kernel."""

from verify.mutants.mutant import Mutant

MUTANT = Mutant(
    fault="the designer's trajectories follow the players' kernel",
    module="sampled.processes",
    old="return Process(problem.designer, problem.net",
    new="players = problem.game.at(torch.zeros(1, *problem.game.shape).to(problem.cost_ps)).dynamics\n"
    "    return Process(players, problem.net",
    suspects=("twins.design_loss",),
)

r"""Meta-gradient from samples (Yang et al. 2021), the baseline of Section 6.3, with one inner step.

x descends the upper objective *after* each player's next step, and the estimated steps are
differentiated through.  With V_i the own value of player i::

    y_i' = Proj( y_i + beta grad^_{y_i} V_i(x, y) )                       all players at once
    x'   = Proj( x - alpha g^ ),    g^ = grad^_x f(x, y') + sum_i (d y_i' / dx)' grad^_{y_i} f(x, y')

The players' trajectories give grad^ V and its derivative in x, so their surrogate must be right to
second order; those of f are drawn afterwards, with the policies of y'.
"""

from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from sampled.algorithms.bilevel import Bilevel, ProblemT, gradients, leaves
from sampled.algorithms.contract import Schedule, State, scheduled
from sampled.algorithms.steps import StepRule
from sampled.errors import InputError
from sampled.expectations import Sampling
from sampled.processes import lower_process
from sampled.validation import instance, provides


@dataclass(frozen=True, eq=False)
class MetaGradient(Generic[ProblemT]):
    """Meta-gradient with one inner step.

    Parameters
    ----------
    bilevel : Bilevel
    rule_x : StepRule
        With the step alpha.
    size_y : Schedule
        The inner step beta.
    sampling : Sampling
        With an estimator of every order, such as :class:`sampled.estimators.dice.Dice`.

    Raises
    ------
    InputError
        If a part is of another kind, or the estimator's target is of first order only.
    """

    bilevel: Bilevel[ProblemT]
    rule_x: StepRule
    size_y: Schedule
    sampling: Sampling

    def __post_init__(self) -> None:
        instance("bilevel", self.bilevel, Bilevel)
        provides("rule_x", self.rule_x, StepRule)
        provides("size_y", self.size_y, Schedule)
        provides("sampling", self.sampling, Sampling)
        if not self.sampling.estimator.target.every_order:
            raise InputError(
                f"the estimator is {self.sampling.estimator}; its target is a gradient, and the "
                "meta-gradient differentiates it again: use sampled.estimators.dice.Dice"
            )

    def start(
        self, key_p: Tensor, x: Tensor | None = None, y: tuple[Tensor, ...] | None = None
    ) -> State:
        """First state: see :meth:`Bilevel.start`.

        Raises
        ------
        InputError
            As :meth:`Bilevel.start`.
        """
        first = self.bilevel.start(key_p, x, y)
        memory = self.rule_x.start((first.x,))
        return State(0, first.x, first.y, (), memory, first.key_p, first.steps_p)

    def step(self, state: State) -> State:
        """One inner step of the players, and one step of x through it.

        Raises
        ------
        InputError
            If the state belongs to another problem, or the next one is not finite.
        """
        bilevel, k = self.bilevel, self.bilevel.checked(state).k
        beta = scheduled("size_y", self.size_y, k)
        mean = self.sampling.at(k, state.key_p)
        with torch.enable_grad():
            x, *y = leaves((state.x, *state.y))
            here = bilevel.at(x)
            own_p = mean.value(lower_process(here.problem, x, bilevel.policies(y)))
            ascent = torch.autograd.grad(own_p.sum(), y, create_graph=True)
            ahead = bilevel.projected_y(
                [
                    part + sign * beta * g
                    for part, sign, g in zip(state.y, bilevel.signs, ascent, strict=True)
                ]
            )
            met = leaves(ahead)
            f, _ = here.evaluate(x, bilevel.policies(met), (), mean)
            grad_x, *grad_y = gradients(f, (x, *met), keep=True)
            (mixed_x,) = torch.autograd.grad(
                ahead, (x,), grad_y, allow_unused=True, materialize_grads=True
            )
        (moved,), memory = self.rule_x.step(k, (state.x,), (grad_x + mixed_x,), state.memory)
        return State(
            k + 1,
            bilevel.domain.project(moved),
            tuple(part.detach() for part in ahead),
            (),
            memory,
            state.key_p,
            state.steps_p + mean.steps_p,
        )

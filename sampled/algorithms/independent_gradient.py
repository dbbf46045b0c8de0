r"""Independent policy gradient from samples, the baseline of Section 6.1.

Nobody takes the others' reactions into account, and all move at once::

    x_{k+1}   = Proj_X( x_k - alpha grad_x f(x_k, y_k) )
    y_i,{k+1} = Proj_Y( y_i,k + beta grad_{y_i} V_i(x_k, y_k) )      each player's own value V_i

In a Stackelberg game x is the leader's policy.  With ``rule_x=None`` x is held fixed, and f is not
estimated: in incentive design that is the no-incentive baseline of Figure 3.
"""

from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from sampled.algorithms.bilevel import Bilevel, ProblemT, gradients, leaves, total
from sampled.algorithms.contract import State
from sampled.algorithms.steps import StepRule
from sampled.expectations import Sampling
from sampled.processes import lower_process
from sampled.validation import instance, provides


@dataclass(frozen=True, eq=False)
class IndependentGradient(Generic[ProblemT]):
    """Independent policy gradient.

    Parameters
    ----------
    bilevel : Bilevel
    rule_x : StepRule or None
        With the step alpha; ``None`` holds x fixed.
    rule_y : StepRule
        With the step beta.
    sampling : Sampling

    Raises
    ------
    InputError
        If a part is of another kind.
    """

    bilevel: Bilevel[ProblemT]
    rule_x: StepRule | None
    rule_y: StepRule
    sampling: Sampling

    def __post_init__(self) -> None:
        instance("bilevel", self.bilevel, Bilevel)
        if self.rule_x is not None:
            provides("rule_x", self.rule_x, StepRule)
        provides("rule_y", self.rule_y, StepRule)
        provides("sampling", self.sampling, Sampling)

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
        memory = self.rule_y.start(first.y)
        if self.rule_x is not None:
            memory += self.rule_x.start((first.x,))
        return State(0, first.x, first.y, (), memory, first.key_p, first.steps_p)

    def step(self, state: State) -> State:
        """One simultaneous update.

        Raises
        ------
        InputError
            If the state belongs to another problem, or the next one is not finite.
        """
        bilevel, k = self.bilevel, self.bilevel.checked(state).k
        mean = self.sampling.at(k, state.key_p)
        with torch.enable_grad():
            x, *y = leaves((state.x, *state.y))
            here, policies = bilevel.at(x), bilevel.policies(y)
            own = ((1.0, lower_process(here.problem, x, policies)),)
            if self.rule_x is None:
                ascent = gradients(total(own, mean), y)
            else:
                f, value = here.evaluate(x, policies, own, mean)
                grad_x = gradients(f, (x,), keep=True)
                ascent = gradients(value, y)
        descent = tuple(-sign * g for sign, g in zip(bilevel.signs, ascent, strict=True))
        remembered = len(self.rule_y.start(state.y))
        moved_y, memory = self.rule_y.step(k, state.y, descent, state.memory[:remembered])
        next_x, next_y = state.x, bilevel.projected_y(moved_y)
        if self.rule_x is not None:
            rest = state.memory[remembered:]
            (moved_x,), memory_x = self.rule_x.step(k, (state.x,), grad_x, rest)
            next_x, memory = bilevel.domain.project(moved_x), memory + memory_x
        steps_p = state.steps_p + mean.steps_p
        return State(k + 1, next_x, next_y, (), memory, state.key_p, steps_p)

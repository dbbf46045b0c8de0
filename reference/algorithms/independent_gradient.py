r"""Independent policy gradient, the baseline of Section 6.1 (Daskalakis et al. 2020, Ding et al. 2022).

Nobody takes the others' reactions into account, and all move at once::

    x_{k+1}   = Proj_X( x_k - alpha grad_x f(x_k, y_k) )
    y_i,{k+1} = Proj_Y( y_i,k + beta grad_{y_i} V_i(x_k, y_k) )      each player's own value V_i

In a Stackelberg game x is the leader's policy.  Where f depends on x only through the policies, as in
incentive design, x does not move: with ``step_x=None`` it is held fixed in every problem, which is the
no-incentive baseline of Figure 3.
"""

from dataclasses import dataclass
from typing import Generic

from reference.algorithms.bilevel import Bilevel, ProblemT
from reference.algorithms.contract import Record, Schedule, State, scheduled
from reference.algorithms.players import own_evaluations
from reference.evaluation import policy_gradient
from reference.penalties.contract import Penalty
from reference.validation import Array, instance, provides


@dataclass(frozen=True, eq=False)
class IndependentGradient(Generic[ProblemT]):
    """Independent policy gradient.

    Parameters
    ----------
    bilevel : Bilevel
    penalty : Penalty
        By which records measure how far the players are from a solution; it moves nobody.
    step_x : Schedule or None
        The step alpha; ``None`` holds x fixed.
    step_y : Schedule
        The step beta.

    Raises
    ------
    InputError
        If a part is of another kind.
    """

    bilevel: Bilevel[ProblemT]
    penalty: Penalty[ProblemT]
    step_x: Schedule | None
    step_y: Schedule

    def __post_init__(self) -> None:
        instance("bilevel", self.bilevel, Bilevel)
        instance("penalty", self.penalty, Penalty)
        if self.step_x is not None:
            provides("step_x", self.step_x, Schedule)
        provides("step_y", self.step_y, Schedule)

    def start(self, x: Array, y: tuple[Array, ...] | None = None) -> State:
        """First state; the policies begin uniform if not given.

        Raises
        ------
        InputError
            As :meth:`Bilevel.start`.
        """
        return State(0, *self.bilevel.start(x, y))

    def step(self, state: State) -> State:
        """One simultaneous update.

        Raises
        ------
        InputError
            If the state belongs to another problem, or the next one is not finite.
        NotDifferentiableError
            If an entropy meets a zero of a directly parameterised policy.
        """
        instance("state", state, State)
        bilevel, x, y = self.bilevel, state.x, state.y
        own = own_evaluations(bilevel.problem.at(x), bilevel.policies(y))
        ascent = bilevel.pulled_to_y(y, tuple(policy_gradient(e) for e in own))
        beta = scheduled("step_y", self.step_y, state.k)
        climbed = tuple(part + beta * g for part, g in zip(y, ascent, strict=True))
        if self.step_x is None:
            return State(state.k + 1, x, bilevel.projected_y(climbed))
        alpha = scheduled("step_x", self.step_x, state.k)
        descended = x - alpha * bilevel.evaluate(x, y).grad_x
        return State(
            state.k + 1, bilevel.problem.domain.project(descended), bilevel.projected_y(climbed)
        )

    def record(self, state: State, following: State) -> Record:
        """Upper objective, exact penalty, and how far all have moved over their steps.

        Raises
        ------
        InputError
            As :meth:`Bilevel.record`.
        """
        instance("state", state, State)
        alpha = None if self.step_x is None else scheduled("step_x", self.step_x, state.k)
        beta = scheduled("step_y", self.step_y, state.k)
        return self.bilevel.record(self.penalty, state, following, alpha, beta)

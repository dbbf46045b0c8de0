r"""PBRL from samples: projected gradient descent on f + lambda p with an approximate penalty gradient.

Algorithm 1 (value and Bellman penalty) and update (5.12) (Nikaido-Isoda function) are one algorithm.
With z = (x, y), Z = X x Y, and in iteration k one call of the oracle::

    pi^_k    the oracle's companions, for each player's MDP at x_k and the other's policy
    g^       = estimate of grad f(z_k) + lambda_k grad^ p(z_k; pi^_k)
    z_{k+1}  = Proj_Z( z_k - alpha_k g^ )                                               (4.4), (5.12)

The companions are constants in g^, whatever they were computed from.  The trajectories of f and of p are
drawn together, after those of the oracle and independently of them.
"""

from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from sampled.algorithms.bilevel import Bilevel, ProblemT, gradients, leaves
from sampled.algorithms.contract import Schedule, State, scheduled
from sampled.algorithms.oracles import Oracle
from sampled.algorithms.steps import StepRule
from sampled.expectations import Sampling
from sampled.penalties.contract import Penalty
from sampled.validation import distributions, instance, provides, several


@dataclass(frozen=True, eq=False)
class Pbrl(Generic[ProblemT]):
    """Penalty-based bilevel reinforcement learning.

    Parameters
    ----------
    bilevel : Bilevel
    penalty : Penalty
    oracle : Oracle
        Of all players.
    rule : StepRule
        Of z, with the step alpha.
    strength : Schedule
        The penalty constant lambda.
    sampling : Sampling

    Raises
    ------
    InputError
        If a part is of another kind.
    """

    bilevel: Bilevel[ProblemT]
    penalty: Penalty[ProblemT]
    oracle: Oracle
    rule: StepRule
    strength: Schedule
    sampling: Sampling

    def __post_init__(self) -> None:
        instance("bilevel", self.bilevel, Bilevel)
        instance("penalty", self.penalty, Penalty)
        provides("oracle", self.oracle, Oracle)
        provides("rule", self.rule, StepRule)
        provides("strength", self.strength, Schedule)
        provides("sampling", self.sampling, Sampling)

    def start(
        self, key_p: Tensor, x: Tensor | None = None, y: tuple[Tensor, ...] | None = None
    ) -> State:
        """First state: see :meth:`Bilevel.start`; the oracle begins at the policies.

        Raises
        ------
        InputError
            As :meth:`Bilevel.start`.
        """
        first = self.bilevel.start(key_p, x, y)
        oracle = self.oracle.start(self.bilevel, first.y)
        # Samplers of an iteration trust what they are given.
        for i, pi_psa in enumerate(self.oracle.policies(self.bilevel, oracle)):
            distributions(f"companions[{i}]", pi_psa)
        memory = self.rule.start((first.x, *first.y))
        return State(0, first.x, first.y, oracle, memory, first.key_p, first.steps_p)

    def step(self, state: State) -> State:
        """One call of the oracle and one update.

        Raises
        ------
        InputError
            If the state belongs to another problem, or the next one is not finite.
        """
        bilevel, k = self.bilevel, self.bilevel.checked(state).k
        several("oracle", state.oracle, len(state.y), "use a state of this algorithm's start")
        mean = self.sampling.at(k, state.key_p)
        with torch.enable_grad():
            x, *y = z = leaves((state.x, *state.y))
            here = bilevel.at(x)
            improved = self.oracle.improve(here, k, x, state.y, state.oracle, mean)
            policies, companions = bilevel.policies(y), self.oracle.policies(bilevel, improved)
            strength = scheduled("strength", self.strength, k)
            lower = self.penalty.terms(here.problem, x, policies, companions)
            f, p = here.evaluate(x, policies, lower, mean)
            gradient = gradients(f + strength * p, z)
        moved, memory = self.rule.step(k, (state.x, *state.y), gradient, state.memory)
        return State(
            k + 1,
            bilevel.domain.project(moved[0]),
            bilevel.projected_y(moved[1:]),
            improved,
            memory,
            state.key_p,
            state.steps_p + mean.steps_p,
        )

"""What anyone's estimator is given: a problem at a point, as arrays and as Gymnasium environments."""

from dataclasses import dataclass
from typing import Any

import gymnasium

from reference.errors import InputError
from reference.problems.mdp import Mdp
from reference.validation import Array
from sampled.conversion import tensors
from sampled.environments import TabularEnv, TabularVectorEnv
from sampled.problems import Task


@dataclass(frozen=True, eq=False)
class Given:
    """A problem and the point x at which gradients are estimated.

    Attributes
    ----------
    problem : problem of ``reference``
    x : (*shape,)
    """

    problem: Any
    x: Array

    @property
    def mdp(self) -> Mdp:
        """The lower level at x: P_sat, r_sa, gamma, rho_s, tau, regularizer.

        Raises
        ------
        InputError
            If the problem is a game.
        """
        here = self.problem.at(self.x)
        if not isinstance(here, Mdp):
            raise InputError(
                "the problem is a game, which is no MDP: read problem.problem.at(problem.x)"
            )
        return here

    def task(self) -> Task:
        """The lower level at x as tensors of :mod:`sampled`."""
        task: Task = tensors(self.problem.at(self.x))
        return task

    def env(self, max_steps: int | None = None) -> gymnasium.Env[Any, Any]:
        """One copy as a Gymnasium environment, truncated after so many steps if given.

        Its rewards are r(s, a), without the regulariser.
        """
        task = self.task()
        env: gymnasium.Env[Any, Any] = TabularEnv(task.dynamics, task.r_psa)
        if max_steps is not None:
            env = gymnasium.wrappers.TimeLimit(env, max_steps)
        return env

    def vector_env(self, copies: int, max_steps: int | None = None) -> TabularVectorEnv:
        """Many copies as a Gymnasium vector environment."""
        task = self.task()
        return TabularVectorEnv(task.dynamics, task.r_psa, copies, max_steps=max_steps)

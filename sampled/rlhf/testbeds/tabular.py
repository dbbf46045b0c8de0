"""Tables: FrozenLake and random MDPs, whose values can also be computed exactly.

A frame is the number of the state, and networks with the architecture 'table' are the tables of theory.
"""

from dataclasses import dataclass

import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from torch import Tensor

from reference.problems.general_position import general_mdp, general_regularizers
from reference.problems.tables import from_gymnasium
from sampled.conversion import tensors
from sampled.environments import TabularVectorEnv
from sampled.errors import InputError
from sampled.problems import Task
from sampled.rlhf.settings import Tabular
from sampled.rlhf.testbeds.contract import Testbed

GAMES = ("frozen_lake", "random_mdp")


def task(settings: Tabular) -> Task:
    """Return the table, as tensors of one problem, with its true reward.

    The discount and the regularisation are not the table's: those of the settings of A2C count.

    Raises
    ------
    InputError
        If there is no such game.
    """
    generator = np.random.default_rng(settings.instance)
    if settings.game == "frozen_lake":
        unused = general_regularizers(generator, 1, 1)["entropy"]
        return tensors(from_gymnasium("FrozenLake-v1", gamma=0.99, tau=0.0, regularizer=unused))
    if settings.game == "random_mdp":
        mdp = general_mdp(generator, n_states=settings.states, n_actions=settings.actions, gamma=0.99)
        return tensors(mdp)
    raise InputError(f"game.game is {settings.game!r}; the tables are {', '.join(GAMES)}")


@dataclass(frozen=True, eq=False)
class Exact:
    """Exact values of a table.

    Attributes
    ----------
    P_sat : (S, A, S)
    r_sa : (S, A)
        True reward.
    rho_s : (S,)
    terminal_s : (S,) bool
        Where nothing is earned, neither reward nor entropy.
    """

    P_sat: Tensor
    r_sa: Tensor
    rho_s: Tensor
    terminal_s: Tensor

    @classmethod
    def of(cls, settings: Tabular) -> "Exact":
        """Build from settings."""
        one = task(settings)
        dynamics = one.dynamics
        P_sat = dynamics.P_psjt[0].to(torch.float64)
        return cls(P_sat, one.r_psa[0].to(torch.float64), dynamics.rho_ps[0], dynamics.terminal_ps[0])

    def value(self, pi_sa: Tensor, gamma: float, r_sa: Tensor | None = None, tau: float = 0.0) -> Tensor:
        """V(rho) of a policy, by a linear system; ().

        Parameters
        ----------
        pi_sa : (S, A)
        gamma : float in [0, 1)
        r_sa : (S, A), optional
            Another reward than the true one.
        tau : float
            What a unit of entropy earns.
        """
        pi_sa = pi_sa.to(torch.float64)
        r_sa = self.r_sa if r_sa is None else r_sa.to(torch.float64)
        earned_s = (pi_sa * r_sa).sum(-1) + tau * torch.special.entr(pi_sa).sum(-1)
        earned_s = torch.where(self.terminal_s, 0.0, earned_s)
        P_st = torch.einsum("sa,sat->st", pi_sa, self.P_sat)
        P_st = torch.where(self.terminal_s[:, None], 0.0, P_st)
        identity = torch.eye(P_st.shape[0], dtype=torch.float64)
        v_s: Tensor = torch.linalg.solve(identity - gamma * P_st, earned_s)
        return self.rho_s.to(torch.float64) @ v_s


def testbed(settings: Tabular) -> Testbed:
    """A table as a game.

    Raises
    ------
    InputError
        If there is no such game.
    """
    one = task(settings)

    def make(lanes: int) -> TabularVectorEnv:
        return TabularVectorEnv(
            one.dynamics,
            one.r_psa,
            lanes,
            max_steps=settings.max_steps,
            autoreset_mode=AutoresetMode.SAME_STEP,
        )

    return Testbed(make, (), 1, one.dynamics.n_states, one.dynamics.n_actions[0])

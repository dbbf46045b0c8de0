"""The problems that are audited by default, and problems from files.

Paper-like random problems mix in a few steps: on them a truncated estimator points the right way, and
most of its length is missing.  So a chain that moves once in a thousand steps is among them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from reference.domains import Euclidean
from reference.errors import InputError
from reference.problems.general_position import (
    general_game,
    general_game_family,
    general_incentive_design,
    general_mdp,
    general_point,
    general_rlhf,
    general_shaping,
    general_stackelberg,
    linear_family,
)
from reference.problems.hard_cases import slow_mixing_chain
from reference.problems.incentive_design import IncentiveDesign
from reference.problems.mdp import Mdp, MdpFamily, ParametricMdp
from reference.problems.parametrizations import FixedKernel, TabularReward
from reference.problems.rlhf import Rlhf
from reference.problems.storage import load
from reference.problems.zero_sum_game import GameFamily, ParametricGame, ZeroSumGame
from reference.validation import Array

SEED = 20240209

POINTS = {
    "tiny": 0,
    "general": 7,
    "slow": 4,
    "stackelberg": 8,
    "game": 9,
    "shaping": 0,
    "design": 6,
    "preferences": 3,
    "plain": 5,
}
"""Seeds of the points: of the first ten those at which no block of a gradient is nearly zero."""


@dataclass(frozen=True, eq=False)
class Setting:
    """A problem with the point at which its gradients are estimated.

    Attributes
    ----------
    name : str
    problem : problem of ``reference``
    x : (*shape,)
    logits : tuple of (S, A)
        Of each lower-level player's softmax policy.
    """

    name: str
    problem: Any
    x: Array
    logits: tuple[Array, ...]


def at_point(name: str, problem: Any, seed: int = SEED, *, x: Array | None = None) -> Setting:
    """Choose a point in general position for a problem, or one at the x that is given.

    Raises
    ------
    InputError
        If it is no problem with a lower level.
    """
    problem = parametric(problem)
    generator = np.random.default_rng(seed)
    drawn = general_point(generator, problem.domain)
    x = drawn if x is None else x
    here = problem.at(x)
    actions = here.n_actions if isinstance(here, ZeroSumGame) else (here.n_actions,)
    if here.P_sat.ndim > 3 if isinstance(here, Mdp) else here.P_sabt.ndim > 4:
        raise InputError(
            f"problem {name} has batch axes; an audit is of one problem: give each by itself"
        )
    return Setting(name, problem, x, tuple(generator.normal(size=(here.n_states, n)) for n in actions))


def parametric(problem: Any) -> Any:
    """Return a problem with parameters x: an MDP or a game becomes one whose x is its reward.

    Raises
    ------
    InputError
        If it is something else.
    """
    match problem:
        case Mdp():
            reward, kernel = TabularReward(Euclidean(problem.r_sa.shape)), FixedKernel(problem.P_sat)
            return MdpFamily(
                reward, kernel, problem.gamma, problem.rho_s, problem.tau, problem.regularizer
            )
        case ZeroSumGame():
            joint_sjt = problem.P_sabt.reshape(problem.n_states, -1, problem.n_states)
            return GameFamily(
                TabularReward(Euclidean(problem.r_sab.shape)),
                FixedKernel(joint_sjt),
                problem.gamma,
                problem.rho_s,
                problem.tau,
                problem.regularizer_1,
                problem.regularizer_2,
            )
        case ParametricMdp() | ParametricGame() | IncentiveDesign():
            return problem
    raise InputError(
        f"the problem is {type(problem).__name__}; it must be an MDP, a game, a parametric one, or an "
        "application of reference.problems"
    )


@cache
def default_problems() -> Mapping[str, Setting]:
    """All by name."""
    generator = np.random.default_rng(SEED)
    small = general_mdp(generator, n_states=2, n_actions=2, gamma=0.7)
    settings = {
        "tiny": linear_family(generator, small),
        "general": linear_family(generator, general_mdp(generator)),
        "slow": linear_family(generator, slow_mixing_chain()),
        "stackelberg": general_stackelberg(generator),
        "game": general_game_family(generator, general_game(generator)),
        "shaping": general_shaping(generator),
        "design": general_incentive_design(generator),
        "plain": general_mdp(generator, n_states=3, n_actions=2, gamma=0.8, tau=0.0),
        "preferences": general_rlhf(generator, general_mdp(generator, n_states=3, n_actions=2)),
    }
    return {name: at_point(name, problem, POINTS[name]) for name, problem in settings.items()}


def find(name: str) -> Setting:
    """Return a default problem, or one from a ``.npz`` file: an MDP or a game with its own rewards.

    Raises
    ------
    InputError
        If there is neither, or the file holds no problem.
    """
    known = default_problems()
    if name in known:
        return known[name]
    path = Path(name)
    if path.suffix != ".npz" and not path.exists():
        raise InputError(
            f"there is no problem {name!r}: give a file of reference.problems.storage.save, or one of "
            + ", ".join(known)
        )
    problem = load(path, object)
    if isinstance(problem, Rlhf):
        problem = problem.lower
    match problem:
        case Mdp():
            return at_point(path.stem, problem, x=problem.r_sa)
        case ZeroSumGame():
            return at_point(path.stem, problem, x=problem.r_sab)
    return at_point(path.stem, problem)

"""The instances of the matrix: every family in general position, hard cases, and real problems.

Names say what an instance is.  Exact rationals need data without exp and log, so some instances are
chosen for them: fixed transitions, linear or tabular rewards, the quadratic regulariser or none.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import gymnasium
import numpy as np

from reference.domains import Euclidean
from reference.policies import DirectPolicy
from reference.problems import general_position as general
from reference.problems.hard_cases import (
    hard_cases,
    hard_families,
    hard_games,
    hard_stackelberg_games,
)
from reference.problems.instances import random_incentive_design, random_stackelberg
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel, TabularReward
from reference.problems.rlhf import LabelByReturn
from reference.problems.tables import from_gymnasium, spread_start
from reference.problems.zero_sum_game import GameFamily, ZeroSumGame
from reference.regularizers import NegativeEntropy, Quadratic
from verify.contract import Level
from verify.crosscheck.quantity import Case, Pair, Single
from verify.oracles.route import Point

Problem = Single | Pair


def tabular(mdp: Mdp) -> MdpFamily:
    """The MDP as a family whose x is its table of rewards; the transitions stay as they are."""
    reward = TabularReward(Euclidean(mdp.r_sa.shape))
    return MdpFamily(reward, FixedKernel(mdp.P_sat), mdp.gamma, mdp.rho_s, mdp.tau, mdp.regularizer)


def tabular_game(game: ZeroSumGame) -> GameFamily:
    """The game as a family whose x is its table of rewards."""
    return GameFamily(
        TabularReward(Euclidean(game.r_sab.shape)),
        FixedKernel(game.P_sabt.reshape(game.n_states, -1, game.n_states)),
        game.gamma,
        game.rho_s,
        game.tau,
        game.regularizer_1,
        game.regularizer_2,
    )


def case(name: str, problem: Problem, x: np.ndarray, generator: np.random.Generator) -> Case[Any]:
    """Draw policies in general position, companions, logits and weights for a problem at x."""
    here = problem.at(x)
    n_states = here.n_states
    actions = here.n_actions if isinstance(here, ZeroSumGame) else (here.n_actions,)

    def policies() -> tuple[np.ndarray, ...]:
        return tuple(general.general_distributions(generator, (n_states, n)) for n in actions)

    point = Point(
        x, policies(), policies(), tuple(generator.normal(size=(n_states, n)) for n in actions)
    )
    signed_s = generator.normal(size=n_states)
    return Case(name, problem, point, signed_s, generator.normal(size=(n_states, actions[0])))


def drawn(generator: np.random.Generator) -> Iterator[tuple[str, Problem]]:
    """One problem of each family and kind of regulariser, in general position."""
    for name, h in general.general_regularizers(generator, 4, 3).items():
        mdp = general.general_mdp(generator, regularizer=h)
        yield f"linear rewards and transitions, {name}", general.linear_family(generator, mdp)
    yield "tabular rewards and transitions", general.tabular_family(generator)
    yield "potential", general.potential_family(generator)
    yield "tau = 0", general.linear_family(generator, general.general_mdp(generator, tau=0.0))
    yield "Stackelberg, softmax leader", general.general_stackelberg(generator)
    yield (
        "Stackelberg, direct leader",
        general.general_stackelberg(generator, leader=DirectPolicy, regularizer=Quadratic()),
    )
    small = general.general_mdp(generator, n_states=3, n_actions=2)  # every pair of segments is listed
    yield "RLHF, Bradley-Terry", general.general_rlhf(generator, small, segment_length=2, delay=1)
    yield (
        "RLHF, labels by return",
        general.general_rlhf(generator, small, segment_length=2, delay=0, labels=LabelByReturn()),
    )
    yield "shaping", general.general_shaping(generator)
    for name_1, h_1 in general.general_regularizers(generator, 4, 3).items():
        _, h_2 = list(general.general_regularizers(generator, 4, 2).items())[len(name_1) % 6]
        game = general.general_game(generator, regularizer_1=h_1, regularizer_2=h_2)
        yield f"game, {name_1}", general.general_game_family(generator, game)
    yield "incentive design", general.general_incentive_design(generator)


def for_rationals(generator: np.random.Generator) -> Iterator[tuple[str, Problem]]:
    """Problems whose quantities are rational numbers."""
    for gamma, tau in ((0.8, 0.3), (0.0, 0.5), (0.8, 0.0)):
        mdp = general.general_mdp(generator, gamma=gamma, tau=tau, regularizer=Quadratic())
        yield f"rational, gamma = {gamma:g}, tau = {tau:g}", tabular(mdp)
    for gamma in (0.0, 0.8):
        game = general.general_game(
            generator, gamma=gamma, regularizer_1=Quadratic(), regularizer_2=Quadratic()
        )
        yield f"rational game, gamma = {gamma:g}", tabular_game(game)
    stackelberg = general.general_stackelberg(
        generator,
        leader=DirectPolicy,
        gamma=0.0,
        regularizer=Quadratic(),
        regularizer_leader=Quadratic(),
    )
    yield "rational Stackelberg", stackelberg
    shaped = general.general_mdp(generator, gamma=0.0, regularizer=Quadratic())
    yield "rational shaping", general.general_shaping(generator, shaped)
    free = general.general_game(
        generator, gamma=0.75, regularizer_1=Quadratic(), regularizer_2=Quadratic()
    )
    design = general.general_incentive_design(generator, free)
    yield "rational design", replace(design, game=tabular_game(free))


def hard(level: Level) -> Iterator[tuple[str, Problem, np.ndarray]]:
    """The named hard cases, at the rewards that make them hard."""
    for name, mdp in hard_cases().items():
        yield name, tabular(mdp), mdp.r_sa
    for name, game in hard_games().items():
        yield name, tabular_game(game), game.r_sab
    if level > Level.QUICK:
        for name, family in hard_families().items():
            yield f"{name} family", family, np.zeros(family.domain.shape)
        for name, problem in hard_stackelberg_games().items():
            yield f"{name} Stackelberg", problem, np.zeros(problem.domain.shape)


LAKES = (("4x4", True), ("4x4", False), ("8x8", True), ("8x8", False))


def real(level: Level) -> Iterator[tuple[str, Problem, np.ndarray]]:
    """Gymnasium's tabular environments, started everywhere; the large ones from standard on."""
    for size, slippery in LAKES[: 1 if level is Level.QUICK else None]:
        lake = gymnasium.make("FrozenLake-v1", map_name=size, is_slippery=slippery)
        mdp = _started(lake, 0.95)
        yield f"FrozenLake {size}{'' if slippery else ' not'} slippery", tabular(mdp), mdp.r_sa
    if level > Level.QUICK:
        for name, identifier in (("CliffWalking", "CliffWalking-v1"), ("Taxi", "Taxi-v4")):
            mdp = _started(gymnasium.make(identifier), 0.9)
            yield name, tabular(mdp), mdp.r_sa


def _started(environment: gymnasium.Env[Any, Any], gamma: float) -> Mdp:
    return spread_start(
        from_gymnasium(environment, gamma=gamma, tau=0.05, regularizer=NegativeEntropy()), 0.9
    )


def printed_sizes(level: Level, generator: np.random.Generator) -> Iterator[tuple[str, Problem]]:
    """The paper's random problems at the paper's sizes and beyond, from standard on."""
    if level > Level.QUICK:
        yield "Section 6.1", random_stackelberg(generator)
        yield "Section 6.1, 400 states", random_stackelberg(generator, n_states=400)
        yield "Section 6.3", random_incentive_design(generator)


DRAWS = {Level.QUICK: 1, Level.STANDARD: 2, Level.DEEP: 12}


@lru_cache(maxsize=1)
def cases(level: Level, seed: int) -> tuple[Case[Any], ...]:
    """All instances of a level, with their arguments."""
    generator = np.random.default_rng(seed)
    given = [*hard(level), *real(level)]
    free = [pair for _ in range(DRAWS[level]) for pair in drawn(generator)]
    free += [*for_rationals(generator), *printed_sizes(level, generator)]
    inside = [
        (name, problem, general.general_point(generator, problem.domain)) for name, problem in free
    ]
    return tuple(case(name, problem, x, generator) for name, problem, x in (*inside, *given))


# Problems of few trajectories, all of which can be followed.


def walked(name: str, problem: Problem, steps: int, generator: np.random.Generator) -> Case[Any]:
    """Draw the parameters of a problem: a factor 1, x, and two policies of each player as logits.

    They stand one after the other in ``point.x``; see :mod:`verify.crosscheck.estimates`.
    """
    x = general.general_point(generator, problem.domain)
    here = problem.at(x)
    actions = here.n_actions if isinstance(here, ZeroSumGame) else (here.n_actions,)
    logits = [generator.normal(size=(here.n_states, n)) for _ in range(2) for n in actions]
    row = np.concatenate([[1.0], x.ravel(), *(y.ravel() for y in logits)])
    tables = tuple(np.zeros((here.n_states, n)) for n in actions)
    critic_s = generator.normal(size=here.n_states)
    return Case(name, problem, Point(row, tables, tables), critic_s, tables[0], steps)


def few_trajectories(generator: np.random.Generator) -> Iterator[tuple[str, Problem, int]]:
    """One problem of each family, with the number of steps to follow."""
    general_mdp, general_game = general.general_mdp, general.general_game
    three = general_mdp(generator, n_states=3, n_actions=2, gamma=0.6)
    yield "three states", general.linear_family(generator, three), 3
    two = general_mdp(generator, n_states=2, n_actions=2, gamma=0.4)
    yield "two states", general.linear_family(generator, two), 2
    short = general_mdp(generator, n_states=2, n_actions=2, gamma=ENDLESS)
    yield "two states, gamma = 1/1000", general.linear_family(generator, short), 5
    learned = general_mdp(generator, n_states=2, n_actions=2, gamma=0.7)
    yield "RLHF", general.general_rlhf(generator, learned, segment_length=2, delay=1), 3
    yield "potential", general.potential_family(generator, learned), 3
    tasks = general_mdp(generator, n_states=2, n_actions=3, gamma=0.7)
    yield "shaping", general.general_shaping(generator, tasks), 3
    yield (
        "Stackelberg",
        general.general_stackelberg(generator, n_states=2, n_leader=3, n_follower=2, gamma=0.7),
        2,
    )
    game = general_game(generator, n_states=2, n_first=3, n_second=2, gamma=0.7)
    yield "game", general.general_game_family(generator, game), 2
    players = general_game(generator, n_states=2, n_first=3, n_second=2, gamma=0.7)
    yield "incentive design", general.general_incentive_design(generator, players), 2


ENDLESS = 1e-3
"""A discount so strong that a few steps are all there is to float64."""


@lru_cache(maxsize=1)
def small_cases(level: Level, seed: int) -> tuple[Case[Any], ...]:
    """The instances of the quantities that samples estimate."""
    generator = np.random.default_rng([seed, 1])
    return tuple(
        walked(name, problem, steps, generator)
        for _ in range(DRAWS[level])
        for name, problem, steps in few_trajectories(generator)
    )


# Problems whose probabilities are multiples of 1/8, so that every word of the simulator can be tried.


def eighths(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Distributions over the last axis; of two outcomes in quarters, of more in eighths."""
    grains = grain(shape[-1])
    flat = generator.multinomial(grains, np.full(shape[-1], 1.0 / shape[-1]), shape[:-1])
    return np.asarray(flat / grains)


def grain(outcomes: int) -> int:
    """The common denominator of :func:`eighths`."""
    return 4 if outcomes == 2 else 8


def dyadic(
    name: str, generator: np.random.Generator, n_states: int, actions: tuple[int, ...], steps: int
) -> Case[Any]:
    """A problem with such transitions, start, policies, and other policies of the first step."""
    P = eighths(generator, (n_states, math.prod(actions), n_states))
    rho_s = eighths(generator, (n_states,))
    r = generator.normal(size=(n_states, *actions))
    reward, kernel = TabularReward(Euclidean(r.shape)), FixedKernel(P)
    problem: Problem = (
        MdpFamily(reward, kernel, 0.5, rho_s, 0.25, Quadratic())
        if len(actions) == 1
        else GameFamily(reward, kernel, 0.5, rho_s, 0.25, Quadratic(), Quadratic())
    )
    policies, first = (tuple(eighths(generator, (n_states, n)) for n in actions) for _ in range(2))
    return Case(name, problem, Point(r, policies, first), rho_s, r, steps)


@lru_cache(maxsize=1)
def dyadic_cases(level: Level, seed: int) -> tuple[Case[Any], ...]:
    """The instances of the simulator's laws."""
    generator = np.random.default_rng([seed, 2])
    return tuple(
        dyadic(name, generator, n_states, actions, steps)
        for _ in range(2 * DRAWS[level])
        for name, n_states, actions, steps in (
            ("quarters", 2, (2,), 2),
            ("eighths", 3, (3,), 1),
            ("a pair of players", 2, (2, 2), 1),
        )
    )

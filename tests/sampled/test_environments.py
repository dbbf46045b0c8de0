"""Gymnasium's own check, its vector environment as the second route, and the law of the steps."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from torch import Tensor

from reference.problems.general_position import (
    general_incentive_design,
    general_mdp,
    general_point,
    general_rlhf,
    general_stackelberg,
)
from reference.problems.tables import from_gymnasium
from reference.regularizers import NegativeEntropy
from sampled.conversion import tensors
from sampled.environments import TabularEnv, TabularVectorEnv
from sampled.errors import InputError
from sampled.laws import InverseCdf
from sampled.problems import Task
from sampled.simulator import Dynamics
from tests.sampled.statistics import LEVEL, binomial_p_value

Problem = tuple[Dynamics, Tensor, dict[str, Tensor]]


def lake() -> Problem:
    """FrozenLake: slippery, with holes and a goal that end an episode."""
    task = tensors(from_gymnasium("FrozenLake-v1", gamma=0.9, tau=0.1, regularizer=NegativeEntropy()))
    return task.dynamics, task.r_psa, {}


def follower() -> Problem:
    """A Stackelberg game with the leader's policy mixed in: the follower's MDP at x."""
    game = general_stackelberg(np.random.default_rng(0))
    task = tensors(game.at(np.random.default_rng(1).standard_normal((4, 3))))
    return task.dynamics, task.r_psa, {}


def joint() -> Problem:
    """The same game played by one agent for both, for the leader's reward; the follower's in info."""
    game = tensors(general_stackelberg(np.random.default_rng(0)))
    return game.dynamics, game.r_leader_psab, {"follower": game.r_follower_psab}


def players() -> Problem:
    """A zero-sum game with incentives at x."""
    design = general_incentive_design(np.random.default_rng(2))
    task = tensors(design.at(general_point(np.random.default_rng(3), design.domain)))
    return task.dynamics, task.r_psa, {}


def designer() -> Problem:
    """The designer's kernel and net reward, in float32."""
    design = tensors(general_incentive_design(np.random.default_rng(2)), dtype=torch.float32)
    return design.designer, design.net_reward_psab, {}


def learned() -> Problem:
    """Preference learning: the learned reward at x, and the true one in info."""
    exact = general_rlhf(np.random.default_rng(4))
    problem = tensors(exact, sampler=InverseCdf)
    task = problem.at(torch.tensor(general_point(np.random.default_rng(5), exact.domain))[None])
    return task.dynamics, task.r_psa, {"true": problem.r_true_psa}


PROBLEMS = {make.__name__: make for make in (lake, follower, joint, players, designer, learned)}


def deterministic(start: int) -> Problem:
    """Actions move along a line of six that ends in a terminal state; another absorbing state pays."""
    n, generator = 6, np.random.default_rng(6)
    P = np.zeros((1, n, 2, 2, n))
    for s, a, b in np.ndindex(n, 2, 2):
        P[0, s, a, b, s if s >= n - 2 else min(s + a + 2 * b, n - 1)] = 1.0
    reward = generator.standard_normal((1, n, 2, 2))
    reward[0, n - 1] = 0.0
    other = generator.standard_normal((1, n, 2, 2))
    other[0, n - 1] = 0.0
    rho = np.eye(n)[[start]]
    dynamics = Dynamics.of(torch.from_numpy(P), torch.from_numpy(rho))
    r, second = torch.from_numpy(reward), torch.from_numpy(other)
    return dynamics.ending(r, second), r, {"second": second}


@pytest.mark.parametrize("make", PROBLEMS.values(), ids=PROBLEMS)
def test_environments_pass_gymnasiums_check(make: Any) -> None:
    """Warnings are errors here, so the check passes without any."""
    dynamics, reward, others = make()
    spec = EnvSpec(
        "Tabular-v0", lambda **options: TabularEnv(dynamics, reward, others=others, **options)
    )
    check_env(gymnasium.make(spec, disable_env_checker=True).unwrapped)


def test_a_step_is_rewarded_as_the_problem_says() -> None:
    dynamics, reward, others = joint()
    env = TabularEnv(dynamics, reward, others=others)
    state, info = env.reset(seed=3)
    assert info == {}
    for _ in range(50):
        action = env.action_space.sample()
        following, r, terminated, truncated, info = env.step(action)
        at = (0, int(state), *np.asarray(action).tolist())
        assert r == float(reward[at])
        assert info == {"follower": float(others["follower"][at])}
        assert not terminated
        assert not truncated
        state = following


@pytest.mark.parametrize("vector", [False, True])
def test_steps_have_the_law_of_the_problem(vector: bool) -> None:
    """Starts and moves, by exact binomial tests at level 1e-6."""
    task: Task = tensors(general_mdp(np.random.default_rng(7)))
    n, n_states, n_actions = 4_000, 4, 3
    starts, moves = np.zeros(n_states), np.zeros((n_states, n_actions, n_states))
    draw = np.random.default_rng(8)
    if vector:
        envs = TabularVectorEnv(task.dynamics, task.r_psa, n)
        state_n, _ = envs.reset(seed=0)
        action_n = draw.integers(n_actions, size=n)
        next_n, *_ = envs.step(action_n)
        np.add.at(starts, state_n, 1)
        np.add.at(moves, (state_n, action_n, next_n), 1)
    else:
        env = TabularEnv(task.dynamics, task.r_psa)
        for i in range(n):
            state, _ = env.reset(seed=0 if i == 0 else None)
            action = int(draw.integers(n_actions))
            following, *_ = env.step(action)
            starts[state] += 1
            moves[state, action, following] += 1
    P, rho = task.dynamics.P_psjt[0].numpy(), task.dynamics.rho_ps[0].numpy()
    assert binomial_p_value(starts, n, rho) > LEVEL
    assert binomial_p_value(moves, moves.sum(-1, keepdims=True), P) > LEVEL
    assert binomial_p_value(moves, moves.sum(-1, keepdims=True), np.roll(P, 1, -1)) < LEVEL


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize(("start", "limit"), [(0, None), (0, 1), (0, 4), (5, 4)])
def test_the_vector_environment_does_what_gymnasiums_does(
    mode: AutoresetMode, start: int, limit: int | None
) -> None:
    """Nothing is random here: spaces, steps, resets and infos of the two are the same."""
    dynamics, reward, others = deterministic(start)
    n = 5

    def one() -> gymnasium.Env[Any, Any]:
        env: gymnasium.Env[Any, Any] = TabularEnv(dynamics, reward, others=others)
        return env if limit is None else TimeLimit(env, limit)

    theirs: Any = SyncVectorEnv([one] * n, autoreset_mode=mode)
    ours = TabularVectorEnv(dynamics, reward, n, others=others, max_steps=limit, autoreset_mode=mode)
    assert ours.single_observation_space == theirs.single_observation_space
    assert ours.observation_space == theirs.observation_space
    assert ours.single_action_space == theirs.single_action_space
    assert ours.action_space == theirs.action_space
    assert ours.metadata == theirs.metadata
    assert ours.num_envs == theirs.num_envs
    equal(ours.reset(seed=0), theirs.reset(seed=0))
    generator = np.random.default_rng(9)
    ended = np.zeros(2, dtype=bool)
    for _ in range(60):
        action = generator.integers(2, size=(n, 2))
        mine, expected = ours.step(action), theirs.step(action)
        equal(mine, expected)
        assert mine[0] in ours.observation_space
        ended |= [mine[2].any(), mine[3].any()]
    assert ended.tolist() == [limit != 1, limit is not None and start == 0]


def equal(mine: Any, expected: Any) -> None:
    """The same types, keys, dtypes and values; keys that Gymnasium leaves out must be empty."""
    if isinstance(expected, tuple):
        assert len(mine) == len(expected)
        for a, b in zip(mine, expected, strict=True):
            equal(a, b)
    elif isinstance(expected, dict):
        for key, value in expected.items():
            equal(mine[key], value)
        for key in mine.keys() - expected.keys():
            assert not np.any(mine[key])
    else:
        assert mine.dtype == expected.dtype
        assert np.array_equal(mine, expected)


def test_seeds() -> None:
    dynamics, reward, _ = lake()
    envs = TabularVectorEnv(dynamics, reward, 20, max_steps=5)

    def play(seed: int) -> list[list[int]]:
        states = [envs.reset(seed=seed)[0].tolist()]
        return states + [envs.step(np.full(20, 1))[0].tolist() for _ in range(8)]

    assert play(1) == play(1) != play(2)
    assert envs.np_random_seed == 2


def test_an_end_is_told_from_a_cut() -> None:
    """Holes and the goal terminate; the limit of steps truncates."""
    dynamics, reward, _ = lake()
    terminal = dynamics.terminal_ps[0].numpy()
    envs = TabularVectorEnv(dynamics, reward, 500, max_steps=6)
    envs.reset(seed=0)
    for step in range(6):
        state, _, terminated, truncated, _ = envs.step(np.full(500, 1 + step % 2))
        if step < 5:
            assert not truncated.any()
    assert terminated.any()
    assert np.array_equal(terminated, terminal[state] & terminated)
    assert (truncated & ~terminated).any()


def test_bad_input() -> None:
    dynamics, reward, _ = joint()
    missing = reward.clone()
    missing[0, 1, 2, 0] = float("nan")
    for make in (TabularEnv, lambda d, r: TabularVectorEnv(d, r, 2)):
        with pytest.raises(InputError, match=r"reward_psa has shape \(1, 4, 2, 3\)"):
            make(dynamics, reward.transpose(2, 3))
        with pytest.raises(InputError, match=r"reward_psa\[0, 1, 2, 0\] is nan"):
            make(dynamics, missing)
        with pytest.raises(InputError, match="call reset"):
            make(dynamics, reward).step(np.zeros(2, dtype=np.int64))
    env, envs = TabularEnv(dynamics, reward), TabularVectorEnv(dynamics, reward, 2)
    env.reset(seed=0)
    envs.reset(seed=0)
    for action in (np.array([3, 0]), np.array([0, -1]), np.array([0, 2])):
        with pytest.raises(InputError, match="each player's must be in"):
            env.step(action)
        with pytest.raises(InputError, match="each player's must be in"):
            envs.step(np.stack([action, action]))
    for wrong in (np.array([0.0, 0.0]), np.array([0]), 0):
        with pytest.raises(InputError, match="must be whole numbers of shape"):
            env.step(wrong)
    single = tensors(general_mdp(np.random.default_rng(0)))
    alone = TabularEnv(single.dynamics, single.r_psa)
    alone.reset(seed=0)
    for number in (3, -1):
        with pytest.raises(InputError, match=rf"action is {number}; it must be in Discrete\(3\)"):
            alone.step(number)
    with pytest.raises(InputError, match="must be whole numbers"):
        alone.step(1.5)  # type: ignore[arg-type] # what is checked
    with pytest.raises(InputError, match="autoreset_mode"):
        TabularVectorEnv(dynamics, reward, 2, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(InputError, match="max_steps is 0"):
        TabularVectorEnv(dynamics, reward, 2, max_steps=0)
    with pytest.raises(InputError, match="num_envs is 0"):
        TabularVectorEnv(dynamics, reward, 0)
    P = torch.full((2, 2, 1, 2), 0.5, dtype=torch.float64)
    many = Dynamics.of(P, torch.full((2, 2), 0.5, dtype=torch.float64))
    with pytest.raises(InputError, match="dynamics are of 2 problems"):
        TabularEnv(many, torch.zeros(2, 2, 1))

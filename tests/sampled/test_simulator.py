"""Rollouts: held to exact laws, to enumeration, to a plain loop, and to their own promises."""

from dataclasses import fields, is_dataclass, replace
from itertools import product
from math import prod
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sampled.enumeration import every_trajectory, probability
from sampled.errors import InputError
from sampled.horizons import Fixed, Geometric
from sampled.laws import BITS, Alias, InverseCdf, Sampler, SamplerKind
from sampled.simulator import Dynamics, joint_policy, rollout
from sampled.sources import Antithetic, Independent
from sampled.trajectories import Trajectories
from tests.sampled.statistics import LEVEL, binomial_p_value, hoeffding_radius
from tests.sampled.words import Kept, Nothing, Replay

T = TypeVar("T")

KINDS: tuple[SamplerKind, ...] = (InverseCdf, Alias)


def uneven(generator: np.random.Generator, *shape: int) -> Tensor:
    p = generator.exponential(size=shape) + 0.05
    return torch.from_numpy(p / p.sum(-1, keepdims=True))


def seeded(seed: int, device: str = "cpu") -> Independent:
    return Independent(torch.Generator(device).manual_seed(seed))


def occupancies(dynamics: Dynamics, policy_psj: Tensor, steps: int) -> Tensor:
    """Law of (s_h, j_h) for h < H by the forward recursion, (P, H, S, J)."""
    mu, law = dynamics.rho_ps, []
    for _ in range(steps):
        law.append(mu.unsqueeze(-1) * policy_psj)
        mu = torch.einsum("psj,psjt->pt", law[-1], dynamics.P_psjt)
    return torch.stack(law, 1)


def visits(trajectories: Trajectories) -> Tensor:
    """Counts of (s_h, j_h), (P, H, S, J)."""
    n_states, joint = trajectories.n_states, prod(trajectories.n_actions)
    pair_phn = (trajectories.states_pnh[..., :-1].long() * joint + trajectories.actions_pnh).movedim(
        -1, 1
    )
    counts = pair_phn.new_zeros(*pair_phn.shape[:2], n_states * joint)
    counts.scatter_add_(-1, pair_phn, trajectories.mask_pnh.movedim(-1, 1).long())
    return counts.view(*counts.shape[:2], n_states, joint)


# The law, exactly.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_actions", [(2,), (2, 2)])
def test_every_word_gives_every_trajectory_as_often_as_it_is_likely(
    kind: SamplerKind, n_actions: tuple[int, ...]
) -> None:
    """Probabilities in quarters: two bits of a word decide, so four words stand for all.

    Every combination of these words is rolled out; the shares of the trajectories are their
    probabilities without any error, those of the impossible ones included.
    """
    quarters = np.array([[1, 3], [2, 2], [4, 0], [3, 1], [0, 4], [2, 2], [1, 3], [3, 1]]) / 4.0
    generator = np.random.default_rng(5)

    def table(*lead: int) -> Tensor:
        return torch.from_numpy(quarters[generator.integers(len(quarters), size=lead)])

    problems, steps, players = 2, 2, len(n_actions)
    dynamics = Dynamics.of(table(problems, 2, *n_actions), table(problems), sampler=kind)
    policies = [table(problems, 2) for _ in n_actions]
    draws = 1 + steps * (players + 1)
    choice = torch.tensor(list(product(range(4), repeat=draws)))
    filler = torch.randint(0, 1 << 40, choice.shape, generator=torch.Generator().manual_seed(0))
    if kind is InverseCdf:  # the upper two bits
        words = (choice << (BITS - 2)) + filler
    else:  # the bucket in the lowest bit, and the upper one of the remainder
        words = ((choice >> 1) << (BITS - 1)) + 2 * filler + (choice & 1)
    words = words.T[:, None, :].expand(-1, problems, -1)
    source = Replay([words[0], *torch.split(words[1:], players + 1)])
    trajectories = rollout(dynamics, [kind.of(pi) for pi in policies], Fixed(steps), len(choice), source)

    every = every_trajectory(dynamics, steps)
    joint = policies[0] if players == 1 else joint_policy(policies[0], policies[1])
    exact = probability(every, dynamics, joint)
    number = torch.zeros(problems, len(choice), dtype=torch.int64)
    for h in range(steps):
        number = number * 2 + trajectories.states_pnh[..., h]
        number = number * 2**players + trajectories.actions_pnh[..., h]
    number = number * 2 + trajectories.states_pnh[..., steps]
    for p in range(problems):
        counts = torch.bincount(number[p], minlength=every.n)
        assert torch.equal(counts / len(choice), exact[p])
    assert (exact == 0.0).any()


def test_enumeration_is_complete_and_agrees_with_dynamic_programming() -> None:
    generator = np.random.default_rng(1)
    dynamics = Dynamics.of(uneven(generator, 2, 3, 2, 2, 3), uneven(generator, 2, 3))
    policy = joint_policy(uneven(generator, 2, 3, 2), uneven(generator, 2, 3, 2))
    reward = torch.from_numpy(generator.standard_normal((2, 3, 2, 2)))
    every = every_trajectory(dynamics, 2)
    assert every.n == 3 * (4 * 3) ** 2
    flat = torch.cat((every.states_pnh, every.actions_pnh), -1)[0]
    assert len(torch.unique(flat, dim=0)) == every.n
    weight = probability(every, dynamics, policy)
    gamma = torch.tensor([1.0, 0.7], dtype=torch.float64)
    expected = (weight * (every.at_actions(reward) * gamma).sum(-1)).sum(-1)
    law = occupancies(dynamics, policy.flatten(2), 2)
    exact = torch.einsum("phsj,psj,h->p", law, reward.flatten(2), gamma)
    # Each of N products of 6 numbers and the sum over them is rounded; all terms are below 4 in size.
    tolerance = 4.0 * (every.n + 16) * torch.finfo(torch.float64).eps
    torch.testing.assert_close(
        weight.sum(-1), torch.ones(2, dtype=torch.float64), rtol=0, atol=tolerance
    )
    torch.testing.assert_close(expected, exact, rtol=0, atol=tolerance)


# The law, by samples.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("at_once", [True, False])
def test_visits_and_returns_have_their_exact_law(kind: SamplerKind, at_once: bool, device: str) -> None:
    """Exact binomial tests of all (h, s, a, b), Hoeffding's bound for the returns; level 1e-6 each."""
    generator = np.random.default_rng(2)
    problems, n, steps = 3, 20_000, 4
    P, rho = uneven(generator, problems, 4, 3, 2, 4), uneven(generator, problems, 4)
    leader, follower = uneven(generator, problems, 4, 3), uneven(generator, problems, 4, 2)
    joint = joint_policy(leader, follower)
    tables = [joint.flatten(2)] if at_once else [leader, follower]
    dynamics = Dynamics.of(P.to(device), rho.to(device), sampler=kind)
    policy = [kind.of(table.to(device)) for table in tables]
    trajectories = rollout(dynamics, policy, Fixed(steps), n, seeded(7, device))
    law = occupancies(Dynamics.of(P, rho), joint.flatten(2), steps)
    assert binomial_p_value(visits(trajectories).cpu(), n, law) > LEVEL
    assert binomial_p_value(visits(trajectories).cpu(), n, law.roll(1, 0)) < LEVEL

    reward = torch.from_numpy(generator.uniform(-1.0, 1.0, (problems, 4, 3, 2)))
    gamma = 0.9 ** torch.arange(steps, dtype=torch.float64)
    mean = (trajectories.at_actions(reward.to(device)).cpu() * gamma).sum(-1).mean(-1)
    exact = torch.einsum("phsj,psj,h->p", law, reward.flatten(2), gamma)
    radius = hoeffding_radius(n, 2.0 * float(gamma.sum()), tests=problems)
    assert (mean - exact).abs().max() < radius
    assert (mean - exact.roll(1)).abs().max() > radius


def test_geometric_horizon_stands_for_the_discount() -> None:
    """P(L > h, s_h = s, a_h = a) = c^h P(s_h = s, a_h = a): exact binomial tests, level 1e-6."""
    generator = np.random.default_rng(3)
    n, c = 20_000, 0.7
    dynamics = Dynamics.of(uneven(generator, 2, 3, 2, 3), uneven(generator, 2, 3))
    policy = uneven(generator, 2, 3, 2)
    trajectories = rollout(dynamics, [Alias.of(policy)], Geometric(c), n, seeded(8))
    steps = trajectories.horizon
    assert int(trajectories.lengths_pn.max()) == steps
    assert int(trajectories.lengths_pn.min()) == 1
    discount = c ** torch.arange(steps, dtype=torch.float64)
    law = occupancies(dynamics, policy, steps) * discount[:, None, None]
    assert binomial_p_value(visits(trajectories), n, law) > LEVEL
    assert binomial_p_value(visits(trajectories), n, law / c) < LEVEL


def test_lengths_invert_their_tail() -> None:
    """L > h iff U <= c^h, with U = (word + 1) / 2^62, tried on both sides of every threshold."""
    c = 0.9
    tail = [c**h for h in range(200)]
    inside = torch.tensor([int(p * (1 - 1e-13) * 2**BITS) - 1 for p in tail])
    outside = torch.tensor([int(p * (1 + 1e-13) * 2**BITS) for p in tail[1:]])
    lengths, longest = Geometric(c).lengths(Replay([inside[None]]), (1, 200))
    assert lengths[0].tolist() == list(range(1, 201))
    assert longest == 200
    lengths, _ = Geometric(c).lengths(Replay([outside[None]]), (1, 199))
    assert lengths[0].tolist() == list(range(1, 200))
    ends = torch.tensor([[0, (1 << BITS) - 1]])
    assert Geometric(0.0).lengths(Replay([ends]), (1, 2))[0].tolist() == [[1, 1]]
    assert Geometric(c).lengths(Replay([ends]), (1, 2))[0].tolist() == [[408, 1]]


def test_antithetic_trajectories_mirror_each_other_and_keep_their_law() -> None:
    generator = np.random.default_rng(4)
    dynamics = Dynamics.of(uneven(generator, 1, 3, 2, 3), uneven(generator, 1, 3), sampler=InverseCdf)
    policy = uneven(generator, 1, 3, 2)
    source = Antithetic(torch.Generator().manual_seed(9))
    word = source.words((3, 10))
    assert torch.equal(word[:, :5] + word[:, 5:], torch.full((3, 5), (1 << BITS) - 1))
    trajectories = rollout(dynamics, [InverseCdf.of(policy)], Fixed(2), 20_000, source)
    # The halves depend on each other, so each is tested by itself.
    for half in (slice(None, 10_000), slice(10_000, None)):
        part = replace(
            trajectories,
            states_pnh=trajectories.states_pnh[:, half],
            actions_pnh=trajectories.actions_pnh[:, half],
            lengths_pn=trajectories.lengths_pn[:, half],
        )
        assert binomial_p_value(visits(part), 10_000, occupancies(dynamics, policy, 2)) > LEVEL
    reward = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)[None]
    start = trajectories.at_states(reward)[0, :, 0]
    assert torch.corrcoef(start.view(2, -1))[0, 1] < -0.5
    with pytest.raises(InputError, match="come in pairs; 3 is odd"):
        source.words((2, 3))


# A plain loop.


@pytest.mark.parametrize("kind", KINDS)
def test_the_problem_axis_is_a_loop_over_problems(kind: SamplerKind) -> None:
    """With the same words, every problem gives the trajectories that it gives alone."""
    generator = np.random.default_rng(5)
    problems, n = 3, 50
    P, rho = uneven(generator, problems, 5, 3, 2, 5), uneven(generator, problems, 5)
    policies = uneven(generator, problems, 5, 3), uneven(generator, problems, 5, 2)
    source = Kept(10)
    dynamics = Dynamics.of(P, rho, sampler=kind)
    together = rollout(dynamics, [kind.of(pi) for pi in policies], Geometric(0.8), n, source)
    for p in range(problems):
        alone = Dynamics.of(P[p : p + 1], rho[p : p + 1], sampler=kind)
        words = Replay([word[..., p : p + 1, :] for word in source.given])
        single = rollout(alone, [kind.of(pi[p : p + 1]) for pi in policies], Geometric(0.8), n, words)
        h = single.horizon
        assert torch.equal(single.states_pnh[0], together.states_pnh[p, :, : h + 1])
        assert torch.equal(single.actions_pnh[0], together.actions_pnh[p, :, :h])
        assert torch.equal(single.lengths_pn[0], together.lengths_pn[p])


def test_a_plain_loop_over_cumulative_sums_gives_the_same_trajectories() -> None:
    """Steps of one trajectory after the other, in floating point, from the same words."""
    generator = np.random.default_rng(6)
    P, rho = uneven(generator, 1, 5, 3, 2, 5), uneven(generator, 1, 5)
    leader, follower = uneven(generator, 1, 5, 3), uneven(generator, 1, 5, 2)
    source = Kept(11)
    dynamics = Dynamics.of(P, rho, sampler=InverseCdf)
    policy = [InverseCdf.of(leader), InverseCdf.of(follower)]
    trajectories = rollout(dynamics, policy, Fixed(5), 40, source)
    words = torch.cat(source.given).double() / 2.0**BITS
    start, steps = words[0], torch.split(words[1:], 3)

    def pick(p: Tensor, u: Tensor) -> int:
        return int(torch.searchsorted(p.cumsum(-1), u, right=True))

    first, second = trajectories.each_action_pnh
    for n in range(40):
        s = pick(rho[0], start[0, n])
        for h, word in enumerate(steps):
            assert int(trajectories.states_pnh[0, n, h]) == s
            a, b = pick(leader[0, s], word[0, 0, n]), pick(follower[0, s], word[1, 0, n])
            assert (int(first[0, n, h]), int(second[0, n, h])) == (a, b)
            assert int(trajectories.actions_pnh[0, n, h]) == 2 * a + b
            s = pick(P[0, s, a, b], word[2, 0, n])
        assert int(trajectories.states_pnh[0, n, -1]) == s


def test_the_second_kernel_of_a_designer_differs_in_the_moves_only() -> None:
    """One joint policy under two kernels: with the same words, the same starts and first actions."""
    generator = np.random.default_rng(7)
    rho, policy = uneven(generator, 1, 4), uneven(generator, 1, 4, 6)
    players, designer = (Dynamics.of(uneven(generator, 1, 4, 3, 2, 4), rho) for _ in range(2))
    source = Kept(12)
    seen = rollout(players, [Alias.of(policy)], Fixed(3), 5_000, source)
    paid = rollout(designer, [Alias.of(policy)], Fixed(3), 5_000, Replay(source.given))
    assert torch.equal(seen.states_pnh[..., 0], paid.states_pnh[..., 0])
    assert torch.equal(seen.actions_pnh[..., 0], paid.actions_pnh[..., 0])
    assert not torch.equal(seen.states_pnh[..., 1], paid.states_pnh[..., 1])
    for trajectories, dynamics in ((seen, players), (paid, designer)):
        assert binomial_p_value(visits(trajectories), 5_000, occupancies(dynamics, policy, 3)) > LEVEL
    assert binomial_p_value(visits(paid), 5_000, occupancies(players, policy, 3)) < LEVEL


# Seeds, dtypes, devices.


@pytest.mark.parametrize("horizon", [Fixed(5), Geometric(0.6)])
def test_the_seed_decides(horizon: Fixed | Geometric, device: str) -> None:
    generator = np.random.default_rng(8)
    P, rho, pi = (uneven(generator, *shape).to(device) for shape in ((2, 4, 3, 4), (2, 4), (2, 4, 3)))
    dynamics, policy = Dynamics.of(P, rho), [Alias.of(pi)]
    first, again, other = (rollout(dynamics, policy, horizon, 30, seeded(s, device)) for s in (1, 1, 2))
    assert same(first, again)
    assert not same(first, other)


def same(first: Trajectories, second: Trajectories) -> bool:
    pairs = ((getattr(first, f.name), getattr(second, f.name)) for f in fields(Trajectories))
    return all(torch.equal(a, b) if isinstance(a, Tensor) else a == b for a, b in pairs)


def test_float32_problems_keep_the_law_of_the_float64_ones() -> None:
    generator = np.random.default_rng(9)
    P, rho = uneven(generator, 2, 4, 3, 4), uneven(generator, 2, 4)
    policy = [Alias.of(uneven(generator, 2, 4, 3))]
    double, single = Dynamics.of(P, rho), Dynamics.of(P, rho, dtype=torch.float32)
    assert single.P_psjt.dtype == single.rho_ps.dtype == torch.float32
    assert same(*(rollout(d, policy, Fixed(4), 30, seeded(3)) for d in (double, single)))
    rounded = Dynamics.of(P.float(), rho.float())
    n = 20_000
    visited = visits(
        rollout(rounded, [Alias.of(uneven(generator, 2, 4, 3).float())], Fixed(1), n, seeded(4))
    )
    assert binomial_p_value(visited.sum(-1)[:, 0], n, rho) > LEVEL


class Transfers(TorchDispatchMode):  # type: ignore[no-untyped-call] # untyped in PyTorch
    """Counts what brings a value, or a shape that depends on values, to the host."""

    NAMES = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "unique", "item")

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # untyped in PyTorch
        self.count = 0
        self.calls = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.overloadpacket.__name__
        masks = (
            [i for i in args[1] if i is not None and i.dtype == torch.bool] if name == "index" else []
        )
        self.calls += 1
        self.count += any(name.startswith(known) for known in self.NAMES) or bool(masks)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("horizon", "transfers"), [(Fixed(6), 0), (Geometric(0.8), 1)])
def test_no_step_waits_for_the_host(horizon: Fixed | Geometric, transfers: int) -> None:
    """Nothing is read in a rollout but, once before it, the longest of the random lengths."""
    generator = np.random.default_rng(10)
    dynamics = Dynamics.of(uneven(generator, 2, 4, 3, 2, 4), uneven(generator, 2, 4))
    policy: list[Sampler] = [
        Alias.of(uneven(generator, 2, 4, 3)),
        InverseCdf.of(uneven(generator, 2, 4, 2)),
    ]
    table = torch.zeros(2, 4, 3, 2, dtype=torch.float64)
    source = seeded(5)
    with Transfers() as counter:
        trajectories = rollout(dynamics, policy, horizon, 10, source)
        trajectories.at_actions(table)
        _ = trajectories.steps_p, trajectories.terminated_pn, trajectories.each_action_pnh
    assert counter.count == transfers
    assert counter.calls > 20
    with Transfers() as counter:
        int(table.sum())
        table[table > 0.0].sum()
    assert counter.count >= 2


def moved(record: T, device: str) -> T:
    """A dataclass with all its tensors on another device."""
    parts: dict[str, Any] = {}
    for field in fields(record):  # type: ignore[arg-type] # T is a dataclass
        value = getattr(record, field.name)
        if isinstance(value, Tensor):
            value = value.to(device)
        elif is_dataclass(value) and not isinstance(value, type):
            value = moved(value, device)
        parts[field.name] = value
    return type(record)(**parts)


@pytest.mark.parametrize("kind", KINDS)
def test_a_rollout_runs_where_there_are_no_values(kind: SamplerKind) -> None:
    """On the meta device nothing has values, and a tensor left on another device is an error."""
    generator = np.random.default_rng(11)
    dynamics = moved(Dynamics.of(uneven(generator, 2, 4, 3, 2, 4), uneven(generator, 2, 4)), "meta")
    policy = [moved(kind.of(uneven(generator, 2, 4, k)), "meta") for k in (3, 2)]
    trajectories = rollout(dynamics, policy, Fixed(3), 10, Nothing())
    table = torch.zeros(2, 4, 3, 1, dtype=torch.float64, device="meta")
    results = (
        trajectories.states_pnh,
        trajectories.at_actions(table),
        trajectories.steps_p,
        trajectories.terminated_pn,
        *trajectories.each_action_pnh,
    )
    assert {result.device.type for result in results} == {"meta"}
    with pytest.raises(RuntimeError, match="meta"):
        rollout(dynamics, policy, Geometric(0.5), 10, Nothing())


# Absorbing states.


def corridor() -> Dynamics:
    """States 0 -> 1 -> 2 by action 1, staying by action 0; 2 and 3 absorb, 3 with a reward."""
    P = torch.zeros(1, 4, 2, 4, dtype=torch.float64)
    for s in range(4):
        P[0, s, 0, s] = 1.0
        P[0, s, 1, min(s + 1, 2) if s < 3 else 3] = 1.0
    return Dynamics.of(P, torch.tensor([[0.5, 0.2, 0.2, 0.1]], dtype=torch.float64))


def test_terminal_states_are_absorbing_and_earn_nothing() -> None:
    dynamics = corridor()
    assert dynamics.absorbing_ps.tolist() == [[False, False, True, True]]
    assert not dynamics.terminal_ps.any()
    reward = torch.zeros(1, 4, 2, dtype=torch.float64)
    assert dynamics.ending(reward).terminal_ps.tolist() == [[False, False, True, True]]
    other = reward.clone()
    other[0, 3, 1] = 1.0
    assert dynamics.ending(reward, other).terminal_ps.tolist() == [[False, False, True, False]]
    almost = dynamics.P_psjt.clone()
    almost[0, 2, 0, 2], almost[0, 2, 0, 1] = 1.0 - 1e-9, 1e-9
    assert Dynamics.of(almost, dynamics.rho_ps).absorbing_ps.tolist() == [[False, False, False, True]]
    swap = dynamics.P_psjt[:, [0, 1, 3, 2]]
    assert Dynamics.of(swap, dynamics.rho_ps).absorbing_ps.tolist() == [[False, False, False, False]]


@pytest.mark.parametrize("horizon", [Fixed(4), Geometric(0.7)])
def test_termination_is_told_from_truncation_and_steps_are_counted(horizon: Fixed | Geometric) -> None:
    """Against a loop that takes one trajectory after the other and stops where it ends."""
    reward = torch.zeros(1, 4, 2, dtype=torch.float64)
    reward[0, 3] = 1.0
    dynamics = corridor().ending(reward)
    policy = torch.tensor([[[0.3, 0.7]] * 4], dtype=torch.float64)
    trajectories = rollout(dynamics, [Alias.of(policy)], horizon, 200, seeded(6))
    steps, terminated, alive = 0, [], []
    for n in range(200):
        ended = False
        for h in range(trajectories.horizon):
            ended = ended or int(trajectories.states_pnh[0, n, h]) == 2
            inside = h < int(trajectories.lengths_pn[0, n])
            alive.append(inside and not ended)
            steps += inside and not ended
        last = int(trajectories.lengths_pn[0, n])
        terminated.append(int(trajectories.states_pnh[0, n, last]) == 2)
    assert trajectories.alive_pnh.flatten().tolist() == alive
    assert trajectories.steps_p.tolist() == [steps]
    assert trajectories.terminated_pn[0].tolist() == terminated
    assert torch.equal(trajectories.truncated_pn, ~trajectories.terminated_pn)
    assert 0 < sum(terminated) < 200
    assert 0 < steps < int(trajectories.lengths_pn.sum())


# Bad input.


def test_bad_dynamics() -> None:
    P, rho = (
        torch.full((1, 2, 3, 2), 0.5, dtype=torch.float64),
        torch.full((1, 2), 0.5, dtype=torch.float64),
    )
    wrong = P.clone()
    wrong[0, 1, 2, 0] = 0.47
    with pytest.raises(InputError, match=r"P_psjt\[0, 1, 2\] sums to 0.97"):
        Dynamics.of(wrong, rho)
    with pytest.raises(InputError, match=r"rho_ps\[0, 1\] is -0.5.*never negative"):
        Dynamics.of(P, torch.tensor([[1.5, -0.5]], dtype=torch.float64))
    with pytest.raises(InputError, match=r"add the first to one problem's"):
        Dynamics.of(P[0], rho)
    with pytest.raises(InputError, match=r"rho_ps has shape \(1, 3\)"):
        Dynamics.of(P, torch.full((1, 3), 1.0 / 3.0, dtype=torch.float64))
    with pytest.raises(InputError, match=r"P_psjt in torch.float64, rho_ps in torch.float32"):
        Dynamics.of(P, rho.float())
    with pytest.raises(InputError, match=r"P_psjt on cpu, rho_ps on meta"):
        Dynamics.of(P, rho.to("meta"))
    with pytest.raises(InputError, match=r"rewards_psj\[1\] has shape \(1, 2, 2\)"):
        Dynamics.of(P, rho).ending(torch.zeros(1, 2, 3), torch.zeros(1, 2, 2))
    with pytest.raises(InputError, match=r"rewards_psj\[0\]\[0, 1, 2\] is inf"):
        Dynamics.of(P, rho).ending(torch.tensor([[[0.0] * 3, [0.0, 0.0, float("inf")]]]))
    with pytest.raises(InputError, match=r"rewards_psj\[0\] on meta, dynamics on cpu"):
        Dynamics.of(P, rho).ending(torch.zeros(1, 2, 3, device="meta"))


def test_bad_rollouts() -> None:
    P = torch.full((1, 2, 3, 2, 2), 0.5, dtype=torch.float64)
    dynamics = Dynamics.of(P, torch.full((1, 2), 0.5, dtype=torch.float64))
    a, b = (Alias.of(torch.full((1, 2, k), 1.0 / k, dtype=torch.float64)) for k in (3, 2))
    source = seeded(0)
    with pytest.raises(InputError, match="n is 0"):
        rollout(dynamics, [a, b], Fixed(1), 0, source)
    for bad in (0, -1, True, 2.0):
        with pytest.raises(InputError, match=rf"steps is {bad}; it must be a whole number >= 1"):
            Fixed(bad)  # type: ignore[arg-type] # what is checked
    for continuation in (1.0, -0.1, float("nan"), True):
        with pytest.raises(InputError, match="continuation is"):
            Geometric(continuation)
    with pytest.raises(InputError, match=r"have \(2, 3\) outcomes; they must have \(3, 2\)"):
        rollout(dynamics, [b, a], Fixed(1), 1, source)
    with pytest.raises(InputError, match=r"have \(\) outcomes"):
        rollout(dynamics, [], Fixed(1), 1, source)
    with pytest.raises(InputError, match=r"policy\[1\] has 1 rows.*1 x 2 = 2"):
        rollout(dynamics, [a, Alias.of(torch.tensor([0.5, 0.5]))], Fixed(1), 1, source)
    with pytest.raises(InputError, match="dynamics on cpu, source on meta, policy"):
        rollout(dynamics, [a, b], Fixed(1), 1, Nothing())
    with pytest.raises(InputError, match="generator is 3; pass a generator"):
        Independent(3)  # type: ignore[arg-type] # what is checked
    with pytest.raises(InputError, match=r"pi_psa in torch.float32, pi_psb in torch.float64"):
        joint_policy(torch.ones(1, 2, 3), torch.ones(1, 2, 3, dtype=torch.float64))
    with pytest.raises(InputError, match=r"pi_psa has shape.*3 axes"):
        joint_policy(torch.ones(2, 3), torch.ones(2, 3))
    with pytest.raises(InputError, match="at most"):
        every_trajectory(dynamics, 9)

"""Transitions per second: the simulator, a compiled loop, and Gymnasium's vector environment.

    python benchmarks/simulator.py [--threads K] [--rounds R] [--steps H] [--device cuda]

One MDP of 100 states and 25 joint actions, 65,536 trajectories; every route draws states, joint actions
and rewards, and writes them down.  The routes run in turn, round after round, and medians are compared,
so that a change of the machine's load meets all of them.

- ``rollout``: PyTorch on the device, with one thread and with all; building the policy's sampler is
  included.
- ``loop``: numba, all threads over trajectories, inverse CDF by bisection, as anyone would write it.
- ``loop, alias``: the same with alias tables of Walker and Vose, the fastest that we know.
- ``gymnasium``: SyncVectorEnv of TabularEnv, its actions drawn beforehand.
- ``vector env``: TabularVectorEnv, likewise.

Memory: the copy of a large tensor measures the bandwidth.  Against it stand the bytes that any simulator
must write for its records, and the bytes that the operations of ``rollout`` read and write (a lookup
counts its result, not its table), counted by watching them; most of these stay in the caches.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import numpy.typing as npt
import torch
from gymnasium.vector import SyncVectorEnv
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sampled.environments import TabularEnv, TabularVectorEnv
from sampled.horizons import Fixed
from sampled.laws import Alias
from sampled.simulator import Dynamics, joint_policy, rollout
from sampled.sources import Independent

Array = npt.NDArray[Any]

N, S, A, B = 65_536, 100, 5, 5
J = A * B
GYM_ENVS, GYM_STEPS = 64, 50
ONE, ALL = "rollout, one thread", "rollout, all threads"
LOOP, ALIAS, GYM, VECTOR, COPY = "loop", "loop, alias", "gymnasium", "vector env", "copy"


@numba.njit(inline="always")
def _bisect(cumulative: Array, u: float) -> int:
    low, high = 0, cumulative.shape[0] - 1
    while low < high:
        middle = (low + high) >> 1
        if u < cumulative[middle]:
            high = middle
        else:
            low = middle + 1
    return low


@numba.njit(parallel=True)
def _loop(
    start_s: Array,
    kernel_sjt: Array,
    policy_sj: Array,
    r_sj: Array,
    s_hn: Array,
    j_hn: Array,
    r_hn: Array,
) -> None:
    steps, n = j_hn.shape
    for i in numba.prange(n):
        s = _bisect(start_s, np.random.random())  # noqa: NPY002 - numba's generator of the thread
        for h in range(steps):
            j = _bisect(policy_sj[s], np.random.random())  # noqa: NPY002 - as above
            s_hn[h, i], j_hn[h, i], r_hn[h, i] = s, j, r_sj[s, j]
            s = _bisect(kernel_sjt[s, j], np.random.random())  # noqa: NPY002 - as above
        s_hn[steps, i] = s


@numba.njit(inline="always")
def _pick(share: Array, alias: Array, u: float) -> int:
    scaled = u * share.shape[0]
    k = int(scaled)
    return k if scaled - k < share[k] else alias[k]


@numba.njit(parallel=True)
def _loop_alias(
    start_s: Array,
    kernel_sjt: Array,
    kernel_alias_sjt: Array,
    policy_sj: Array,
    policy_alias_sj: Array,
    r_sj: Array,
    s_hn: Array,
    j_hn: Array,
    r_hn: Array,
) -> None:
    steps, n = j_hn.shape
    for i in numba.prange(n):
        s = _bisect(start_s, np.random.random())  # noqa: NPY002 - numba's generator of the thread
        for h in range(steps):
            j = _pick(policy_sj[s], policy_alias_sj[s], np.random.random())  # noqa: NPY002 - as above
            s_hn[h, i], j_hn[h, i], r_hn[h, i] = s, j, r_sj[s, j]
            u = np.random.random()  # noqa: NPY002 - as above
            s = _pick(kernel_sjt[s, j], kernel_alias_sjt[s, j], u)
        s_hn[steps, i] = s


def _vose(p_rk: Array) -> tuple[Array, Array]:
    """Shares and aliases by Vose's two stacks, row after row."""
    k = p_rk.shape[-1]
    share, alias = np.ones_like(p_rk), np.tile(np.arange(k, dtype=np.int32), (*p_rk.shape[:-1], 1))
    for row in np.ndindex(p_rk.shape[:-1]):
        w = p_rk[row] * k
        small, large = list(np.flatnonzero(w < 1.0)), list(np.flatnonzero(w >= 1.0))
        while small and large:
            a, b = small.pop(), large[-1]
            share[row][a], alias[row][a] = w[a], b
            w[b] -= 1.0 - w[a]
            if w[b] < 1.0:
                small.append(large.pop())
    return share, alias


class _Traffic(TorchDispatchMode):  # type: ignore[no-untyped-call] # untyped in PyTorch
    """Adds up the bytes of tensors that operations read and write."""

    VIEWS = (
        "view",
        "_unsafe_view",
        "select",
        "slice",
        "unbind",
        "permute",
        "expand",
        "unsqueeze",
        "alias",
    )

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # untyped in PyTorch
        self.bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name.startswith(("empty", *self.VIEWS)):
            return result
        read = args[2:] if name == "index_select" else args
        parts = [part for part in (*read, result) if isinstance(part, Tensor)]
        if name == "index_select":
            parts.append(result)
        if name in ("copy_", "random_"):  # what they write over is not read
            parts = parts[1:]
        self.bytes += sum(part.numel() * part.element_size() for part in parts)
        return result


def _seconds(route: Callable[[], object]) -> float:
    begin = time.perf_counter()
    route()
    return time.perf_counter() - begin


def _with_threads(threads: int, route: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        torch.set_num_threads(threads)
        return route()

    return run


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


@dataclass(frozen=True)
class Routes:
    """What is timed: calls by name, and the transitions (of the copy: bytes) that each makes."""

    calls: dict[str, tuple[Callable[[], object], int]]
    ours: Callable[[], Tensor]
    records: tuple[Array, ...]
    """What a loop writes: states, actions and rewards."""


def prepare(device: str, threads: int, steps: int) -> Routes:
    """Draw the MDP and the policies, and build the tables of all routes."""
    draw = np.random.default_rng(0)
    P_psabt = draw.random((1, S, A, B, S))
    P_psabt /= P_psabt.sum(-1, keepdims=True)
    dynamics = Dynamics.of(torch.from_numpy(P_psabt), torch.full((1, S), 1.0 / S, dtype=torch.float64))
    r_psab = torch.from_numpy(draw.random((1, S, A, B)))
    leader, follower = (torch.from_numpy(draw.standard_normal((1, S, k))).softmax(-1) for k in (A, B))

    there = Dynamics.of(dynamics.P_psjt.view(P_psabt.shape).to(device), dynamics.rho_ps.to(device))
    r_there, leader_there, follower_there = (t.to(device) for t in (r_psab, leader, follower))
    source = Independent(torch.Generator(device).manual_seed(0))

    def ours() -> Tensor:
        policy = Alias.of(joint_policy(leader_there, follower_there).flatten(2))
        rewards = rollout(there, [policy], Fixed(steps), N, source).at_actions(r_there)
        _wait(device)
        return rewards

    P_sjt, r_sj = P_psabt.reshape(S, J, S), r_psab.numpy().reshape(S, J)
    pi_sj = joint_policy(leader, follower).flatten(2).numpy()[0]
    start_s = np.full(S, 1.0 / S).cumsum()
    records = np.zeros((steps + 1, N), np.int32), np.zeros((steps, N), np.int32), np.zeros((steps, N))
    tables = start_s, P_sjt.cumsum(-1), pi_sj.cumsum(-1), r_sj
    alias_tables = start_s, *_vose(P_sjt), *_vose(pi_sj), r_sj

    envs = SyncVectorEnv([lambda: TabularEnv(dynamics, r_psab)] * GYM_ENVS, copy=False)
    own = TabularVectorEnv(dynamics, r_psab, N)
    few = draw.integers((A, B), size=(GYM_STEPS, GYM_ENVS, 2))
    many = draw.integers((A, B), size=(steps, N, 2))
    envs.reset(seed=0)
    own.reset(seed=0)

    large = torch.ones(1 << 25, dtype=torch.float64, device=device)
    copy = torch.empty_like(large)

    def copied() -> None:
        copy.copy_(large)
        _wait(device)

    calls: dict[str, tuple[Callable[[], object], int]] = {
        ONE: (_with_threads(1, ours), N * steps),
        ALL: (_with_threads(threads, ours), N * steps),
        LOOP: (lambda: _loop(*tables, *records), N * steps),
        ALIAS: (lambda: _loop_alias(*alias_tables, *records), N * steps),
        GYM: (lambda: [envs.step(a) for a in few], GYM_STEPS * GYM_ENVS),
        VECTOR: (_with_threads(1, lambda: [own.step(a) for a in many]), N * steps),
        COPY: (_with_threads(threads, copied), 16 * large.numel()),
    }
    return Routes(calls, ours, records)


def measure(routes: Routes, rounds: int) -> dict[str, float]:
    """Median seconds per transition (of the copy: per byte) of each route, which run in turn."""
    for call, _ in routes.calls.values():  # compile, allocate, fill the caches
        call()
    agree(float(routes.ours().mean()), float(routes.records[2].mean()))
    taken: dict[str, list[float]] = {name: [] for name in routes.calls}
    for _ in range(rounds):
        for name, (call, count) in routes.calls.items():
            taken[name].append(_seconds(call) / count)
    return {name: statistics.median(times) for name, times in taken.items()}


def agree(first: float, second: float) -> None:
    """Stop if the mean rewards of two routes, in [0, 1], differ by more than chance explains.

    A mean over N independent trajectories errs by 0.009 with probability below 1e-4 (Hoeffding).
    """
    if abs(first - second) > 0.018:
        raise SystemExit(f"mean rewards {first:.4f} and {second:.4f} differ: not the same MDP")


def main() -> None:
    """Measure and print; exit with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description="Transitions per second of the simulator.")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    numba.set_num_threads(options.threads)
    routes = prepare(options.device, options.threads, options.steps)
    per = measure(routes, options.rounds)

    print(
        f"{N} trajectories of {options.steps} steps, {S} states, {J} joint actions, "
        f"{options.device}, {options.threads} threads, medians of {options.rounds} rounds"
    )
    print(f"{'route':24}{'ns per transition':>20}{'million per second':>20}")
    for name in (ONE, ALL, LOOP, ALIAS, GYM, VECTOR):
        print(f"{name:24}{per[name] * 1e9:20.1f}{1e-6 / per[name]:20.3f}")
    best = min(per[ONE], per[ALL])
    goals = {GYM: 100.0, LOOP: 1.0}
    print(f"\n{'ratio of times':24}{'median':>12}{'goal':>12}")
    for name, goal in (*goals.items(), (ALIAS, None)):
        print(f"{name + ' / rollout':24}{per[name] / best:12.2f}{goal or '':>12}")
    print(f"{GYM + ' / vector env':24}{per[GYM] / per[VECTOR]:12.2f}")

    with _Traffic() as traffic:
        routes.ours()
    transitions = N * options.steps
    print(f"\ncopy bandwidth {1e-9 / per[COPY]:.1f} GB/s, read and written")
    for name, size in (
        ("records alone", sum(record.nbytes for record in routes.records) / transitions),
        ("all operations", traffic.bytes / transitions),
    ):
        print(
            f"{name:16}{size:6.0f} bytes per transition, {size * per[COPY] * 1e9:6.1f} ns at that "
            f"bandwidth; rollout takes {best / (size * per[COPY]):.2f} times as long"
        )
    missed = [name for name, goal in goals.items() if per[name] / best < goal]
    if missed:
        raise SystemExit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()

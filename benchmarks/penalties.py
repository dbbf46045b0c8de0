"""A penalty with all its gradients against the parts that it cannot avoid, and against autodiff.

Run ``python benchmarks/penalties.py``.  The optimal policies (best responses) are given.  The parts
are timed in the same run, each run after the other: one contraction of the transition tensor per
use of it, one factorisation per policy, one product of the tensor with the value vectors.  Automatic
differentiation in PyTorch computes the same gradients from the same arrays, and its result is held
to the closed form's.  Peak memory (on Linux) is that of a process of its own, above what it holds
once the problem is in memory.  All is measured on one core and on all of them.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.linalg import lu_factor

from reference.contractions import joint_actions, leader_mixture, next_values, policy_chain
from reference.domains import Euclidean
from reference.evaluated import Evaluated
from reference.penalties.bellman import bellman_penalty
from reference.penalties.nikaido_isoda import nikaido_isoda
from reference.penalties.value import value_penalty
from reference.policies import SoftmaxPolicy
from reference.problems.general_position import general_distributions
from reference.problems.instances import random_stackelberg
from reference.problems.parametrizations import BoundedIncentive, FixedKernel
from reference.problems.stackelberg import StackelbergGame
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import NegativeEntropy
from reference.validation import Array

N_FIRST = N_SECOND = 5
GAMMA, TAU = 0.9, 0.1

Arguments = dict[str, Array]
Gradients = tuple[Array, ...]


def arguments(n_states: int) -> Arguments:
    """Parameters and policies in general position."""
    generator = np.random.default_rng(1)
    return {
        "x": generator.standard_normal((n_states, N_FIRST)),
        "incentive": generator.standard_normal((n_states, N_FIRST, N_SECOND)),
        "pi_sa": general_distributions(generator, (n_states, N_FIRST)),
        "pi_sb": general_distributions(generator, (n_states, N_SECOND)),
        "best_sa": general_distributions(generator, (n_states, N_FIRST)),
        "best_sb": general_distributions(generator, (n_states, N_SECOND)),
    }


def problems(arrays: Arguments) -> tuple[StackelbergGame, GameFamily]:
    """The Stackelberg game, and the zero-sum game with the same transitions."""
    P_sabt, r_sab, rho_s = arrays["P_sabt"], arrays["r_sab"], arrays["rho_s"]
    n_states, entropy = len(rho_s), NegativeEntropy()
    leader = SoftmaxPolicy((n_states, N_FIRST))
    stackelberg = StackelbergGame(P_sabt, r_sab, r_sab, GAMMA, rho_s, TAU, entropy, leader, 0.0, entropy)
    reward = BoundedIncentive(r_sab, 0.2, Euclidean(r_sab.shape))
    kernel = FixedKernel(joint_actions(P_sabt, trailing=1))
    return stackelberg, GameFamily(reward, kernel, GAMMA, rho_s, TAU, entropy, entropy)


# The closed forms.


def closed(name: str, stackelberg: StackelbergGame, game: GameFamily, given: Arguments) -> Evaluated:
    """One penalty with all its gradients."""
    if name == "value":
        return value_penalty(stackelberg, given["x"], given["pi_sb"], given["best_sb"])
    if name == "Bellman":
        return bellman_penalty(stackelberg, given["x"], given["pi_sb"], given["best_sb"])
    policies = (given["pi_sa"], given["pi_sb"], given["best_sa"], given["best_sb"])
    return nikaido_isoda(game, given["incentive"], *policies)


# The same by automatic differentiation.


def _value(P_st: torch.Tensor, c_s: torch.Tensor) -> torch.Tensor:
    system = torch.eye(len(c_s), dtype=torch.float64) - GAMMA * P_st
    return torch.as_tensor(torch.linalg.solve(system, c_s))


def _charge(pi: torch.Tensor) -> torch.Tensor:
    return TAU * (pi * pi.log()).sum(-1)


def differentiated(name: str, arrays: Arguments, given: Arguments) -> Gradients:
    """Gradients of the penalty in x and in the policies."""
    P, r, rho = (torch.from_numpy(arrays[key]) for key in ("P_sabt", "r_sab", "rho_s"))
    x, incentive, pi_sa, pi_sb, best_sa, best_sb = (
        torch.tensor(array, requires_grad=True) for array in given.values()
    )
    if name == "Nikaido-Isoda":
        earned = r + 0.2 * torch.sigmoid(incentive)

        def joint(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
            both = first[:, :, None] * second[:, None, :]
            c_s = (both * earned).sum((1, 2)) - _charge(first) + _charge(second)
            return rho @ _value(torch.einsum("sab,sabt->st", both, P), c_s)

        psi = joint(best_sa.detach(), pi_sb) - joint(pi_sa, best_sb.detach())
        found = torch.autograd.grad(psi, (incentive, pi_sa, pi_sb))
        return tuple(gradient.numpy() for gradient in found)
    leader = torch.softmax(x, -1)
    P_sbt, r_sb = torch.einsum("sa,sabt->sbt", leader, P), torch.einsum("sa,sab->sb", leader, r)

    def own(pi: torch.Tensor) -> torch.Tensor:
        return _value(torch.einsum("sb,sbt->st", pi, P_sbt), (pi * r_sb).sum(-1) - _charge(pi))

    best = best_sb.detach()
    best_s = own(best)
    if name == "value":
        penalty = rho @ (best_s - own(pi_sb))
    else:
        q_sb = r_sb + GAMMA * torch.einsum("sbt,t->sb", P_sbt, best_s)
        gap_s = ((best - pi_sb) * q_sb).sum(-1) - _charge(best) + _charge(pi_sb)
        penalty = rho @ gap_s
    return tuple(gradient.numpy() for gradient in torch.autograd.grad(penalty, (x, pi_sb)))


# What cannot be avoided.


def parts(name: str, arrays: Arguments, given: Arguments) -> dict[str, Callable[[], object]]:
    """The contraction, the factorisations and the product, each to be timed alone."""
    P_sabt = arrays["P_sabt"]
    P_sjt = joint_actions(P_sabt, trailing=1)
    n_states = len(P_sjt)
    chains = 1 if name == "Bellman" else 2
    chain = policy_chain(P_sjt, given["pi_sa"][:, :, None].repeat(N_SECOND, 2).reshape(n_states, -1) / 5)
    system = np.asfortranarray(np.eye(n_states) - GAMMA * chain)
    v_kt = np.random.default_rng(2).standard_normal((chains, n_states))

    def factorize() -> None:
        for _ in range(chains):
            lu_factor(system.copy(order="F"), overwrite_a=True, check_finite=False)

    def contract() -> None:
        if name != "Nikaido-Isoda":
            leader_mixture(P_sabt, given["pi_sa"])
            return
        for pair in (("best_sa", "pi_sb"), ("pi_sa", "best_sb")):
            both = given[pair[0]][:, :, None] * given[pair[1]][:, None, :]
            policy_chain(P_sjt, joint_actions(both, trailing=0))

    return {
        "contraction": contract,
        "factorisation": factorize,
        "product": lambda: next_values(P_sjt, v_kt),
    }


PAUSE = 0.2
"""Seconds before a run is timed: idle threads of OpenBLAS spin for a while after their last work, and
would take a processor from the next library's."""


def seconds(work: Callable[[], object]) -> float:
    """Time of one run."""
    time.sleep(PAUSE)
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


# Memory, in processes of their own.


def _peak(
    folder: str, name: str, automatic: bool, pipe: "multiprocessing.connection.Connection"
) -> None:
    arrays = {key: np.load(f"{folder}/{key}.npy") for key in ("P_sabt", "r_sab", "rho_s")}
    given = arguments(len(arrays["rho_s"]))
    work: Callable[[], object]
    if automatic:
        work = partial(differentiated, name, arrays, given)
    else:
        stackelberg, game = problems(arrays)
        work = partial(closed, name, stackelberg, game, given)
    # Linux forgets the peak so far when told to; VmRSS is then the base, VmHWM the new peak.
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    work()
    pipe.send((_status("VmHWM") - before) / 1024.0)


def _status(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(field)))


def peak_megabytes(folder: str, name: str, automatic: bool) -> float:
    """Growth of the resident memory's peak during one evaluation, in MiB."""
    spawn = multiprocessing.get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    process = spawn.Process(target=_peak, args=(folder, name, automatic, sender))
    process.start()
    peak: float = receiver.recv()
    process.join()
    return peak


Row = tuple[str, list[float], list[float]]
"""A penalty, its medians of time and ratio, and the two peaks of memory."""


def measured(states: int, repeats: int) -> list[Row]:
    """Every penalty by every way, with as many threads as this process may use."""
    game = random_stackelberg(np.random.default_rng(0), n_states=states)
    arrays = {
        "P_sabt": game.P_sabt.copy(),
        "r_sab": game.r_follower_sab.copy(),
        "rho_s": game.rho_s.copy(),
    }
    given = arguments(states)
    stackelberg, zero_sum = problems(arrays)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for key, array in arrays.items():
            np.save(Path(folder) / f"{key}.npy", array)
        for name in ("value", "Bellman", "Nikaido-Isoda"):
            compare(closed(name, stackelberg, zero_sum, given), differentiated(name, arrays, given))
            alone = parts(name, arrays, given)
            found = []
            for _ in range(repeats):
                unavoidable = sum(seconds(part) for part in alone.values())
                own = seconds(partial(closed, name, stackelberg, zero_sum, given))
                theirs = seconds(partial(differentiated, name, arrays, given))
                found.append((unavoidable, own, own / unavoidable, theirs, theirs / own))
            memory = [peak_megabytes(folder, name, automatic) for automatic in (False, True)]
            rows.append((name, [median(column) for column in zip(*found, strict=True)], memory))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=9)
    options = parser.parse_args()
    table = Table(title=f"Penalties with all gradients, |S| = {options.states}, 5 x 5 actions (medians)")
    for column in (
        "cores",
        "penalty",
        "parts ms",
        "closed form ms",
        "/ parts",
        "autodiff ms",
        "autodiff / closed",
        "closed MiB",
        "autodiff MiB",
    ):
        table.add_column(column, justify="left" if column == "penalty" else "right")
    for cores in sorted({1, len(os.sched_getaffinity(0))}):
        # The libraries read it once, when they are imported: so a process of its own.
        os.environ["OMP_NUM_THREADS"] = str(cores)
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            rows = pool.submit(measured, options.states, options.repeats).result()
        for name, (alone, own, to_parts, theirs, to_own), memory in rows:
            table.add_row(
                str(cores),
                name,
                f"{alone * 1e3:.1f}",
                f"{own * 1e3:.1f}",
                f"{to_parts:.2f}",
                f"{theirs * 1e3:.1f}",
                f"{to_own:.2f}",
                *(f"{megabytes:.0f}" for megabytes in memory),
            )
        table.add_section()
    Console(width=125).print(table)


def compare(found: Evaluated, automatic: Gradients) -> None:
    """Stop if the two ways disagree: a fast wrong answer is not timed."""
    for own, other in zip((found.grad_x, *found.grad_policies), automatic, strict=True):
        if np.abs(own - other).max() > 1e-8 * np.abs(own).max():
            raise SystemExit("the closed form and automatic differentiation disagree")


if __name__ == "__main__":
    main()

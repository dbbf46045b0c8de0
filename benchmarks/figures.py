"""Iterations per second of the sampled algorithms at the paper's sizes, and the time of its figures.

    python benchmarks/figures.py [--threads K] [--rounds R] [--block I] [--seeds N] [--device cuda]

Figure 1: ten random games of 100 states and 5 x 5 actions advance in one batch, with the printed
settings.  Figure 3: five random environments of 10 states and 5 x 5 actions.  The methods run in turn,
a block of iterations each, round after round, and medians over rounds are taken, so that a change of
the machine's load meets all of them.  Seeds multiply the problems of a batch.

The time of a figure is projected: iterations times seconds per iteration, on one core, and on two with
a process per method, the longest first.  The processor's time is what a quiet machine would need; beside
it stands the clock's.  With several threads the processor's time adds up over them.
"""

import argparse
import heapq
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from reference.problems.instances import random_incentive_design, random_stackelberg
from reference.problems.structure import stack
from sampled.algorithms import appendix_e
from sampled.algorithms.bilevel import bilevel
from sampled.algorithms.contract import Algorithm, State, keys, run


@dataclass(frozen=True)
class Figure:
    """A figure: its problems, its methods, and how many iterations of each it takes."""

    problem: Callable[[np.random.Generator], Any]
    count: int
    methods: Mapping[str, tuple[Callable[[Any], Algorithm], int]]


FIGURES = {
    "Figure 1": Figure(
        random_stackelberg,
        10,
        {
            "independent gradient": (appendix_e.independent, 40_000),
            "PBRL, value": (appendix_e.pbrl_value, 20_000),
            "PBRL, Bellman": (appendix_e.pbrl_bellman, 12_000),
        },
    ),
    "Figure 3": Figure(
        random_incentive_design,
        5,
        {
            "no incentive": (appendix_e.no_incentive, 20_000),
            "meta-gradient": (appendix_e.meta_gradient, 20_000),
            "PBRL, Nikaido-Isoda": (appendix_e.pbrl_nikaido_isoda, 20_000),
        },
    ),
}


@dataclass
class Method:
    """A method while it runs."""

    name: str
    algorithm: Algorithm
    state: State
    iterations: int
    busy: list[float]
    clock: list[float]

    def block(self, iterations: int) -> None:
        """Run a block and note its seconds per iteration."""
        busy, clock = time.process_time(), time.perf_counter()
        self.state = run(self.algorithm, self.state, iterations).state
        self.busy.append((time.process_time() - busy) / iterations)
        self.clock.append((time.perf_counter() - clock) / iterations)


def begin(figure: Figure, seeds: int, device: str) -> list[Method]:
    """Start a figure's methods on the same problems."""
    problems = [figure.problem(np.random.default_rng(i)) for i in range(figure.count)]
    own = bilevel(stack(problems * seeds), device=device)
    methods = []
    for name, (make, iterations) in figure.methods.items():
        algorithm = make(own)
        key_p = keys(torch.Generator(device).manual_seed(0), figure.count * seeds)
        methods.append(Method(name, algorithm, algorithm.start(key_p), iterations, [], []))
    return methods


def makespan(seconds: list[float], cores: int) -> float:
    """Time of jobs on so many cores, the longest first."""
    free = [0.0] * cores
    for job in sorted(seconds, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


def report(title: str, methods: list[Method]) -> None:
    """Print a figure's table."""
    print(f"\n{title}: {len(methods[0].state.key_p)} problems in one batch")
    print(f"{'':24}{'steps/iter':>11}{'it/s (cpu)':>12}{'it/s':>8}{'iterations':>12}{'projected':>11}")
    projected = []
    for method in methods:
        busy, clock = statistics.median(method.busy), statistics.median(method.clock)
        projected.append(busy * method.iterations)
        steps = int(method.state.steps_p[0]) // method.state.k
        print(
            f"{method.name:24}{steps:11,}{1 / busy:12,.0f}{1 / clock:8,.0f}{method.iterations:12,}"
            f"{projected[-1]:9,.0f} s"
        )
    print(f"{'one core':24}{sum(projected):54,.0f} s\n{'two cores':24}{makespan(projected, 2):54,.0f} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--block", type=int, default=20, help="iterations of a round")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{given.threads} threads on {given.device}, {given.seeds} seeds")
    for title, figure in FIGURES.items():
        methods = begin(figure, given.seeds, given.device)
        for method in methods:
            method.block(5)  # to warm up
            method.busy.clear()
            method.clock.clear()
        for _ in range(given.rounds):
            for method in methods:
                method.block(given.block)
        report(title, methods)


if __name__ == "__main__":
    main()

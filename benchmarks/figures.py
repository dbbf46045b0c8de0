"""Iterations per second of the algorithms at the paper's sizes, and the time of its figures.

    python benchmarks/figures.py [--threads K] [--rounds R] [--block I] [--seeds N] [--device cuda]

Figure 1: ten random games of 100 states and 5 x 5 actions advance in one batch, with the printed
settings.  Figure 3: ten random environments of 10 states and 5 x 5 actions.  Each from samples, and with
exact gradients by ``reference``: as many iterations, and in strides as long, as ``python -m verify
reproduce`` takes.  The methods run in turn, a block of iterations each, round after round, and medians
over rounds are taken, so that a change of the machine's load meets all of them.  Seeds multiply the
problems of a batch of samples.

The time of a figure is projected: iterations times seconds per iteration, on one core, and on two with
a process per method, the longest first.  The processor's time is what a quiet machine would need; beside
it stands the clock's.  With several threads the processor's time adds up over them; those of NumPy are
set by OMP_NUM_THREADS.  A goal that is missed is named, and the exit code is 1.
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

from reference.algorithms import bilevel as exact_bilevel
from reference.algorithms import contract as exact_contract
from reference.algorithms import independent_gradient as exact_independent
from reference.algorithms import meta_gradient as exact_meta
from reference.algorithms import oracles as exact_oracles
from reference.algorithms import pbrl as exact_pbrl
from reference.objectives import incentive_design, stackelberg
from reference.penalties import bellman as exact_bellman
from reference.penalties import nikaido_isoda as exact_ni
from reference.penalties import value as exact_value
from reference.policies import SoftmaxPolicy
from reference.problems.instances import random_incentive_design, random_stackelberg
from reference.problems.structure import stack
from sampled.algorithms import appendix_e
from sampled.algorithms.appendix_e import Settings
from sampled.algorithms.bilevel import bilevel
from sampled.algorithms.contract import Algorithm, keys, run
from verify.experiments.incentive import PAPER as FIGURE_3
from verify.experiments.lineup import Budget
from verify.experiments.stackelberg import PAPER as FIGURE_1

Make = Callable[[Any], Algorithm]
Exact = Callable[[Any], Any]


@dataclass(frozen=True)
class Figure:
    """A figure: its problems, its methods, and how many iterations of each it takes.

    Attributes
    ----------
    problem : generator -> problem of ``reference``
    budget : Budget
        Of the experiment: problems, iterations of each method, strides of exact gradients.
    objective : Objective of ``reference``
    methods : name in the experiment -> (algorithm of samples, algorithm with exact gradients)
    goals : (float, float)
        Seconds on two cores that samples and exact gradients may take.
    """

    problem: Callable[[np.random.Generator], Any]
    budget: Budget
    objective: Any
    methods: Mapping[str, tuple[Make, Exact]]
    goals: tuple[float, float]


def exact_rate(settings: Settings) -> exact_contract.Schedule:
    """The rate of Appendix E."""
    return exact_contract.Constant(settings.inner_rate(0))


def exactly(penalty: Any, settings: Settings) -> Exact:
    """PBRL with exact gradients, at the same settings."""

    def make(problem: Any) -> Any:
        steps = settings.inner_rate(0), settings.inner_steps
        players = tuple(exact_oracles.PolicyGradient(m, *steps) for m in problem.policy_maps)
        strength = exact_contract.Constant(settings.strength(0))
        return exact_pbrl.Pbrl(problem, penalty.PENALTY, players, exact_rate(settings), strength)

    return make


def exactly_independent(penalty: Any, settings: Settings, *, moving: bool) -> Exact:
    """Independent policy gradient with exact gradients; without incentives, x is held fixed."""
    rate = exact_rate(settings)

    def make(problem: Any) -> Any:
        step_x = rate if moving else None
        return exact_independent.IndependentGradient(problem, penalty.PENALTY, step_x, rate)

    return make


def exactly_meta(problem: Any) -> Any:
    """The meta-gradient with exact gradients."""
    rate = exact_rate(appendix_e.NIKAIDO_ISODA)
    return exact_meta.MetaGradient(problem, exact_ni.PENALTY, rate, rate)


FIGURES = {
    "Figure 1": Figure(
        random_stackelberg,
        FIGURE_1,
        stackelberg.OBJECTIVE,
        {
            "independent": (
                appendix_e.independent,
                exactly_independent(exact_value, appendix_e.VALUE, moving=True),
            ),
            "value": (appendix_e.pbrl_value, exactly(exact_value, appendix_e.VALUE)),
            "bellman": (appendix_e.pbrl_bellman, exactly(exact_bellman, appendix_e.BELLMAN)),
        },
        (300.0, 60.0),
    ),
    "Figure 3": Figure(
        random_incentive_design,
        FIGURE_3,
        incentive_design.OBJECTIVE,
        {
            "none": (
                appendix_e.no_incentive,
                exactly_independent(exact_ni, appendix_e.NIKAIDO_ISODA, moving=False),
            ),
            "meta": (appendix_e.meta_gradient, exactly_meta),
            "pbrl": (
                appendix_e.pbrl_nikaido_isoda,
                exactly(exact_ni, appendix_e.NIKAIDO_ISODA),
            ),
        },
        (180.0, 60.0),
    ),
}


@dataclass
class Method:
    """A method while it runs, from samples or with exact gradients."""

    name: str
    advance: Callable[[Any, int], Any]
    state: Any
    iterations: int
    busy: list[float]
    clock: list[float]

    def block(self, iterations: int) -> None:
        """Run a block and note its seconds per iteration."""
        busy, clock = time.process_time(), time.perf_counter()
        self.state = self.advance(self.state, iterations)
        self.busy.append((time.process_time() - busy) / iterations)
        self.clock.append((time.perf_counter() - clock) / iterations)


def begin(figure: Figure, seeds: int, device: str) -> list[Method]:
    """Start a figure's methods on the same problems, from samples."""
    problems = [figure.problem(np.random.default_rng(i)) for i in range(figure.budget.problems)]
    own = bilevel(stack(problems * seeds), device=device)
    methods = []
    for name, (make, _) in figure.methods.items():
        algorithm = make(own)
        key_p = keys(torch.Generator(device).manual_seed(0), figure.budget.problems * seeds)

        def advance(state: Any, steps: int, algorithm: Algorithm = algorithm) -> Any:
            return run(algorithm, state, steps).state

        methods.append(
            Method(name, advance, algorithm.start(key_p), figure.budget.sampled[name], [], [])
        )
    return methods


def begin_exactly(figure: Figure) -> list[Method]:
    """Start them with exact gradients."""
    whole = stack([figure.problem(np.random.default_rng(i)) for i in range(figure.budget.problems)])
    sizes = bilevel(whole).sizes
    given = exact_bilevel.Bilevel(whole, figure.objective, tuple(map(SoftmaxPolicy, sizes)))
    x = np.zeros((figure.budget.problems, *whole.domain.shape))
    methods = []
    for name, (_, make) in figure.methods.items():
        algorithm = make(given)

        def advance(state: Any, steps: int, algorithm: Any = algorithm) -> Any:
            return exact_contract.run(algorithm, state, steps).state

        updates = figure.budget.exact[name] // figure.budget.exact_stride
        methods.append(Method(name, advance, algorithm.start(x), updates, [], []))
    return methods


def makespan(seconds: list[float], cores: int) -> float:
    """Time of jobs on so many cores, the longest first."""
    free = [0.0] * cores
    for job in sorted(seconds, reverse=True):
        heapq.heappush(free, heapq.heappop(free) + job)
    return max(free)


def report(title: str, methods: list[Method], goal: float) -> bool:
    """Print a figure's table; whether it takes no longer than its goal on two cores."""
    print(f"\n{title}: {len(methods[0].state.x)} problems in one batch")
    print(f"{'':24}{'steps/iter':>11}{'it/s (cpu)':>12}{'it/s':>8}{'iterations':>12}{'projected':>11}")
    projected = []
    for method in methods:
        busy, clock = statistics.median(method.busy), statistics.median(method.clock)
        projected.append(busy * method.iterations)
        drawn = getattr(method.state, "steps_p", None)
        steps = "exact" if drawn is None else f"{int(drawn[0]) // method.state.k:,}"
        print(
            f"{method.name:24}{steps:>11}{1 / busy:12,.0f}{1 / clock:8,.0f}{method.iterations:12,}"
            f"{projected[-1]:9,.0f} s"
        )
    both = makespan(projected, 2)
    print(f"{'one core':24}{sum(projected):54,.0f} s")
    print(f"{'two cores':24}{both:54,.0f} s   goal {goal:,.0f} s")
    return both <= goal


def measure(methods: list[Method], rounds: int, block: int) -> None:
    """Run the methods in turn."""
    for method in methods:
        method.block(5)  # to warm up
        method.busy.clear()
        method.clock.clear()
    for _ in range(rounds):
        for method in methods:
            method.block(block)


def main() -> None:
    """Measure and print; exit with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--block", type=int, default=20, help="iterations of a round")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print(f"{given.threads} threads on {given.device}, {given.seeds} seeds")
    missed = []
    for title, figure in FIGURES.items():
        kinds = {
            f"{title}, from samples": begin(figure, given.seeds, given.device),
            f"{title}, exact gradients in strides of {figure.budget.exact_stride}": begin_exactly(
                figure
            ),
        }
        for (name, methods), goal in zip(kinds.items(), figure.goals, strict=True):
            measure(methods, given.rounds, given.block)
            if not report(name, methods, goal):
                missed.append(name)
    if missed:
        raise SystemExit(f"\nmissed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()

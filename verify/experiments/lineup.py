r"""What the experiments of Sections 6.1 and 6.3 have in common: settings, amounts of work, and jobs.

A *lineup* names the methods: those of the figure, run with exact gradients and from samples, and
references with exact gradients alone.  Around the default setting one number at a time is changed:
gamma, tau, and lambda by a factor of the printed ones.  The baseline is also run with its two step sizes
tuned: every pair of factors is tried on instances of their own, and the best by the measure that the
figure shows is run on the instances that are reported.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.experiments.contract import Data, Job, Parameter, Series
from verify.experiments.recording import Measured, exact_series, schedule
from verify.experiments.sampling import sampled_series, steps_of_an_iteration

REPORTED, TUNING = 0, 1
"""Streams of instances."""


@dataclass(frozen=True)
class Budget:
    """An amount of work; iterations are those of the printed step.

    Attributes
    ----------
    problems, tuning_problems, n_states : int
    exact, sampled : mapping of str to int
        Iterations of the runs with exact gradients and from samples, by method.
    exact_stride, sampled_stride : int
        Printed iterations per iteration: see :mod:`verify.experiments.recording`.
    points : int
        Recorded.
    sweep_exact, sweep_exact_stride, sweep_sampled_stride, sweep_points
        The same in the sweeps, whose sampled runs are as long.
    gammas, taus, strengths : tuples of float
        What is swept beside the default; a strength is a factor of the printed lambda.
    steps : two tuples of float
        Factors of the printed step that are tried for either step of the baseline.
    """

    problems: int
    tuning_problems: int
    n_states: int
    exact: Mapping[str, int]
    exact_stride: int
    sampled: Mapping[str, int]
    sampled_stride: int
    points: int
    sweep_exact: Mapping[str, int]
    sweep_exact_stride: int
    sweep_sampled_stride: int
    sweep_points: int
    gammas: tuple[float, ...]
    taus: tuple[float, ...]
    strengths: tuple[float, ...]
    steps: tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class Setting:
    """Where a method is run.

    Attributes
    ----------
    name : str
    gamma, tau : float
    strength : float
        Factor of the printed lambda.
    upper_step, lower_step : float
        Factors of the printed steps of x and of the policies, of the baseline alone.
    sweep : bool
        Whether it belongs to a sweep, whose runs are shorter and coarser.
    length : float
        Factor of the iterations.
    """

    name: str
    gamma: float = 0.9
    tau: float = 0.1
    strength: float = 1.0
    upper_step: float = 1.0
    lower_step: float = 1.0
    sweep: bool = True
    length: float = 1.0


DEFAULT = Setting("default", sweep=False)
CENTRE = Setting("default, sweep")
"""The default at the length of the sweeps."""
LONG = Setting("default, long", length=3.0)
"""The default, sampled for longer, to see what becomes of curves that are not flat."""


def environments(budget: Budget) -> tuple[Setting, ...]:
    """The sweeps of gamma and tau."""
    gammas = (Setting(f"gamma={g:g}", gamma=g) for g in budget.gammas)
    taus = (Setting(f"tau={t:g}", tau=t) for t in budget.taus)
    return (*gammas, *taus)


def strengths(budget: Budget) -> tuple[Setting, ...]:
    """The sweep of lambda."""
    return tuple(Setting(f"lambda x {s:g}", strength=s) for s in budget.strengths)


def sources(setting: Setting) -> tuple[str, ...]:
    """From samples, and with exact gradients unless those are flat long before."""
    return ("sampled",) if setting == LONG else ("sampled", "exact")


def along(name: str, budget: Budget) -> tuple[str, ...]:
    """Names of the settings along one parameter, in its order, the default among them."""
    settings = [CENTRE, *environments(budget), *strengths(budget)]
    own = [s for s in settings if s is CENTRE or getattr(s, name) != getattr(CENTRE, name)]
    return tuple(s.name for s in sorted(own, key=lambda s: float(getattr(s, name))))


def trials(budget: Budget) -> tuple[Setting, ...]:
    """The pairs of steps that are tried."""
    upper, lower = budget.steps
    return tuple(Setting("tuning", upper_step=a, lower_step=b) for a in upper for b in lower)


def trial(setting: Setting) -> str:
    """Name of a trial among the methods."""
    return f"steps x {setting.upper_step:g}, {setting.lower_step:g}"


@dataclass(frozen=True)
class Task:
    """One run.

    Attributes
    ----------
    key : str
    method : str
    setting : Setting
    budget : Budget
    seed : int
    stream : int
    stiffness : float
        By how much smaller steps have to be than in the default setting.
    """

    key: str
    method: str
    setting: Setting
    budget: Budget
    seed: int
    stream: int
    stiffness: float

    @property
    def problems(self) -> int:
        """Number of instances."""
        return self.budget.problems if self.stream == REPORTED else self.budget.tuning_problems

    @property
    def seeds(self) -> tuple[int, ...]:
        """What tells the instances apart."""
        return tuple(range(self.problems))

    def exact_points(self, coarser: float = 1.0) -> tuple[int, tuple[int, ...]]:
        """Stride of a run with exact gradients, and its recorded points in strides.

        Visits grow like 1 / (1 - gamma), and with them gradients and curvature: steps are shortened by
        that factor, and as many of them cover as much way.
        """
        budget, setting = self.budget, self.setting
        stride = budget.sweep_exact_stride if setting.sweep else budget.exact_stride
        length = setting.length * (budget.sweep_exact if setting.sweep else budget.exact)[self.method]
        share = min(1.0, (1.0 - setting.gamma) / (1.0 - DEFAULT.gamma))
        own = max(1, round(coarser * stride * share / self.stiffness))
        return own, schedule(round(share * length / own), self._points)

    @property
    def sampled_points(self) -> tuple[int, tuple[int, ...]]:
        """Stride of a run from samples, and its recorded points in strides."""
        budget, setting = self.budget, self.setting
        stride = budget.sweep_sampled_stride if setting.sweep else budget.sampled_stride
        own = max(1, round(stride / self.stiffness))
        return own, schedule(round(setting.length * budget.sampled[self.method] / own), self._points)

    @property
    def _points(self) -> int:
        return self.budget.sweep_points if self.setting.sweep else self.budget.points


@dataclass(frozen=True)
class Lineup:
    """The methods of an experiment.

    Attributes
    ----------
    printed : tuple of str
        Those of the figure, with exact gradients and from samples.
    strengthened : tuple of str
        Those of them that lambda matters to.
    solved : tuple of str
        Those with companions that are solved exactly, exact gradients alone, along lambda.
    reference : str
        What is run with exact gradients alone in every setting.
    tuned, tuned_by : str
        The baseline whose steps are tuned, and the measure that decides.
    stiffness : callable
        By how much smaller steps have to be in a setting than in the default one.
    instances : callable
        The stacked problems of a setting, number of states, seed, stream and number.
    exact_algorithm, sampled_algorithm : callable
        Of a method in a setting, for the problems, with steps that are longer by a stride.
    measuring : callable
        See :mod:`verify.experiments.recording`; takes the problems first.
    parameters : callable
        All that a method is run with in a setting, beside the instances.
    samples : mapping of str to int
        What sampled runs have beside that.
    coarser : mapping of str to float
        Factor of the stride of a method's exact runs, where it is not 1.
    milliseconds : mapping of str to float
        What an exact and a sampled iteration of a method take, for the progress bar alone; by
        ``source/method``.
    """

    printed: tuple[str, ...]
    strengthened: tuple[str, ...]
    solved: tuple[str, ...]
    reference: str
    tuned: str
    tuned_by: str
    stiffness: Callable[[Setting], float]
    instances: Callable[[Setting, int, int, int, int], Any]
    exact_algorithm: Callable[[str, Setting, Any, int], Any]
    sampled_algorithm: Callable[[str, Setting, Any, int], Any]
    measuring: Callable[..., Measured]
    parameters: Callable[[str, Setting], Mapping[str, Parameter]]
    samples: Mapping[str, int]
    coarser: Mapping[str, float]
    milliseconds: Mapping[str, float]

    def exact(self, task: Task) -> Series:
        """A run with exact gradients."""
        problem = self._problem(task)
        stride, points = self._exact_points(task)
        algorithm = self.exact_algorithm(task.method, task.setting, problem, stride)
        return exact_series(
            task.key,
            algorithm,
            algorithm.start(np.zeros((task.problems, *problem.domain.shape))),
            functools.partial(self.measuring, problem),
            points=points,
            stride=stride,
            steps_per_iteration=self._cost(task.method),
            seeds=task.seeds,
            parameters={**self.parameters(task.method, task.setting), "stride": stride},
        )

    def sampled(self, task: Task) -> Series:
        """A run from samples."""
        problem = self._problem(task)
        stride, points = task.sampled_points
        return sampled_series(
            task.key,
            self.sampled_algorithm(task.method, task.setting, problem, stride),
            functools.partial(self.measuring, problem),
            seed=task.seed,
            points=points,
            stride=stride,
            seeds=task.seeds,
            parameters={
                **self.parameters(task.method, task.setting),
                **self.samples,
                "stride": stride,
            },
        )

    def _problem(self, task: Task) -> Any:
        return self.instances(task.setting, task.budget.n_states, task.seed, task.stream, task.problems)

    def _exact_points(self, task: Task) -> tuple[int, tuple[int, ...]]:
        return task.exact_points(self.coarser.get(task.method, 1.0))

    def _cost(self, method: str) -> int:
        """Environment steps of one sampled iteration; zero for what has no sampled twin."""
        if method == self.reference:
            return 0
        twin, small = method.removesuffix("-solved"), self.instances(DEFAULT, 2, 0, REPORTED, 1)
        return steps_of_an_iteration(self.sampled_algorithm(twin, DEFAULT, small, 1))

    def job(
        self,
        source: str,
        method: str,
        setting: Setting,
        budget: Budget,
        seed: int,
        *,
        stream: int = REPORTED,
        label: str = "",
    ) -> Job:
        """One run, whose key is ``setting/source/method``, or the label in place of the method."""
        key = f"{setting.name}/{source}/{label or method}"
        stiffness = max(1.0, self.stiffness(setting))
        task = Task(key, method, setting, budget, seed, stream, stiffness)
        _, points = self._exact_points(task) if source == "exact" else task.sampled_points
        weight = points[-1] * self.milliseconds[f"{source}/{method}"] * task.problems
        return Job(task.key, weight, functools.partial(getattr(self, source), task))

    def first(self, budget: Budget, seed: int, _data: Data) -> tuple[Job, ...]:
        """The default setting, and the trials of steps."""
        job = functools.partial(self.job, budget=budget, seed=seed)
        default = [job(s, m, DEFAULT) for s in sources(DEFAULT) for m in self.printed]
        reference = job("exact", self.reference, DEFAULT)
        tried = [
            job(source, self.tuned, setting, stream=TUNING, label=trial(setting))
            for setting in trials(budget)
            for source in ("exact", "sampled")
        ]
        return (*default, reference, *tried)

    def second(self, budget: Budget, seed: int, data: Data) -> tuple[Job, ...]:
        """The baseline with the steps that served it best in the trials, and the sweeps."""
        tuned = []
        for source in ("exact", "sampled"):
            means = {
                setting: float(data[f"tuning/{source}/{trial(setting)}"].tail(self.tuned_by).mean())
                for setting in trials(budget)
            }
            best = replace(max(means, key=means.__getitem__), name="default", sweep=False)
            tuned.append(self.job(source, self.tuned, best, budget, seed, label="tuned"))
        return (*tuned, *self._sweeps(budget, seed))

    def _sweeps(self, budget: Budget, seed: int) -> Iterator[Job]:
        job = functools.partial(self.job, budget=budget, seed=seed)
        for setting in (CENTRE, LONG, *environments(budget)):
            for source in sources(setting):
                for method in self.printed:
                    yield job(source, method, setting)
            if "exact" in sources(setting):
                yield job("exact", self.reference, setting)
        for setting in (CENTRE, *strengths(budget)):
            for method in self.solved:
                yield job("exact", method, setting)
        for setting in strengths(budget):
            for source in sources(setting):
                for method in self.strengthened:
                    yield job(source, method, setting)

    def stages(self, budget: Budget, seed: int) -> tuple[Callable[[Data], tuple[Job, ...]], ...]:
        """All jobs."""
        return (
            functools.partial(self.first, budget, seed),
            functools.partial(self.second, budget, seed),
        )

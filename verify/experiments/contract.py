"""What an experiment is: the constant ``EXPERIMENT`` of a module of this package.

::

    named settings x methods x seeds  ->  series, evaluated exactly  ->  findings, figures, manifest

A *series* is one method in one setting on several seeds: measures of its iterates at recorded points.
A *job* computes one series and depends on its own arguments alone, so that jobs run in any order and in
any number of processes.  A *plan* lists the jobs of a budget in stages; a later stage may read what the
earlier ones found, such as tuned step sizes.  Findings and figures are functions of the stored series
and of nothing else, so that a reader can recompute them from the data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from reference.validation import Array

Parameter = float | int | str

TAIL = 0.2
"""A final value is the mean over the recorded points in this last part of a run."""


@dataclass(frozen=True)
class Measure:
    """A number per iterate and seed.

    Attributes
    ----------
    name : str
    label : str
        Of an axis, with the unit in brackets.
    """

    name: str
    label: str


@dataclass(frozen=True, eq=False)
class Series:
    """One method in one setting: K points of N seeds.

    Attributes
    ----------
    key : str
        ``setting/source/method``, the source being ``exact`` or ``sampled``.
    parameters : mapping
        All numbers that it was run with.
    seeds : tuple of int
        What the instances were drawn from.
    iterations : tuple of int
        At which points it was recorded, in iterations of the printed step size.
    steps : tuple of int
        Environment steps of one seed by then.
    values : mapping of str to (K, N)
        By name of the measure.
    """

    key: str
    parameters: Mapping[str, Parameter]
    seeds: tuple[int, ...]
    iterations: tuple[int, ...]
    steps: tuple[int, ...]
    values: Mapping[str, Array]

    def tail(self, measure: str) -> Array:
        """Final value of each seed, shape (N,)."""
        last = self.iterations[-1]
        kept = [k >= (1.0 - TAIL) * last for k in self.iterations]
        return np.asarray(self.values[measure][kept].mean(axis=0))

    def drift(self, measure: str) -> float:
        """Mean change from the second last to the last part of the run, relative to the mean's range."""
        last = self.iterations[-1]
        before = [(1.0 - 2.0 * TAIL) * last <= k < (1.0 - TAIL) * last for k in self.iterations]
        mean = self.values[measure].mean(axis=1)
        spread = float(mean.max() - mean.min())
        change = float(self.tail(measure).mean() - mean[before].mean()) if any(before) else 0.0
        return abs(change) / spread if spread > 0.0 else 0.0


Data = Mapping[str, Series]
"""Series by key."""


@dataclass(frozen=True)
class Job:
    """Computes one series.

    Attributes
    ----------
    key : str
        That of the series.
    weight : float
        Its work, relative to that of the others.
    run : callable
        Can be sent to another process.
    begun : callable, optional
        In place of ``run``, of a long job: given a directory of its own, in which it goes on where it
        was killed, with the same result.
    """

    key: str
    weight: float
    run: Callable[[], Series]
    begun: Callable[[Path], Series] | None = None


@dataclass(frozen=True)
class Above:
    """The claim that one series ends above another, seed by seed.

    Attributes
    ----------
    name : str
        Short, the same in every setting.
    place : str
        The setting and source that it is judged in; claims of one place are corrected together.
    measure : str
    upper, lower : str
        Keys of the series.
    """

    name: str
    place: str
    measure: str
    upper: str
    lower: str


@dataclass(frozen=True)
class Vanishes:
    """The claim that a gap ends below a small part of the largest that was recorded, seed by seed.

    Attributes
    ----------
    name, place, measure : str
    series : str
    threshold : float
    """

    name: str
    place: str
    measure: str
    series: str
    threshold: float = 0.05


Claim = Above | Vanishes


@dataclass(frozen=True)
class Curve:
    """What is drawn of one series over its points, or of several over a parameter.

    Attributes
    ----------
    label : str
    measure : str
    series : tuple of str
        One, drawn over ``x``; or several, whose final values are drawn over a parameter.
    x : str
        ``steps`` or ``iterations``; ``level`` for a horizontal line at the final value; or the name of a
        parameter.
    colour : int
        Index of the palette.
    dashed : bool
        Exact gradients are dashed, samples solid.
    baseline : tuple of str
        If given, final values are drawn in percent above those of these series, seed by seed.
    interval : bool
        Whether 95 % intervals of the mean, by the t distribution, are drawn in place of standard errors.
    """

    label: str
    measure: str
    series: tuple[str, ...]
    x: str
    colour: int
    dashed: bool = False
    baseline: tuple[str, ...] = ()
    interval: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes
    ----------
    title, x_label, y_label : str
    curves : tuple of Curve
    x_log, y_log : bool
    beside : tuple of Curve
        Curves of another figure that this one is compared with: the axes cover them too.
    """

    title: str
    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    x_log: bool = False
    y_log: bool = False
    beside: tuple[Curve, ...] = ()


@dataclass(frozen=True)
class Figure:
    """Panels above each other, with one legend.

    Attributes
    ----------
    name : str
        Of the file, without ``.svg``.
    caption : str
    panels : tuple of Panel
    """

    name: str
    caption: str
    panels: tuple[Panel, ...]


Stage = Callable[[Data], tuple[Job, ...]]


@dataclass(frozen=True)
class Picture:
    """A figure that is not drawn of series.

    Attributes
    ----------
    name : str
        Of the file, without ``.svg``.
    caption : str
    svg : str
    """

    name: str
    caption: str
    svg: str


@dataclass(frozen=True)
class Beside:
    """What jobs leave in their directories beside their series.

    Attributes
    ----------
    pictures : tuple of Picture
    measured : mapping of str to str
        About the machine, such as rates: no part of the results that are compared.
    """

    pictures: tuple[Picture, ...] = ()
    measured: Mapping[str, str] = field(default_factory=dict)


def _all(data: Data) -> Data:
    return data


def _nothing(_rooms: Mapping[str, Path]) -> Beside:
    return Beside()


@dataclass(frozen=True)
class Plan:
    """An experiment at one budget and seed.

    Attributes
    ----------
    measures : tuple of Measure
    stages : tuple of callables
        Each returns jobs, given the series of all stages before.
    claims : tuple of Claim
    figures : tuple of Figure
    featured : tuple of str
        Settings whose final values are tabled.
    assumptions : mapping of str to str
        What the paper does not state and this experiment assumes.
    gathered : callable
        Makes the series that are kept of those of the jobs, such as one of all seeds.
    beside : callable
        Reads the directories of jobs, by their keys.
    notice : str
        What stands above tables and pictures, such as that they are no result.
    """

    measures: tuple[Measure, ...]
    stages: tuple[Stage, ...]
    claims: tuple[Claim, ...]
    figures: tuple[Figure, ...]
    featured: tuple[str, ...] = ()
    assumptions: Mapping[str, str] = field(default_factory=dict)
    gathered: Callable[[Data], Data] = _all
    beside: Callable[[Mapping[str, Path]], Beside] = _nothing
    notice: str = ""


@dataclass(frozen=True)
class Choice:
    """Which part of an experiment is asked for, beside budget and seed; what is empty is its own choice.

    Attributes
    ----------
    testbed : str
    games, methods : tuple of str
    seeds : int
        How many; 0 for the budget's.
    steps : int
        Of the environment in each run; 0 for the budget's.
    device : str
    tensorboard : bool
        Whether runs also write TensorBoard's files.
    """

    testbed: str = ""
    games: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    seeds: int = 0
    steps: int = 0
    device: str = ""
    tensorboard: bool = False

    @property
    def words(self) -> str:
        """As options of the command, each with a space before it."""
        options: list[tuple[str, str | int]] = [("testbed", self.testbed)]
        options += [("game", g) for g in self.games]
        options += [("method", m) for m in self.methods]
        options += [("seeds", self.seeds), ("steps", self.steps), ("device", self.device)]
        words = "".join(f" --{name} {value}" for name, value in options if value)
        return words + " --tensorboard" * self.tensorboard


@dataclass(frozen=True)
class Experiment:
    """An experiment of the paper.

    Attributes
    ----------
    title : str
    source : str
        Section and figure in the paper.
    budgets : mapping of str to str
        What each amount of work is for, by name.
    plan : callable
        Returns the plan for the name of a budget and a seed.
    chosen : callable, optional
        Returns the experiment of a choice; without it, there is none.
    """

    title: str
    source: str
    budgets: Mapping[str, str]
    plan: Callable[[str, int], Plan]
    chosen: "Callable[[Choice], Experiment] | None" = None

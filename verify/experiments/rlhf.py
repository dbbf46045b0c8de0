r"""Section 6.2 and Figure 2: learning from preferences, on tables, on MinAtar and on Atari.

Methods: A2C on the true reward, DRLHF, and PBRL in two readings: as Appendix E.2 prints it, and as (2.5)
and Lemma 7 (a) derive it: with the weights of the preset, and with lambda = 1 / c for several lambda.
Two controls take the derived reading apart, whose pairs are of trajectories from starts of episodes: the
same without the penalty in the predictor's update, and DRLHF with pairs made like that.
Measured::

    value     (V - V_u) / (V* - V_u), exactly: V(rho) of the policy, the uniform one and the
              optimal one under the true reward, by linear systems                  on tables
    return    mean true return of whole episodes, played apart from training        on games

A run of one seed is a job, which goes on from its checkpoint wherever it was killed.  What is judged are
the runs of all seeds, of each game by itself, and of all games together as shares of what the oracle
reaches, its mean final value in that game.
"""

import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from reference.errors import InputError
from verify.experiments import rlhf_runs
from verify.experiments.contract import (
    Above,
    Choice,
    Claim,
    Curve,
    Data,
    Experiment,
    Figure,
    Job,
    Measure,
    Panel,
    Plan,
    Series,
)
from verify.experiments.rlhf_runs import Cut, Task

if TYPE_CHECKING:
    from sampled.rlhf.settings import Settings

A2C, DRLHF, PRINTED, DERIVED = "a2c", "drlhf", "printed", "derived"
"""Names of methods, the last one at the preset's weights."""

UNPENALISED, FROM_STARTS = "unpenalised", "drlhf-starts"
"""Names of controls: as derived, but without the penalty; DRLHF with pairs as the derived reading's."""

AT = f"{DERIVED}-"
"""As derived, at the lambda that follows."""

E2 = f"{AT}1000"
"""At the weight that Appendix E.2's coefficient implies."""

TOGETHER = "together"
"""The setting of all games."""


NO_RESULT = "Pipeline check, no result."
"""What stands with all that says nothing of the methods."""

SMOKE = Cut(
    pairs=64, window=50, warmup=2, epoch_every=3, batch=8, lanes=4, max_steps=60, checkpoint_every=5
)
ON_TABLES = replace(SMOKE, pairs=128)  # in the lake most pairs tie
ON_ATARI = replace(SMOKE, lanes=16, max_steps=150)  # all the lanes, for the rates of a longer run
CHECK = Cut(
    pairs=256,
    window=100,
    warmup=10,
    epoch_every=50,
    batch=32,
    lanes=16,
    max_steps=1000,
    checkpoint_every=50,
)


@dataclass(frozen=True)
class Budget:
    """Amount of work on a testbed.

    Attributes
    ----------
    purpose : str
    games, methods : tuple of str
    seeds : int
    updates : int
        Of the policy; 0 for the preset's.
    points : int
        Evaluations, at equal distances.
    episodes : int
        Of an evaluation.
    cut : Cut or None
        How everything else is cut down too.
    result : bool
        Whether its curves say anything of the methods; else they show that the pipeline works.
    """

    purpose: str
    games: tuple[str, ...]
    methods: tuple[str, ...]
    seeds: int
    updates: int
    points: int
    episodes: int
    cut: Cut | None = None
    result: bool = True


@dataclass(frozen=True)
class Bed:
    """A testbed.

    Attributes
    ----------
    presets : str
        What its presets' names begin with.
    measure : Measure
    budgets : mapping of str to Budget
    """

    presets: str
    measure: Measure
    budgets: Mapping[str, Budget]


LAKE, RANDOM = "frozen_lake", "random_mdp"
FOUR = (A2C, DRLHF, PRINTED, DERIVED)
VALUE = Measure("value", "true value: 0 uniform, 1 optimal")
RETURN = Measure("return", "true return of an episode")
SHARE = Measure("share", "share of the oracle's final value")
ATARI = ("seaquest", "beam_rider", "ms_pacman")

BEDS: Mapping[str, Bed] = {
    "tabular": Bed(
        "tabular",
        VALUE,
        {
            "smoke": Budget(
                "a few updates, to see that all works",
                (LAKE, RANDOM),
                (*FOUR, E2),
                2,
                8,
                2,
                2,
                ON_TABLES,
                result=False,
            ),
            "paper": Budget(
                "both tables, eight seeds, 300 updates, three lambda beside the preset's",
                (LAKE, RANDOM),
                (*FOUR, E2, f"{AT}30", f"{AT}1"),
                8,
                300,
                15,
                2,
            ),
            "full": Budget(
                "both tables, ten seeds, all 2000 updates, six lambda beside the preset's",
                (LAKE, RANDOM),
                (*FOUR, E2, *(f"{AT}{n}" for n in ("100", "10", "1", "0.1", "0.01"))),
                10,
                0,
                40,
                2,
            ),
        },
    ),
    "minatar": Bed(
        "minatar",
        RETURN,
        {
            "smoke": Budget(
                "a few updates, to see that all works", ("breakout",), FOUR, 2, 8, 4, 2, SMOKE, False
            ),
            "paper": Budget(
                "a tenth of the full runs, three seeds: a pipeline check, no result",
                ("breakout", "space_invaders"),
                FOUR,
                3,
                625,
                10,
                16,
                result=False,
            ),
            "full": Budget(
                "two games, five seeds, two million steps each, and two controls",
                ("breakout", "space_invaders"),
                (*FOUR, UNPENALISED, FROM_STARTS),
                5,
                6250,
                25,
                32,
            ),
        },
    ),
    "atari": Bed(
        "paper",
        RETURN,
        {
            "smoke": Budget(
                "a few updates on the real game: a pipeline check, no result",
                ("seaquest",),
                (A2C, DRLHF, PRINTED),
                2,
                6,
                1,
                1,
                ON_ATARI,
                result=False,
            ),
            "check": Budget(
                "twenty thousand steps of the real game: a pipeline check, no result",
                ("seaquest",),
                FOUR,
                2,
                250,
                10,
                2,
                CHECK,
                result=False,
            ),
            "paper": Budget(
                "Figure 2 at the settings of Appendix E.2, five seeds: for a machine with a GPU",
                ATARI,
                FOUR,
                5,
                0,
                50,
                5,
            ),
        },
    ),
}


# Settings.


def settings(task: Task) -> "Settings":
    """The settings of a run: the preset's, in the method's reading, at the task's length.

    Raises
    ------
    InputError
        If there is no such game or method.
    """
    from sampled.rlhf.settings import Tabular, preset

    found = _method(task.method)(preset(task.preset))
    updates = task.updates or found.run.updates
    every = max(updates // task.points, 1)
    run = replace(
        found.run,
        seed=task.seed,
        updates=updates,
        log_every=every,
        evaluate_every=every,
        episodes=task.episodes,
    )
    found = replace(found, run=run)
    if isinstance(found.game, Tabular):
        found = replace(found, game=replace(found.game, instance=task.seed))
    return found if task.cut is None else _reduced(found, task.cut)


def _reduced(found: "Settings", cut: Cut) -> "Settings":
    from sampled.rlhf.settings import Atari

    game = found.game
    if isinstance(game, Atari):
        game = replace(game, max_frames=game.frame_skip * cut.max_steps)
    else:
        game = replace(game, max_steps=cut.max_steps)
    preferences = replace(
        found.preferences,
        initial_pairs=cut.pairs,
        pairs_per_epoch=16,
        capacity=2 * cut.pairs,
        window=cut.window,
    )
    reward = replace(
        found.reward, warmup_epochs=cut.warmup, epoch_every=cut.epoch_every, batch_size=cut.batch
    )
    return replace(
        found,
        game=game,
        run=replace(found.run, checkpoint_every=cut.checkpoint_every),
        a2c=replace(found.a2c, workers=cut.lanes),
        preferences=preferences,
        reward=reward,
        pbrl=replace(found.pbrl, penalty_lanes=4),
    )


def _method(name: str) -> "Callable[[Settings], Settings]":
    from sampled.rlhf.settings import Companion, Method, as_derived, as_printed

    def plain(method: Method) -> "Callable[[Settings], Settings]":
        return lambda s: replace(s, run=replace(s.run, method=method))

    def unpenalised(s: "Settings") -> "Settings":
        s = as_derived(s)
        return replace(s, pbrl=replace(s.pbrl, companion=Companion.CURRENT, penalty_gradient=False))

    known = {
        A2C: plain(Method.A2C),
        DRLHF: plain(Method.DRLHF),
        PRINTED: as_printed,
        DERIVED: as_derived,
        UNPENALISED: unpenalised,
        FROM_STARTS: lambda s: plain(Method.DRLHF)(as_derived(s)),
    }
    if name in known:
        return known[name]
    strength = strength_of(name)

    def derived(s: "Settings") -> "Settings":
        pbrl = replace(s.pbrl, upper_weight=1.0 / strength, penalty_weight=strength)
        return as_derived(replace(s, pbrl=pbrl))

    return derived


def strength_of(name: str) -> float:
    """The lambda in the name of a derived method.

    Raises
    ------
    InputError
        If there is none, or it is not positive and finite.
    """
    try:
        strength = float(name.removeprefix(AT)) if name.startswith(AT) else float("nan")
    except ValueError:
        strength = float("nan")
    if not 0.0 < strength < float("inf"):
        raise InputError(
            f"there is no method {name!r}; use {A2C}, {DRLHF}, {PRINTED}, {DERIVED}, {AT}LAMBDA such as "
            f"{E2}, {UNPENALISED} or {FROM_STARTS}"
        )
    return strength


def label(name: str) -> str:
    """Of a curve."""
    plain = {
        A2C: "A2C, true reward",
        DRLHF: "DRLHF",
        PRINTED: "PBRL as printed",
        DERIVED: "PBRL as derived",
        UNPENALISED: "as derived, no penalty",
        FROM_STARTS: "DRLHF, pairs from starts",
    }
    return plain.get(name) or f"PBRL as derived, λ = {strength_of(name):g}"


# Jobs and their series.


def tasks(
    testbed: str, budget: Budget, seed: int, device: str, *, tensorboard: bool = False
) -> Iterator[Task]:
    """Every run."""
    for game in budget.games:
        for method in budget.methods:
            for i in range(budget.seeds):
                yield Task(
                    testbed=testbed,
                    preset=f"{BEDS[testbed].presets}_{game}",
                    game=game,
                    method=method,
                    seed=seed * 1000 + i,
                    updates=budget.updates,
                    points=budget.points,
                    episodes=budget.episodes,
                    cut=budget.cut,
                    device=device,
                    measure=BEDS[testbed].measure.name,
                    tensorboard=tensorboard,
                )


def _refused() -> Series:
    raise InputError("a run of RLHF needs a directory of its own")


def _jobs(choice: Choice, budget: Budget, seed: int, _data: Data) -> tuple[Job, ...]:
    from sampled.conversion import usable_device

    listed = []
    device = choice.device or "cpu"
    usable_device(device)  # here, not in the plan: results may be drawn where there is none
    for task in tasks(choice.testbed, budget, seed, device, tensorboard=choice.tensorboard):
        chosen = settings(task)
        weight = float(chosen.run.updates * chosen.a2c.workers * chosen.a2c.steps)
        weight *= {A2C: 1.0, DRLHF: 1.3, FROM_STARTS: 1.3, PRINTED: 1.5}.get(task.method, 2.2)
        run = functools.partial(rlhf_runs.perform, task, chosen)
        listed.append(Job(task.key, weight, _refused, run))
    return tuple(listed)


def gathered(measure: str, budget: Budget, data: Data) -> Data:
    """Series of all seeds, and of all games together if the oracle is among the methods."""
    found: dict[str, Series] = {}
    for game in budget.games:
        for method in budget.methods:
            key = f"{game}/sampled/{method}"
            parts = [series for name, series in data.items() if name.rpartition("/")[0] == key]
            found[key] = _joined(key, parts, {measure: [s.values[measure] for s in parts]})
    if A2C not in budget.methods or len(budget.games) < 2:
        return found
    oracle = {g: float(found[f"{g}/sampled/{A2C}"].tail(measure).mean()) for g in budget.games}
    if min(oracle.values()) <= 0.0:  # of nothing there is no share
        return found
    for method in budget.methods:
        own = {game: found[f"{game}/sampled/{method}"] for game in budget.games}
        if len({series.iterations for series in own.values()}) > 1:
            continue
        shares = [series.values[measure] / oracle[game] for game, series in own.items()]
        key = f"{TOGETHER}/sampled/{method}"
        found[key] = _joined(key, list(own.values()), {SHARE.name: shares})
    return found


def _joined(key: str, parts: list[Series], values: Mapping[str, list[np.ndarray]]) -> Series:
    first = parts[0]
    seeds = tuple(seed for series in parts for seed in series.seeds)
    steps = np.mean([series.steps for series in parts], axis=0).round()
    columns = {name: np.concatenate(found, axis=1) for name, found in values.items()}
    return Series(key, first.parameters, seeds, first.iterations, tuple(int(n) for n in steps), columns)


# Findings and figures.

PAIRS = (
    ("PBRL as printed > DRLHF", PRINTED, DRLHF),
    ("PBRL as derived > DRLHF", DERIVED, DRLHF),
    ("PBRL as derived, λ = 1000 > DRLHF", E2, DRLHF),
    ("oracle > DRLHF", A2C, DRLHF),
    ("oracle > PBRL as printed", A2C, PRINTED),
    ("PBRL as printed > as derived", PRINTED, DERIVED),
    ("PBRL as derived > no penalty", DERIVED, UNPENALISED),
    ("no penalty > DRLHF, pairs from starts", UNPENALISED, FROM_STARTS),
    ("DRLHF, pairs from starts > DRLHF", FROM_STARTS, DRLHF),
)


def claims(measure: str, budget: Budget) -> Iterator[Claim]:
    """What Figure 2 says, of each game and of all together."""
    places = [(game, measure) for game in budget.games]
    if A2C in budget.methods and len(budget.games) > 1:
        places.append((TOGETHER, SHARE.name))
    for place, measured in places:
        for name, upper, lower in PAIRS:
            if {upper, lower} <= set(budget.methods):
                here = f"{place}/sampled"
                yield Above(name, here, measured, f"{here}/{upper}", f"{here}/{lower}")


def figures(bed: Bed, budget: Budget) -> Iterator[Figure]:
    """Curves of each game, over updates and over all steps; final values over lambda."""
    about, beside = ("", "") if budget.result else (f"{NO_RESULT} ", ", a pipeline check")
    titles = {game: game.replace("_", " ") + beside for game in budget.games}
    colours = {method: i for i, method in enumerate(budget.methods)}
    for x, caption in (
        ("iterations", "updates of the policy"),
        ("steps", "environment steps of all kinds"),
    ):
        yield Figure(
            f"curves_{x}",
            f"{about}Learning curves over {caption}: means over seeds with 95 % intervals",
            tuple(
                Panel(
                    titles[game],
                    caption,
                    bed.measure.label,
                    tuple(
                        Curve(
                            label(m),
                            bed.measure.name,
                            (f"{game}/sampled/{m}",),
                            x,
                            colours[m],
                            interval=True,
                        )
                        for m in budget.methods
                    ),
                )
                for game in budget.games
            ),
        )
    derived = sorted((m for m in budget.methods if m.startswith(AT)), key=strength_of)
    if len(derived) > 1:
        yield Figure(
            "sweep_lambda",
            f"{about}Final values of PBRL as derived against lambda, with 95 % intervals",
            tuple(
                Panel(
                    titles[game],
                    "λ",
                    bed.measure.label,
                    (
                        Curve(
                            "PBRL as derived",
                            bed.measure.name,
                            tuple(f"{game}/sampled/{m}" for m in derived),
                            "lambda",
                            colours[derived[0]],
                            interval=True,
                        ),
                        *(
                            Curve(
                                label(m), bed.measure.name, (f"{game}/sampled/{m}",), "level", colours[m]
                            )
                            for m in (A2C, DRLHF, PRINTED)
                            if m in budget.methods
                        ),
                    ),
                    x_log=True,
                )
                for game in budget.games
            ),
        )


# Plans.


def plan(choice: Choice, budget: str, seed: int) -> Plan:
    """The plan of a budget, or of the chosen part of it.

    Raises
    ------
    InputError
        If there is no such game or method, something is not installed, or there is one seed only.
    """
    from sampled.rlhf.experiment import testbed
    from sampled.rlhf.run import board_writer

    bed = BEDS[choice.testbed]
    part = _part(choice, bed.budgets[budget])
    for task in tasks(choice.testbed, replace(part, seeds=1), seed, choice.device):
        testbed(settings(task).game)
    if choice.tensorboard:
        board_writer()
    measures, notice = (bed.measure, SHARE), "" if part.result else NO_RESULT
    return Plan(
        measures,
        (functools.partial(_jobs, choice, part, seed),),
        tuple(claims(bed.measure.name, part)),
        tuple(figures(bed, part)),
        part.games,
        _assumptions(choice, part),
        functools.partial(gathered, bed.measure.name, part),
        functools.partial(
            rlhf_runs.beside, {g: f"{bed.presets}_{g}" for g in part.games}, choice.testbed, notice
        ),
        notice,
    )


def _part(choice: Choice, budget: Budget) -> Budget:
    if choice.seeds == 1:
        raise InputError("--seeds is 1; a paired test needs two or more")
    part = replace(
        budget,
        games=choice.games or budget.games,
        methods=choice.methods or budget.methods,
        seeds=choice.seeds or budget.seeds,
    )
    for name in ("games", "methods"):
        given = getattr(part, name)
        if len(set(given)) < len(given):
            raise InputError(f"the {name} are {', '.join(given)}: name each once")
    known = known_games(choice.testbed)
    for game in part.games:
        if game not in known:
            raise InputError(f"{choice.testbed} has no game {game!r}; use one of {', '.join(known)}")
    for method in part.methods:
        _method(method)
    if not choice.steps:
        return part
    first = next(tasks(choice.testbed, part, 0, "cpu"))
    a2c = settings(first).a2c
    updates = choice.steps // (a2c.workers * a2c.steps)
    least = part.points * a2c.workers * a2c.steps
    if choice.steps < least:
        raise InputError(
            f"--steps is {choice.steps}, which are {updates} updates of {a2c.workers} lanes x "
            f"{a2c.steps} steps; {part.points} evaluations need {least} or more"
        )
    return replace(part, updates=updates)


def known_games(testbed: str) -> tuple[str, ...]:
    """Games that there are presets of."""
    from sampled.rlhf.settings import presets

    start = f"{BEDS[testbed].presets}_"
    return tuple(name.removeprefix(start) for name in presets() if name.startswith(start))


def _assumptions(choice: Choice, part: Budget) -> dict[str, str]:
    found = {
        "settings": f"the presets whose names begin with {BEDS[choice.testbed].presets}; "
        "docs/rlhf.md explains their fields",
        "seeds": f"{part.seeds}; at each, all methods have the same task and the same first networks",
        "final value": "mean over the last fifth of a run",
        "PBRL as derived": "the weights of the preset, of which docs/rlhf.md says how they were chosen; "
        "where lambda is named, penalty weight lambda and upper coefficient 1 / lambda",
        TOGETHER: "final values as shares of the oracle's mean in the same game, all games in one test",
    }
    if choice.testbed != "tabular":
        found["pairs"] = (
            "as derived, pairs are of trajectories from starts of episodes; of DRLHF and as printed, "
            "from wherever the last ones ended: the penalty is not all that sets these methods apart, "
            "which is what the controls are for"
        )
    if part.seeds < 6:
        found["tests"] = (
            f"with {part.seeds} pairs the smallest p of an exact two-sided rank test is "
            f"{2.0 ** (1 - part.seeds):g}: of one game alone nothing can be decided"
        )
    if part.cut is not None or choice.testbed == "atari":
        found["length"] = f"{part.purpose}"
    return found


def chosen(choice: Choice) -> Experiment:
    """The experiment on a testbed.

    Raises
    ------
    InputError
        If there is no such testbed.
    """
    if choice.testbed not in BEDS:
        raise InputError(f"there is no testbed {choice.testbed!r} of rlhf; use one of {', '.join(BEDS)}")
    budgets = {name: budget.purpose for name, budget in BEDS[choice.testbed].budgets.items()}
    return Experiment(
        f"Learning from preferences, {choice.testbed}",
        "Section 6.2, Figure 2",
        budgets,
        functools.partial(plan, choice),
        chosen,
    )


EXPERIMENT = chosen(Choice(testbed="tabular"))

"""Carries out a plan: its jobs in several processes, each stored as it finishes, then the files.

A run that was interrupted goes on from the jobs that are stored, if code, environment, budget and seed
are the same; the result is the same as of one that was not.
"""

import contextlib
import hashlib
import json
import threading
import time
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reference.errors import InputError
from verify.experiments import drawing, findings, under_way
from verify.experiments.contract import (
    Beside,
    Choice,
    Claim,
    Curve,
    Data,
    Experiment,
    Figure,
    Job,
    Plan,
    Series,
)
from verify.experiments.documents import (
    CURVES,
    FINDINGS,
    MANIFEST,
    RUNS,
    SCHEMA,
    TABLES,
    dump_series,
    dumps,
    read,
    read_data,
    read_series,
    stored,
)
from verify.experiments.findings import Finding
from verify.processes import unordered
from verify.report import files
from verify.report.run import Origin

Watch = Callable[[str, float, float], None]
"""Told a text, the work done so far and that of all stages known."""

PACKAGES = ("reference", "sampled", "verify.experiments")
"""Packages whose code the series depend on."""


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    name : str
        Of the experiment's module.
    experiment : Experiment
    budget : str
    seed : int
    choice : Choice
        That the experiment is of.
    """

    name: str
    experiment: Experiment
    budget: str
    seed: int
    choice: Choice = field(default_factory=Choice)

    @property
    def command(self) -> str:
        """The command that makes the results."""
        asked = f"{self.name}{self.choice.words} --budget {self.budget} --seed {self.seed}"
        return f"python -m verify reproduce {asked}"

    def plan(self) -> Plan:
        """The plan.

        Raises
        ------
        InputError
            If there is no such budget.
        """
        if self.budget not in self.experiment.budgets:
            raise InputError(
                f"there is no budget {self.budget!r} of {self.name}; use one of "
                + ", ".join(self.experiment.budgets)
            )
        return self.experiment.plan(self.budget, self.seed)


@dataclass(frozen=True)
class Done:
    """A series and the processor time that it took."""

    series: Series
    seconds: float


@dataclass(frozen=True)
class Results:
    """All series of a plan.

    Attributes
    ----------
    data : mapping of str to Series
        In the order of the plan, as stored.
    seconds : mapping of str to float
        Processor time of the jobs, the last call's alone where one had been killed before.
    beside : Beside
    """

    data: Data
    seconds: Mapping[str, float]
    beside: Beside = field(default_factory=Beside)


class Store:
    """Series of finished jobs in a directory.

    Parameters
    ----------
    directory : Path
    stamp : mapping
        What the series depend on: those with another stamp are not taken over.
    """

    def __init__(self, directory: Path, stamp: Mapping[str, Any]) -> None:
        self._directory, self._stamp = directory, dict(stamp)

    def path(self, key: str) -> Path:
        """Where a series is kept."""
        return self._directory / f"{_file_name(key)}.json"

    def rooms(self, keys: Sequence[str]) -> dict[str, Path]:
        """The directories of those jobs that have one."""
        found = {key: self._directory / _file_name(key) for key in keys}
        return {key: path for key, path in found.items() if path.is_dir()}

    def room(self, key: str) -> Path:
        """Make the directory of a job that can go on.

        Raises
        ------
        InputError
            If it was begun by other code, or with another budget or seed.
        """
        room = self._directory / _file_name(key)
        path = room / "stamp.json"
        document = {"schema": SCHEMA, "stamp": self._stamp}
        if path.exists():
            self._own(path, read(path))
        else:
            room.mkdir(parents=True, exist_ok=True)
            files.write(path, json.dumps(document))
        return room

    def get(self, key: str) -> Done | None:
        """A series that is stored, or nothing.

        Raises
        ------
        InputError
            If it was computed by other code, or with another budget or seed.
        """
        path = self.path(key)
        if not path.exists():
            return None
        document = read(path)
        self._own(path, document)
        self._tidy(key)  # a kill may have left them
        return Done(read_series(document["series"]), float(document["cpu_seconds"]))

    def check(self) -> None:
        """Refuse to go on beside what another run has stored; all of one run has one stamp.

        Raises
        ------
        InputError
            If something there was computed by other code, or of another experiment, budget or seed.
        """
        for path in sorted([*self._directory.glob("*.json"), *self._directory.glob("*/stamp.json")])[:1]:
            self._own(path, read(path))

    def _own(self, path: Path, document: Mapping[str, Any]) -> None:
        if document.get("stamp") != self._stamp:
            changed = [k for k, v in self._stamp.items() if document.get("stamp", {}).get(k) != v]
            raise InputError(
                f"{path} was made with another {' and '.join(changed)}: begin anew in another --out"
            )

    def put(self, done: Done) -> None:
        """Store a series; its job's checkpoints are not needed any more."""
        document = {
            "schema": SCHEMA,
            "stamp": self._stamp,
            "cpu_seconds": done.seconds,
            "series": dump_series(done.series),
        }
        files.write(self.path(done.series.key), json.dumps(document))
        self._tidy(done.series.key)

    def _tidy(self, key: str) -> None:
        """Remove a finished job's checkpoints, and those that were begun."""
        for room in self.rooms([key]).values():
            for checkpoint in (*room.glob("*.pt"), *room.glob("*.pt.*.part")):
                checkpoint.unlink()


def _file_name(key: str) -> str:
    digest = hashlib.sha256(key.encode()).hexdigest()[:8]
    readable = "".join(c if c.isalnum() or c in "-=._" else "_" for c in key)
    return f"{readable}.{digest}"


def perform(job: Job, room: Path | None = None) -> Done:
    """Run a job in this process, in its own directory if it needs one.

    A ``RuntimeWarning`` counts as raised.

    Raises
    ------
    InputError
        If the series is not that of the job.
    """
    begin = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        series = job.run() if job.begun is None or room is None else job.begun(room)
    if series.key != job.key:
        raise InputError(f"the job {job.key} made the series {series.key}: a job makes its own")
    return Done(stored(series), round(time.process_time() - begin, 2))


def _parallel(jobs: Sequence[Job], workers: int, store: Store) -> Generator[Done, None, None]:
    """Perform jobs, the heavy ones first, and yield their series as they finish."""
    ordered = sorted(jobs, key=lambda job: -job.weight)
    rooms = [store.room(job.key) if job.begun is not None else None for job in ordered]
    if min(workers, len(jobs)) <= 1:
        yield from map(perform, ordered, rooms)
    else:
        yield from unordered(perform, zip(ordered, rooms, strict=True), workers)


def carry_out(
    plan: Plan,
    store: Store,
    *,
    jobs: int = 1,
    watch: Watch = lambda _key, _done, _total: None,
) -> Results:
    """Compute every series of a plan that is not stored yet.

    Parameters
    ----------
    plan : Plan
    store : Store
    jobs : int
        Number of processes; it does not change the results.
    watch : callable
        Told the key of each finished job, or what is at work, the work done so far and that of all
        stages known; from another thread, too, while long jobs are at work.

    Raises
    ------
    InputError
        If a stored series does not belong to this run, two jobs have one key, or an iterate diverges.
    """
    data: dict[str, Series] = {}
    seconds: dict[str, float] = {}
    tally = _Tally(store, watch)
    for stage in plan.stages:
        listed = stage(data)
        keys = [job.key for job in listed]
        if len({*keys, *data}) < len(keys) + len(data):
            raise InputError(f"two jobs have one key, among {sorted(keys)}: give each its own")
        found = {job.key: kept for job in listed if (kept := store.get(job.key)) is not None}
        tally.begin(listed, found)
        left = [job for job in listed if job.key not in found]
        with (
            under_way.repeated(tally.look),
            contextlib.closing(_parallel(left, jobs, store)) as rest,
        ):
            for finished in rest:
                store.put(finished)
                found[finished.series.key] = finished
                tally.end(finished.series.key)
        data |= {key: found[key].series for key in keys}
        seconds |= {key: found[key].seconds for key in keys}
    gathered = {key: stored(series) for key, series in plan.gathered(data).items()}
    return Results(gathered, seconds, plan.beside(store.rooms(list(seconds))))


class _Tally:
    """Work that is done, and the parts of jobs at work; it tells the watch.

    Parameters
    ----------
    store : Store
    watch : callable
    """

    def __init__(self, store: Store, watch: Watch) -> None:
        self._store, self._watch, self._began = store, watch, time.time()
        self._done = self._total = 0.0
        self._left: dict[str, float] = {}
        self._one = threading.Lock()

    def begin(self, listed: Sequence[Job], found: Mapping[str, Done]) -> None:
        """Count the jobs of a stage, of which some were found."""
        self._left = {job.key: job.weight for job in listed if job.key not in found}
        own = sum(job.weight for job in listed)
        self._total += own
        self._done += own - sum(self._left.values())
        self._tell("")

    def end(self, key: str) -> None:
        """Count a job that has finished."""
        with self._one:
            self._done += self._left.pop(key)
            self._tell(key)

    def look(self) -> None:
        """Tell what is at work, if anything is; from another thread."""
        with self._one:
            self._tell(None)

    def _tell(self, text: str | None) -> None:
        rooms = self._store.rooms(list(self._left))
        told = {key: found for key, room in rooms.items() if (found := under_way.told(room))}
        if text is None:
            text = under_way.spoken({k: one for k, one in told.items() if one.moment >= self._began})
            if not text:
                return
        part = sum(self._left[key] * one.share for key, one in told.items())
        self._watch(text, self._done + part, self._total)


def manifest(request: Request, plan: Plan, results: Results, origin: Origin) -> dict[str, Any]:
    """What maps each figure, panel and curve to its data, settings and command."""
    return {
        "schema": SCHEMA,
        "experiment": request.name,
        "title": request.experiment.title,
        "source": request.experiment.source,
        "command": request.command,
        "budget": request.budget,
        "purpose": request.experiment.budgets[request.budget],
        "seed": request.seed,
        "origin": {
            "package_version": origin.package_version,
            "fingerprint": origin.fingerprint,
            "environment": dict(origin.environment),
        },
        "assumptions": dict(plan.assumptions),
        "figures": [_figure(figure, request, results.data) for figure in plan.figures]
        + [
            {"file": f"{p.name}.svg", "caption": p.caption, "panels": []}
            for p in results.beside.pictures
        ],
        **({"choice": asdict(request.choice)} if request.choice != Choice() else {}),
        **({"measured": dict(results.beside.measured)} if results.beside.measured else {}),
        "cpu_seconds": dict(results.seconds),
    }


def _figure(figure: Figure, request: Request, data: Data) -> dict[str, Any]:
    return {
        "file": f"{figure.name}.svg",
        "caption": figure.caption,
        "panels": [
            {
                "title": panel.title,
                "x_label": panel.x_label,
                "y_label": panel.y_label,
                "curves": [_curve(curve, request, data) for curve in panel.curves],
            }
            for panel in figure.panels
        ],
    }


def _curve(curve: Curve, request: Request, data: Data) -> dict[str, Any]:
    return {
        "label": curve.label,
        "measure": curve.measure,
        "x": curve.x,
        "command": request.command,
        "file": CURVES,
        "series": [
            {"key": key, "parameters": dict(data[key].parameters), "seeds": list(data[key].seeds)}
            for key in curve.series
        ],
    }


def tables(plan: Plan, found: Sequence[Finding], data: Data) -> str:
    """Final values of the featured settings, then all verdicts, as Markdown."""
    measures = [measure.name for measure in plan.measures]
    parts = [f"**{plan.notice}**\n"] if plan.notice else []
    parts += [
        f"**Final values: {setting}**\n\n{findings.finals(data, measures, setting)}\n"
        for setting in plan.featured
    ]
    for source in dict.fromkeys(f.claim.place.rsplit("/", 1)[1] for f in found):
        own = [f for f in found if f.claim.place.endswith(f"/{source}")]
        for measure in dict.fromkeys(f.claim.measure for f in own):
            chosen = [f for f in own if f.claim.measure == measure]
            places = list(dict.fromkeys(f.claim.place for f in chosen))
            parts.append(
                f"**Verdicts, {source}: {measure}** ({chosen[0].test.n} pairs)\n\n"
                f"{findings.table(chosen, places)}\n"
            )
    return "\n".join(parts)


def curves(plan: Plan, data: Data) -> dict[str, Any]:
    """All series as JSON."""
    return {
        "schema": SCHEMA,
        "measures": {measure.name: measure.label for measure in plan.measures},
        "series": [dump_series(series) for series in data.values()],
    }


def judged(claims: Sequence[Claim], data: Data) -> dict[str, Any]:
    """All findings as JSON."""
    return {
        "schema": SCHEMA,
        "findings": [found.document() for found in findings.judge(claims, data)],
    }


def products(plan: Plan, data: Data) -> dict[str, str]:
    """Contents of all files that are functions of the series alone, by name."""
    found = findings.judge(plan.claims, data)
    return {
        CURVES: dumps(curves(plan, data)),
        FINDINGS: dumps(judged(plan.claims, data)),
        TABLES: tables(plan, found, data),
        **{f"{figure.name}.svg": drawing.svg(figure, data) for figure in plan.figures},
    }


def redraw(request: Request, plan: Plan, directory: Path) -> None:
    """Make findings, tables and figures of finished results again, from their series.

    Raises
    ------
    InputError
        If the plan needs series that they lack, or a file cannot be read or written.
    """
    data, made = read_data(directory), read(directory / MANIFEST)
    try:
        contents = products(plan, data)
        figures = [_figure(figure, request, data) for figure in plan.figures]
    except KeyError as error:
        raise InputError(
            f"{directory / CURVES} lacks the series {error}: run {request.command} again"
        ) from None
    pictures = [f for f in made["figures"] if not f["panels"]]
    kept = {figure["file"] for figure in (*figures, *pictures)}
    for gone in {figure["file"] for figure in made["figures"]} - kept:
        (directory / gone).unlink(missing_ok=True)
    contents[MANIFEST] = dumps(
        made
        | {
            "title": request.experiment.title,
            "purpose": request.experiment.budgets[request.budget],
            "assumptions": dict(plan.assumptions),
            "figures": figures + pictures,
        }
    )
    for name, text in contents.items():
        files.write(directory / name, text)


def write(request: Request, plan: Plan, results: Results, origin: Origin, directory: Path) -> None:
    """Write all files; the manifest comes last and says that the others are there.

    Raises
    ------
    InputError
        If one cannot be written.
    """
    contents = products(plan, results.data)  # all before the first is written
    contents |= {f"{picture.name}.svg": picture.svg for picture in results.beside.pictures}
    contents[MANIFEST] = dumps(manifest(request, plan, results, origin))
    for name, text in contents.items():
        files.write(directory / name, text)


def stamp(request: Request, origin: Origin) -> dict[str, Any]:
    """What a stored series depends on."""
    return {
        "experiment": request.name,
        **({"choice": request.choice.words} if request.choice != Choice() else {}),
        "budget": request.budget,
        "seed": request.seed,
        "code": origin.fingerprint,
        "environment": dict(origin.environment),
    }


def store_in(directory: Path, request: Request, origin: Origin, *, resume: bool) -> Store:
    """Prepare a directory for the series of finished jobs.

    Raises
    ------
    InputError
        If it holds a run already and that is not to be resumed, or is another one; or it cannot be made.
    """
    runs = directory / RUNS
    begun, store = runs.is_dir() and any(runs.iterdir()), Store(runs, stamp(request, origin))
    if not resume and (begun or (directory / MANIFEST).exists()):
        raise InputError(f"{directory} holds a run already: use --resume to go on, or another --out")
    if begun:
        store.check()
    elif (directory / MANIFEST).exists():
        raise InputError(f"{directory} holds results without the runs to go on from: use another --out")
    files.make_directory(runs)
    files.check_writable(directory / MANIFEST)
    return store

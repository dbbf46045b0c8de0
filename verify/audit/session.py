r"""A session of audits in a folder: several at once, interrupted at any moment, and resumed.

For each audit the folder holds ``NAME.json``, its entry, with what it depends on, once it is finished,
``NAME.svg``, its plot, and while it runs ``NAME.state.json``, its progress.  ``audit.json`` holds all
entries, ``audit.xml`` the same as JUnit XML.  Every file is replaced at one stroke.

The places of the audits, by which the level of false alarms is shared out, are those of the list of
built-in audits: they do not depend on which of them are asked for.  A control that is biased on purpose
is part of every session; it is expected to be found.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reference.errors import InputError
from reference.validation import Array
from verify.audit import builtin
from verify.audit.contract import Demand, Subject, Verdict
from verify.audit.document import Entry, as_expected, document, dumps, entry, outcome
from verify.audit.engine import Progress, Result, run
from verify.audit.plot import svg
from verify.audit.statistics.budget import share
from verify.contract import Check, Context, Level, Outcome, within
from verify.leaves import deferred
from verify.report import files, junit
from verify.report.run import Origin, Run

RESERVED = 12
"""Places before the first audit: those of the tests of the simulator's law."""

EPSILON = {Level.QUICK: 0.1, Level.STANDARD: 0.01, Level.DEEP: 0.005}
"""Relative bias that is certified at each level."""

CONTROL = "control"
PLANTED = 1.2
"""The control's estimates are multiplied by this."""

SAVE_SECONDS = 2.0


@dataclass(frozen=True)
class Asked:
    """What a session is asked to do.

    Attributes
    ----------
    names : tuple of str
        Built-in audits.
    demand : Demand
        Its alarm level is replaced by each audit's share.
    seed : int
    level : str
    folder : Path
    """

    names: tuple[str, ...]
    demand: Demand
    seed: int
    level: str
    folder: Path


def select(words: Sequence[str]) -> tuple[str, ...]:
    """Names of built-in audits that are, or begin with, one of the words; all of them for ``all``.

    Raises
    ------
    InputError
        If a word matches none.
    """
    names = [audit.name for audit in builtin.listed()]
    chosen: dict[str, None] = {}
    for word in words:
        found = [n for n in names if word == "all" or within(n, word)]
        if word in {"list", "faults"}:
            raise InputError(f"{word} stands alone: leave the other names out")
        if not found:
            near = [n for n in names if word in n][:3]
            hint = f"did you mean {' or '.join(near)}?" if near else "`audit list` shows the names"
            raise InputError(f"there is no audit {word!r}: {hint}")
        chosen |= dict.fromkeys(found)
    return tuple(name for name in names if name in chosen)


def place_of(name: str) -> int:
    """Place of a built-in audit, from ``RESERVED`` + 1; the control, which is biased, has none: 1."""
    names = [audit.name for audit in builtin.listed()]
    return 1 if name == CONTROL else RESERVED + 1 + names.index(name)


def built(name: str) -> Subject:
    """Build a built-in audit's subject, or the control."""
    subjects = {audit.name: audit for audit in builtin.listed()}
    if name != CONTROL:
        return subjects[name].build()
    return biased(subjects["gpomdp.no_baseline.general"].build(), PLANTED, CONTROL)


def biased(right: Subject, factor: float, name: str) -> Subject:
    """An estimator whose estimates are multiplied by a factor, with their range."""

    def draw(rows: int, generator: torch.Generator) -> Array:
        return factor * right.draw(rows, generator)

    ends = factor * right.low, factor * right.high
    return replace(
        right,
        name=name,
        title=f"{right.title}, times {factor:g}: biased on purpose",
        low=np.minimum(*ends),
        high=np.maximum(*ends),
        draw=draw,
        exact=None,
        anchored=None,
    )


def audited(name: str, asked: Asked, fingerprint: str, *, threads: int = 1) -> Entry:
    """Run one audit of a session, from where it stands, and write its files.

    Raises
    ------
    InputError
        If its folder cannot be written.
    """
    determinants = {"fingerprint": fingerprint, "seed": asked.seed, "demand": repr(asked.demand)}
    finished = _read(asked.folder / f"{name}.json", determinants)
    if finished is not None:
        return dict(finished["entry"])
    place = place_of(name)
    demand = replace(asked.demand, alarm=share(place))
    result = resumable(built(name), demand, asked.seed, asked.folder, determinants, threads=threads)
    expected = Verdict.BIASED if name == CONTROL else Verdict.CERTIFIED
    found = entry(result, place=place, expected=expected)
    files.write(asked.folder / f"{name}.svg", svg(found))
    files.write(asked.folder / f"{name}.json", dumps({"depends_on": determinants, "entry": found}))
    (asked.folder / f"{name}.state.json").unlink(missing_ok=True)
    return found


def control(folder: Path, seed: int) -> Entry:
    """Run the control of a session of anyone's estimator; it is kept in the folder.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    asked = Asked((), Demand(EPSILON[Level.QUICK]), seed, Level.QUICK.name.lower(), folder)
    return audited(CONTROL, asked, Origin.here().fingerprint)


def resumable(
    subject: Subject,
    demand: Demand,
    seed: int,
    folder: Path,
    determinants: dict[str, Any],
    *,
    threads: int = 1,
) -> Result:
    """Run an audit that keeps its progress in a folder, also if it fails, and goes on from there."""
    path = folder / f"{subject.name}.state.json"
    begun = Progress.begin(subject, demand)
    state = _read(path, determinants)
    if state is not None:
        begun = begun.loads(state["progress"])
    last, saved = begun, time.monotonic()

    def save() -> None:
        files.write(path, json.dumps({"depends_on": determinants, "progress": last.dumps()}) + "\n")

    def watch(progress: Progress) -> None:
        nonlocal last, saved
        last = progress
        if time.monotonic() - saved > SAVE_SECONDS:
            save()
            saved = time.monotonic()

    try:
        return run(subject, demand, seed, begun=begun, watch=watch, threads=threads)
    except BaseException:
        if last.calls:
            save()
        raise


def _read(path: Path, determinants: dict[str, Any]) -> dict[str, Any] | None:
    """A file of an earlier run with the same determinants; None otherwise."""
    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return read if read.get("depends_on") == determinants else None


def perform(name: str, asked: Asked, fingerprint: str, context: Context) -> tuple[Outcome, ...]:  # noqa: ARG001 - the signature of checks
    """Run one audit of a session as a check; in a process of its own."""
    torch.set_num_threads(1)
    return (outcome(audited(name, asked, fingerprint), f"audit.{name}"),)


def checks(asked: Asked, fingerprint: str) -> tuple[Check, ...]:
    """The audits of a session, the control first."""
    return tuple(
        Check(
            name=f"audit.{name}",
            group="audit",
            title=name,
            run=deferred("verify.audit.session", "perform", name, asked, fingerprint),
        )
        for name in (CONTROL, *asked.names)
    )


def prepared(folder: Path) -> Path:
    """Make a folder that can be written to.

    Raises
    ------
    InputError
        If it cannot.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {folder}: {error.strerror}; name another") from error
    files.check_writable(folder / "audit.json")
    return folder


def concluded(asked: Asked, finished: Run, command: str) -> Entry:
    """Write what all audits of a session came to so far, and return it."""
    entries = []
    for name in (CONTROL, *asked.names):
        with contextlib.suppress(OSError, ValueError, KeyError):
            text = (asked.folder / f"{name}.json").read_text(encoding="utf-8")
            if f"audit.{name}" in finished.results:
                entries.append(json.loads(text)["entry"])
    found = document(
        entries,
        command=command,
        seed=asked.seed,
        level=asked.level,
        asked=1 + len(asked.names),
        fingerprint=finished.origin.fingerprint,
    )
    files.write(asked.folder / "audit.json", dumps(found))
    files.write(asked.folder / "audit.xml", junit.dumps(finished))
    return found


def begun(asked: Asked) -> Run:
    """The session as a run of checks, nothing done."""
    origin = Origin.here()
    listed = checks(asked, origin.fingerprint)
    return Run.begin(origin, Context(Level[asked.level.upper()], asked.seed), listed)


def ended(asked: Asked, entries: Sequence[Entry]) -> Run:
    """The session as a run of checks, from what the control's audit and each other one came to."""
    current, seconds = begun(asked), 0.0
    for check, one in zip(current.checks, entries, strict=True):
        seconds += one["seconds"]
        current = current.after(check, (outcome(one, check.name),), seconds)
    return current


def growing(started: Run, jobs: int) -> Iterator[Run]:
    """Yield the session with one more finished audit each time."""
    from verify import runner

    begin, current = time.perf_counter(), started
    with contextlib.closing(runner.run(started.left, started.context, jobs=jobs)) as finished:
        for check, outcomes in finished:
            current = current.after(check, outcomes, time.perf_counter() - begin)
            yield current


__all__ = ["Asked", "as_expected", "audited", "begun", "concluded", "growing", "prepared", "select"]

r"""Can it fail?  Every faulty estimator must be flagged, and no right one, over many seeds.

The faulty ones are the mutants of :mod:`sampled` (:mod:`verify.mutants`), each a replacement in the
source.  While a fault is in force, the auditor is imported anew over the faulty code and its audits are
tried in order, those of the changed file first, until an instrument sees the fault:

    alarm      the bet; tried on every audit before any other instrument, and repeated for every seed
    law        the exact tests of the simulator's law; repeated for every seed
    gate       every trajectory, without randomness
    anchor     the estimate as everyone calls it, against the audited rows
    refusal    the package's own checks of what is given

A fault that changes no expectation of any audited gradient is none of an estimator; :data:`ELSEWHERE`
names those, and what sees them.
"""

import importlib
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from reference.errors import InputError
from verify import runner
from verify.audit.pages import faults_in_full
from verify.contract import Check, Context, Level, Outcome, Status
from verify.leaves import deferred, leaves
from verify.mutants.mutant import Mutant, in_force
from verify.report import files
from verify.report.run import Origin

if TYPE_CHECKING:
    from rich.console import RenderableType

FAULTS = "verify.mutants.faults"
PATIENCE = (1 << 14, 1 << 18)
"""Estimates after which the search goes on to the next audit; sixteen times as many for each seed."""
RIGHT_LIMIT = 1 << 11
"""Estimates of each audit of a right one: every call is a chance to be wrong."""
LAW_DRAWS = 1 << 14

ALGORITHMS = ("sampled.algorithms.", "sampled.rlhf.")
"""Packages that use estimates: their faults are those of iterations, which their own checks see."""

ELSEWHERE = {
    "magic_box_of_first_order": "second derivatives: the matrix",
    "alias_threshold_off": "one word in 2^62: the tests of samplers",
    "cdf_includes_its_end": "one word in 2^62: the tests of samplers",
    "companion_differentiated": "companions that carry derivatives: the tests of penalties",
    "potential_of_now_missing": "shaping by potentials, in no default problem: the matrix",
    "reference_policy_forgotten": "KL to a reference policy, in no default problem: the matrix",
    "tail_value_missing": "the value only, of which no gradient depends: the matrix",
    "score_has_a_value": "the value only, of which no gradient depends: the matrix",
    "problems_share_rows": "several problems at once: the matrix",
}
"""Faults of other things than an audited expectation, and what sees them."""


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    name, title : str
    faulty : bool
    audit : str
        The audit that sees the fault.
    instrument : str
    flagged, seeds : int
    samples : float
        Median of the estimates that it took.
    """

    name: str
    title: str
    faulty: bool
    audit: str
    instrument: str
    flagged: int
    seeds: int
    samples: float

    @property
    def as_expected(self) -> bool:
        """Whether all seeds flagged a fault, or none a right one."""
        return self.flagged == (self.seeds if self.faulty else 0)


def of_estimators(mutant: Mutant) -> bool:
    """Whether a fault is in code that estimates, not in an algorithm that uses estimates."""
    module = mutant.module
    return module.startswith("sampled.") and not module.startswith(ALGORITHMS)


def mutants() -> dict[str, Mutant]:
    """The faults of estimators, by file."""
    found = leaves(FAULTS, "MUTANT", Mutant)
    return {
        name: mutant for name, mutant in found.items() if of_estimators(mutant) and name not in ELSEWHERE
    }


@contextmanager
def over(mutant: Mutant) -> Iterator[None]:
    """Import the auditor anew over a faulty package, and put the right one back."""
    mine = "verify.audit"
    before = {name: module for name, module in sys.modules.items() if name.startswith(f"{mine}.")}
    parent = sys.modules[mine]
    bound = {name: value for name, value in vars(parent).items() if isinstance(value, ModuleType)}
    for name in before:
        del sys.modules[name]
    for name in bound:
        delattr(parent, name)
    try:
        with in_force(mutant):
            yield
    finally:
        for name in [n for n in sys.modules if n.startswith(f"{mine}.")]:
            del sys.modules[name]
        sys.modules.update(before)
        # What was imported meanwhile is bound to the package, too, and would be found there.
        for name in [n for n, value in vars(parent).items() if isinstance(value, ModuleType)]:
            delattr(parent, name)
        for name, module in bound.items():
            setattr(parent, name, module)


def candidates(module: str) -> list[str]:
    """Audits to try on a fault of a module: those named after its file first, small ones before."""
    builtin = importlib.import_module("verify.audit.builtin")
    file = module.rpartition(".")[2]
    names = [
        audit.name
        for audit in builtin.listed()
        if not audit.name.endswith((".slow", ".slow.approximate")) and "random_horizon" not in audit.name
    ]
    names += ["random_horizon.no_baseline.tiny", "random_horizon.leave_one_out.tiny"]
    return sorted(names, key=lambda name: file not in name)


def pursue(mutant: Mutant, name: str, seeds: Sequence[int]) -> Row:
    """Find what sees a fault, and count over the seeds."""
    with over(mutant):
        try:
            audit, instrument, counts = _pursue(mutant, seeds)
        except Exception as error:
            # The package itself refuses what the fault makes of it: that is noticed, too.
            if type(error).__name__ != "InputError":
                raise
            audit, instrument, counts = "", f"refusal: {error}", [1.0 for _ in seeds]
    hit = [count for count in counts if math.isfinite(count)]
    middle = statistics.median(hit) if hit else 0.0
    return Row(name, mutant.fault, True, audit, instrument, len(hit), len(seeds), middle)


def _pursue(mutant: Mutant, seeds: Sequence[int]) -> tuple[str, str, list[float]]:
    builtin, contract, engine, session, budget = (
        importlib.import_module(f"verify.audit.{part}")
        for part in ("builtin", "contract", "engine", "session", "statistics.budget")
    )
    listed = {audit.name: audit for audit in builtin.listed()}
    names = candidates(mutant.module)
    order = list(listed)
    built: dict[str, Any] = {}

    def raised(name: str, seed: int, limit: int) -> float:
        """Estimates until the alarm, infinite if it stays silent."""
        if name not in built:
            built[name] = listed[name].build()
        subject = replace(built[name], exact=None, anchored=None)
        demand = contract.Demand(
            epsilon=1e-6, alarm=budget.share(session.RESERVED + 1 + order.index(name)), limit=limit
        )
        found = engine.run(subject, demand, seed)
        return float(found.progress.count) if found.verdict == "BIASED" else math.inf

    def first(patience: int) -> str | None:
        """The first audit that sees the fault so soon."""
        return next((n for n in names if math.isfinite(raised(n, seeds[0], patience))), None)

    if (name := first(PATIENCE[0])) is not None:
        return name, "alarm", [raised(name, seed, 16 * PATIENCE[0]) for seed in seeds]
    for name, law in laws().items():
        threshold = -math.log(budget.share(1 + list(laws()).index(name)))
        if law(seeds[0]) >= threshold:
            counts = [float(LAW_DRAWS) if law(seed) >= threshold else math.inf for seed in seeds]
            return name, "law", counts
    if (name := first(PATIENCE[1])) is not None:
        return name, "alarm", [raised(name, seed, 16 * PATIENCE[1]) for seed in seeds]
    for name in names:
        subject = built[name]
        if subject.exact is not None:
            error, rounding = subject.exact()
            if (abs(error) > rounding).any():
                return name, "gate", [0.0 for _ in seeds]
        if subject.anchored is None:
            continue
        rows, called = subject.anchored(seeds[0])
        if abs(rows - called).max() > 1e-10 * abs(subject.high).max():
            return name, "anchor", [0.0 for _ in seeds]
    return "", "none", [math.inf for _ in seeds]


def laws() -> dict[str, Callable[[int], float]]:
    """Tests of the simulator's law, seed -> log e-value; at most as many as places are reserved."""
    law = importlib.import_module("verify.audit.law")
    found: dict[str, Callable[[int], float]] = {}
    for sampler in law.SAMPLERS:
        kind = sampler.__name__.lower()
        found[f"law.whole.{kind}"] = partial(law.whole, LAW_DRAWS, sampler=sampler)
        for problem in ("general", "game"):
            test = partial(law.step_by_step, problem, LAW_DRAWS, sampler=sampler)
            found[f"law.{problem}.{kind}"] = test
    found["law.lengths"] = partial(law.lengths, LAW_DRAWS)
    return found


def right(name: str, seeds: Sequence[int]) -> Row:
    """Count the alarms of a right estimator."""
    from verify.audit import session
    from verify.audit.contract import Demand, Verdict
    from verify.audit.engine import run
    from verify.audit.statistics.budget import share

    if name.startswith("law."):
        law = laws()[name]
        threshold = -math.log(share(1 + list(laws()).index(name)))
        flagged = sum(law(seed) >= threshold for seed in seeds)
        return Row(name, "law of the simulator", False, name, "law", flagged, len(seeds), LAW_DRAWS)
    made = session.built(name)
    subject = replace(made, exact=None, anchored=None)
    demand = Demand(epsilon=1e-6, alarm=share(session.place_of(name)), limit=RIGHT_LIMIT)
    flagged = sum(run(subject, demand, seed).verdict is Verdict.BIASED for seed in seeds)
    return Row(name, made.title, False, name, "alarm", flagged, len(seeds), RIGHT_LIMIT)


# The table.


def work(
    name: str, faulty: bool, seeds: int, first: int, folder: Path, mark: str, _: Context
) -> tuple[Outcome, ...]:
    """Make one row as a check, in a process of its own; it is kept in the folder."""
    import torch

    torch.set_num_threads(1)
    path = folder / f"{name}.row.json"
    row = _kept(path, mark)
    if row is None:
        numbers = range(first, first + seeds)
        row = pursue(mutants()[name], name, numbers) if faulty else right(name, numbers)
        files.write(path, json.dumps({"mark": mark, "row": vars(row)}) + "\n")
    status = Status.AS_EXPECTED if row.as_expected else Status.DEVIATION
    detail = f"flagged {row.flagged} of {row.seeds} by {row.instrument} {row.audit}"
    return (Outcome(f"faults.{name}", row.title, status, math.nan, row.audit, row.seeds, 0.0, detail),)


def _kept(path: Path, mark: str) -> Row | None:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Row(**read["row"]) if read.get("mark") == mark else None


def table(
    seeds: int, first: int, jobs: int, folder: Path, told: Callable[[int, int], None]
) -> dict[str, Any]:
    """Make all rows, those of an interrupted run taken over, and write ``faults.json`` and its page.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    from verify.audit.builtin import listed

    mark = f"{Origin.here().fingerprint} {seeds} {first}"
    named = [(name, True) for name in mutants()]
    named += [(name, False) for name in (*laws(), *(audit.name for audit in listed()))]
    checks = [
        Check(
            f"faults.{name}",
            "faults",
            name,
            deferred("verify.audit.faults", "work", name, faulty, seeds, first, folder, mark),
        )
        for name, faulty in named
    ]
    for done, (_, outcomes) in enumerate(runner.run(checks, Context(Level.DEEP, first), jobs=jobs), 1):
        told(done, len(checks))
        for outcome in outcomes:
            if outcome.status is Status.ERROR:
                raise InputError(f"{outcome.name} ended in an error: {outcome.detail}")
    rows = [row for name, _ in named if (row := _kept(folder / f"{name}.row.json", mark)) is not None]
    found = {
        "schema": "pbrl-audit-faults",
        "version": 1,
        "command": f"python -m verify audit faults --seeds {seeds} --seed {first}",
        "seeds": seeds,
        "rows": [vars(row) for row in rows],
        "elsewhere": ELSEWHERE,
        "as_expected": all(row.as_expected for row in rows),
    }
    files.write(folder / "faults.json", json.dumps(found, indent=1) + "\n")
    files.write(folder / "faults.md", faults_in_full(found))
    return found


def drawn(found: dict[str, Any]) -> "RenderableType":
    """Draw the table: each fault, and the right ones in one line."""
    from rich import box
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    rows = [Row(**row) for row in found["rows"]]
    drawn_table = Table(box=box.SIMPLE_HEAD)
    for heading in ("fault", "seen by", "audit"):
        drawn_table.add_column(heading, overflow="fold")
    drawn_table.add_column("flagged", justify="right", no_wrap=True)
    drawn_table.add_column("median samples", justify="right", no_wrap=True)
    for row in rows:
        if row.faulty or not row.as_expected:
            style = "" if row.as_expected else "bold red"
            flagged = Text(f"{row.flagged} / {row.seeds}", style=style)
            drawn_table.add_row(row.title, row.instrument, row.audit, flagged, f"{row.samples:.0f}")
    good = [row for row in rows if not row.faulty]
    total = sum(row.seeds for row in good)
    line = f"right ones: {sum(row.flagged for row in good)} of {total} audits of {len(good)} flagged"
    return Group(drawn_table, Text(line))


__all__ = ["drawn", "mutants", "table"]

"""A run on the terminal: a table per group, the deviations in full, and one line that sums it up."""

import math
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from rich import box
from rich.console import Console, RenderableType
from rich.console import Group as Lines
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from verify.contract import Check, Group, Outcome, Status
from verify.report.run import Run

STYLES = {Status.AS_EXPECTED: "green", Status.DEVIATION: "bold red", Status.ERROR: "bold magenta"}

ENDLESS = 10_000
"""Width of what is no terminal: nothing is folded, so that its lines can be searched."""


def console(stream: TextIO) -> Console:
    """Return a console that prints text as it is: no markup, no highlighting, no folding in files."""
    folds = stream.isatty() or "COLUMNS" in os.environ
    width = None if folds else ENDLESS
    return Console(file=stream, width=width, markup=False, highlight=False, emoji=False)


def progress() -> Progress:
    """Return a progress bar on standard error, which shows on a terminal only and leaves no trace."""
    errors = console(sys.stderr)
    return Progress(
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("remaining"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )


def listing(groups: Sequence[Group], checks: Sequence[Check]) -> RenderableType:
    """Names and titles of checks, under their groups."""
    parts: list[RenderableType] = []
    for group in groups:
        members = [check for check in checks if check.group == group.name]
        if members:
            table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
            table.add_column(overflow="fold")
            table.add_column(overflow="fold")
            for check in members:
                table.add_row(check.name, check.title)
            parts += [_heading(group), Padding(table, (0, 0, 1, 2), expand=False)]
    return Lines(*parts)


def report(groups: Sequence[Group], run: Run) -> RenderableType:
    """All there is to say of a run, whether it is complete or not."""
    parts: list[RenderableType] = []
    for group in groups:
        outcomes = [outcome for check, outcome in run.finished if check.group == group.name]
        if outcomes:
            drawn = group.render(outcomes) if group.render else outcome_table(outcomes)
            parts += [_heading(group), "", drawn, ""]
    for check, outcome in run.finished:
        if outcome.status is not Status.AS_EXPECTED:
            parts += [_in_full(check, outcome, run), ""]
    return Lines(*parts, summary(run))


def outcome_table(outcomes: Sequence[Outcome]) -> RenderableType:
    """One outcome per line."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("status", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("margin", justify="right", no_wrap=True)
    table.add_column("worst instance", overflow="fold")
    table.add_column("instances", justify="right", no_wrap=True)
    table.add_column("seconds", justify="right", no_wrap=True)
    for outcome in outcomes:
        table.add_row(
            Text(outcome.status.value, style=STYLES[outcome.status]),
            outcome.name,
            spell_margin(outcome.margin),
            outcome.instance,
            str(outcome.instances),
            f"{outcome.seconds:.2f}",
        )
    return table


def spell_margin(margin: float) -> str:
    """Three digits of an error in units of its tolerance, or a dash if there is none."""
    return "-" if math.isnan(margin) else f"{margin:.3g}"


def summary(run: Run) -> str:
    """Return one line: how many outcomes of each status, in what time, at which level and seed."""
    good, deviations, errors = (run.count(status) for status in Status)
    done = len(run.checks) - len(run.left)
    return (
        ("" if run.complete else f"interrupted after {_plural(done, 'check')} of {len(run.checks)}: ")
        + f"{good} as expected, {_plural(deviations, 'deviation')}, {_plural(errors, 'error')} "
        + f"in {run.seconds:.1f} s (level {run.context.level.name.lower()}, seed {run.context.seed})"
    )


def _plural(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _heading(group: Group) -> Text:
    return Text(f"{group.name}: {group.title}", style="bold")


def _in_full(check: Check, outcome: Outcome, run: Run) -> RenderableType:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(Text(outcome.status.value, style=STYLES[outcome.status]), outcome.name)
    rows = {
        "title": outcome.title,
        "detail": outcome.detail,
        "margin": "" if math.isnan(outcome.margin) else f"{spell_margin(outcome.margin)} tolerances",
        "instance": outcome.instance,
        "again": f"python -m verify {check.name} --level {run.context.level.name.lower()} "
        f"--seed {run.context.seed}",
    }
    for field, value in rows.items():
        if value:
            table.add_row(field, value)
    return table

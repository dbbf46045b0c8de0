r"""The files of an experiment's results, and how two of them are compared.

A directory ``DIR`` holds, as JSON::

    manifest.json   schema, experiment, title, source, command, budget, seed, origin, assumptions,
                    cpu_seconds per series, and figures: file, caption, panels of title, axis labels
                    and curves; each curve with its label, measure, x, command and file, and its series
                    with their keys, parameters and seeds; choice, if a part was asked for, and
                    measured, what was found about the machine
    curves.json     schema, measures (name -> axis label), and series: key (setting/source/method),
                    parameters, seeds, iterations (K), steps (K), values (measure -> K rows of one number
                    per seed)
    findings.json   schema, and findings: kind (above, vanishes), name, place (setting/source), measure,
                    the keys that are compared, test (n, positive, mean, error, low, high, effect, p_t,
                    p_rank), holm_p_t, holm_p_rank, verdict (holds, reversed, stays, undecided)
    <figure>.svg    the figures
    findings.md     the verdicts as tables
    runs/           series of jobs that have finished, from which an interrupted run goes on, and
                    directories of long jobs, with settings, metrics and checkpoints

Numbers of series are rounded to :data:`DIGITS` significant digits when they are stored, and to multiples
of :data:`QUANTUM`: a gap that is a difference of values is not known any better.  Findings and figures
are made of what is stored.

**Comparison.**  Two runs of one job differ by rounding alone, if at all: on another machine, a sum may
be added in another order.  If their numbers agree before they are rounded, they differ by at most one
unit in the last digit afterwards; that is the tolerance.  Samples are drawn by the same keys,
and the same rule applies to them: where rounding has changed a drawn action, trajectories part, and the
comparison says so.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reference.errors import InputError
from reference.validation import Array
from verify.experiments.contract import Choice, Data, Series

SCHEMA = "pbrl.experiment/1"
DIGITS = 6
QUANTUM = 1e-9
"""Above what rounding does to a value in all settings: with 100 states, values up to 100 and gamma 0.99
the bound of :func:`reference.evaluation.residual_rounding`, divided by 1 - gamma, is below 2e-10."""
MANIFEST, CURVES, FINDINGS, TABLES, RUNS = (
    "manifest.json",
    "curves.json",
    "findings.json",
    "findings.md",
    "runs",
)


def rounded(value: float) -> float:
    """The nearest number of :data:`DIGITS` significant digits that is a multiple of :data:`QUANTUM`."""
    return round(float(f"{value:.{DIGITS}g}"), round(-math.log10(QUANTUM))) + 0.0


def stored(series: Series) -> Series:
    """A series as its file gives it back."""
    return read_series(dump_series(series))


def dump_series(series: Series) -> dict[str, Any]:
    """A series as JSON.

    Raises
    ------
    InputError
        If a value is not finite.
    """
    for name, rows in series.values.items():
        if not np.isfinite(rows).all():
            raise InputError(f"{series.key} has a {name} that is not finite: lower its step sizes")
    return {
        "key": series.key,
        "parameters": dict(series.parameters),
        "seeds": list(series.seeds),
        "iterations": list(series.iterations),
        "steps": list(series.steps),
        "values": {
            name: [[rounded(float(v)) for v in row] for row in rows]
            for name, rows in series.values.items()
        },
    }


def read_series(document: Mapping[str, Any]) -> Series:
    """A series from JSON.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        values: dict[str, Array] = {
            str(name): np.asarray(rows, dtype=np.float64) for name, rows in document["values"].items()
        }
        shape = len(document["iterations"]), len(document["seeds"])
        if not values or any(rows.shape != shape for rows in values.values()):
            raise ValueError(f"values are not {shape[0]} points of {shape[1]} seeds")
        if len(document["steps"]) != shape[0]:
            raise ValueError("steps and iterations differ in number")
        return Series(
            str(document["key"]),
            dict(document["parameters"]),
            tuple(map(int, document["seeds"])),
            tuple(map(int, document["iterations"])),
            tuple(map(int, document["steps"])),
            values,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"this is no series of an experiment ({error!r}): make it anew") from error


def dumps(document: Any) -> str:
    """JSON with one line per innermost list or object, so that a change shows as a few lines."""
    return _spelled(document, "") + "\n"


def _spelled(value: Any, indent: str) -> str:
    parts: Sequence[Any] = ()
    if isinstance(value, Mapping):
        parts = list(value.values())
    elif isinstance(value, list):
        parts = value
    if not any(isinstance(part, Mapping | list) and part for part in parts):
        return json.dumps(value, allow_nan=False)
    inner = indent + " "
    if isinstance(value, Mapping):
        lines = [f"{inner}{json.dumps(k)}: {_spelled(v, inner)}" for k, v in value.items()]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _spelled(part, inner) for part in parts) + f"\n{indent}]"


def read(path: Path) -> Any:
    """Read a JSON document.

    Raises
    ------
    InputError
        If it cannot be read, is no JSON, or has another schema.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"cannot read {path}: {error.strerror}; name the directory of a finished run"
        ) from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}): make it anew") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise InputError(f"{path} is not of the schema {SCHEMA}: make it anew with this version")
    return document


def choice(manifest: Mapping[str, Any]) -> Choice:
    """The choice that a manifest names.

    Raises
    ------
    InputError
        If it is none.
    """
    given = manifest.get("choice", {})
    try:
        lists = {name: tuple(map(str, given[name])) for name in ("games", "methods") if name in given}
        return Choice(**(given | lists))
    except (TypeError, AttributeError) as error:
        raise InputError(f"the manifest's choice is {given!r}, which is none: make it anew") from error


def read_data(directory: Path) -> dict[str, Series]:
    """Series of a finished run, by key.

    Raises
    ------
    InputError
        As :func:`read` and :func:`read_series`.
    """
    document = read(directory / CURVES)
    listed = document.get("series")
    if not isinstance(listed, list):
        raise InputError(f"{directory / CURVES} lists no series: make it anew")
    found = [read_series(part) for part in listed]
    return {series.key: series for series in found}


def deviations(expected: Data, found: Data) -> list[str]:
    """In one sentence each, where two sets of stored series differ by more than the tolerance."""
    missing = [f"{key} is missing" for key in expected if key not in found]
    extra = [f"{key} is new" for key in found if key not in expected]
    differing = [
        sentence
        for key in expected
        if key in found
        for sentence in _differences(key, expected[key], found[key])
    ]
    return missing + extra + differing


def _differences(key: str, expected: Series, found: Series) -> list[str]:
    for name in ("parameters", "seeds", "iterations", "steps"):
        if getattr(expected, name) != getattr(found, name):
            return [f"{key} has other {name}: {getattr(found, name)}, not {getattr(expected, name)}"]
    if set(expected.values) != set(found.values):
        return [f"{key} has the measures {sorted(found.values)}, not {sorted(expected.values)}"]
    sentences = []
    for name, rows in expected.values.items():
        off = np.abs(found.values[name] - rows)
        allowed = last_digit(rows, found.values[name])
        if (off > allowed).any():
            point, seed = np.unravel_index(int(np.argmax(off / allowed)), off.shape)
            sentences.append(
                f"{key}: {name} after {expected.iterations[point]} iterations of seed "
                f"{expected.seeds[seed]} is {found.values[name][point, seed]:.{DIGITS}g}, not "
                f"{rows[point, seed]:.{DIGITS}g}; {int((off > allowed).sum())} of {off.size} differ"
            )
    return sentences


def last_digit(first: Array, second: Array) -> Array:
    """One unit in the last stored digit of the larger of two numbers, a rounding of float64 added."""
    size = np.maximum(np.maximum(np.abs(first), np.abs(second)), QUANTUM)
    unit = np.maximum(10.0 ** (np.floor(np.log10(size)) - (DIGITS - 1)), QUANTUM)
    return np.asarray(unit + 4.0 * np.finfo(np.float64).eps * size)

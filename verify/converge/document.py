"""The results as one JSON document, with the fits that need several experiments.

``schema.json`` beside this file describes every field (JSON Schema, draft 2020-12).  Nothing in a
document depends on the time or on the number of processes.
"""

from __future__ import annotations

import importlib.resources
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reference.errors import InputError
from verify.contract import Context
from verify.converge.bounds import FORMS
from verify.converge.findings import Finding, parse
from verify.converge.fits import least_squares, mean
from verify.converge.kinds import KINDS
from verify.report.run import Origin

NAME = "converge.json"
SCHEMA, VERSION = "pbrl-converge", 1

SETTINGS = ("package_version", "fingerprint", "environment", "level", "seed")
"""What every number depends on."""

LEAST = 10
"""Iterations from which on a count enters a fit: below, it is rounded too coarsely."""


def schema() -> dict[str, Any]:
    """Return the JSON Schema of :func:`document`."""
    text = importlib.resources.files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def settings(origin: Origin, context: Context) -> dict[str, Any]:
    """What a folder of results belongs to."""
    level = context.level.name.lower()
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "command": f"python -m verify converge --level {level} --seed {context.seed}",
        "package_version": origin.package_version,
        "fingerprint": origin.fingerprint,
        "environment": dict(origin.environment),
        "level": level,
        "seed": context.seed,
    }


def document(
    given: dict[str, Any],
    names: Sequence[str],
    parts: Mapping[str, dict[str, Any]],
    figures: Sequence[dict[str, str]] = (),
) -> dict[str, Any]:
    """Put together what is there of the experiments.

    Parameters
    ----------
    given : dict
        Of :func:`settings`.
    names : sequence of str
        Of all experiments.
    parts : mapping
        The finished ones, by name.
    figures : sequence
        Files, titles and captions.
    """
    there = {name: parts[name] for name in names if name in parts}
    counts = list(_section(there, "iterations"))
    inner = list(_section(there, "inner"))
    found = list(held(there))
    return {
        **given,
        "complete": len(there) == len(names) and bool(figures),
        "forms": [
            {"key": form.key, "title": form.title, "c1": float(form.c1), "c2": float(form.c2)}
            for form in FORMS
        ],
        "held": len(found),
        "deviations": [
            {"experiment": name, **finding.document()} for name, finding in found if not finding.holds
        ],
        "bounds": list(_section(there, "bound")),
        "iterations": counts,
        "exponents": list(_exponents(counts)),
        "inner": inner,
        "work": list(_work(counts, inner)),
        "steps": list(_section(there, "step")),
        "figures": list(figures),
    }


def held(parts: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, Finding]]:
    """Every inequality that was held to a run, with the experiment's name."""
    for name, part in parts.items():
        for entry in part["findings"]:
            yield name, parse(entry)


def _section(parts: Mapping[str, dict[str, Any]], word: str) -> Iterator[dict[str, Any]]:
    for name, part in parts.items():
        if name.startswith(f"{word}."):
            yield {"name": name, **part}


def _exponents(counts: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """K ~ lambda^p eps^-r, fitted per member of the batch; the means of p and r over the members."""
    for kind in KINDS:
        for start in ("fixed", "warm"):
            runs = [run for run in counts if run["kind"] == kind.key and run["start"] == start]
            for metric in ("iterations", "best"):
                fits = list(_fitted(runs, metric))
                if len(fits) < 3:
                    continue
                in_lambda, in_eps = np.array(fits).T
                last = np.array(list(_last(runs, metric)))
                yield {
                    "kind": kind.key,
                    "start": start,
                    "metric": {"iterations": "average", "best": "best"}[metric],
                    "members": len(fits),
                    "lambda": mean(in_lambda).document(),
                    "one_over_eps": mean(in_eps).document(),
                    "lambda_in_the_end": mean(last).document() if len(last) > 1 else None,
                }


def _fitted(runs: Sequence[dict[str, Any]], metric: str) -> Iterator[tuple[float, float]]:
    """Exponents of lambda and 1/eps, of each member with enough counts."""
    for member in range(max((run["members"] for run in runs), default=0)):
        points = [
            (math.log(run["lambda"]), -math.log(entry["eps"]), math.log(entry[metric][member]))
            for run in runs
            for entry in run["counts"]
            if (entry[metric][member] or 0) >= LEAST
        ]
        if len(points) < 4:
            continue
        table = np.array(points)
        try:
            in_lambda, in_eps, _ = least_squares(table[:, :2], table[:, 2])
        except InputError:  # all at one lambda, or at one eps
            continue
        yield in_lambda.value, in_eps.value


def _last(runs: Sequence[dict[str, Any]], metric: str) -> Iterator[float]:
    """Exponent of lambda between the two largest, at each member's smallest eps with two counts."""
    for member in range(max((run["members"] for run in runs), default=0)):
        counted: dict[float, list[tuple[float, int]]] = {}
        for run in runs:
            for entry in run["counts"]:
                if (entry[metric][member] or 0) >= LEAST:
                    counted.setdefault(entry["eps"], []).append((run["lambda"], entry[metric][member]))
        enough = [eps for eps, pairs in counted.items() if len(pairs) > 1]
        if enough:
            (low, first), (high, second) = sorted(counted[min(enough)])[-2:]
            yield math.log(second / first) / math.log(high / low)


def _work(counts: Sequence[dict[str, Any]], inner: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Outer iterations times the steps of mirror descent that eps_orac = 8 eps asks for."""
    for run in counts:
        for one in inner:
            if one["kind"] != run["kind"]:
                continue
            steps = np.array([[math.nan if T is None else T for T in row] for row in one["steps"]])
            most = steps.max(axis=1)
            for entry in run["counts"]:
                reached = [k for k in entry["iterations"] if k is not None]
                quotient = run["lambda"] ** 2 / (8.0 * entry["eps"])
                if not reached or len(reached) < run["members"]:
                    continue
                each = float(np.interp(math.log(quotient), np.log(one["quotients"]), most))
                yield {
                    "kind": run["kind"],
                    "start": run["start"],
                    "lambda": run["lambda"],
                    "eps": entry["eps"],
                    "outer": max(reached),
                    "inner_each": math.ceil(each),
                    "inner": max(reached) * math.ceil(each),
                }


def dumps(content: dict[str, Any]) -> str:
    """Return a document as JSON text, with lists of numbers in one line."""
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return re.sub(r"\[[-\d.e+,\snul]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


def load(path: Path) -> dict[str, Any]:
    """Read a document.

    Raises
    ------
    InputError
        If it is none.
    """
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]  # ships no types

    try:
        read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {error}; name another folder") from error
    fault = best_match(Draft202012Validator(schema()).iter_errors(read))
    if fault is not None:
        raise InputError(
            f"{path} is no document of version {VERSION}: at {fault.json_path}, {fault.message[:200]}; "
            "name another folder"
        )
    return read


def must_match(path: Path, read: dict[str, Any], now: dict[str, Any]) -> None:
    """Refuse results of another run.

    Raises
    ------
    InputError
        Which names what differs.
    """
    differing = [name for name in SETTINGS if read[name] != now[name]]
    if differing:
        said = ", ".join(
            f"{name} {read[name]} instead of {now[name]}"
            if name in {"level", "seed"}
            else f"another {name}"
            for name in differing
        )
        raise InputError(f"{path} holds a run with {said}: give another --out, or remove that folder")

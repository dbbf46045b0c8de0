"""A run as a JSON document of the published schema, and back.

``schema.json`` beside this file describes every field (JSON Schema, draft 2020-12).
"""

import dataclasses
import importlib.resources
import json
import math
from pathlib import Path
from typing import Any

from reference.errors import InputError
from verify.contract import Check, Outcome, Status, within
from verify.report.run import Run

VERSION = 1
"""Of the schema; it grows with every change that a reader could trip over."""

RESUMED = "--resume takes a file of --json"


def schema() -> dict[str, Any]:
    """Return the JSON Schema of :func:`document`."""
    text = importlib.resources.files(__package__).joinpath("schema.json").read_text(encoding="utf-8")
    read: dict[str, Any] = json.loads(text)
    return read


def document(run: Run) -> dict[str, Any]:
    """Return a run as what ``json.dumps(..., allow_nan=False)`` accepts."""
    return {
        "schema": "pbrl-verify",
        "version": VERSION,
        "package_version": run.origin.package_version,
        "fingerprint": run.origin.fingerprint,
        "environment": dict(run.origin.environment),
        "level": run.context.level.name.lower(),
        "seed": run.context.seed,
        "started": run.started,
        "seconds": round(run.seconds, 3),
        "complete": run.complete,
        "checks": [check.name for check in run.checks],
        "outcomes": [_entry(check, outcome) for check, outcome in run.finished],
    }


def dumps(run: Run) -> str:
    """Return a run as JSON text."""
    return json.dumps(document(run), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _entry(check: Check, outcome: Outcome) -> dict[str, Any]:
    return dataclasses.asdict(outcome) | {
        "check": check.name,
        "group": check.group,
        "status": outcome.status.value,
        "margin": _number(outcome.margin),
        "seconds": round(outcome.seconds, 6),
    }


def _number(value: float) -> float | str | None:
    """Encode a float: JSON has neither NaN nor infinity."""
    if math.isnan(value):
        return None
    return float(value) if math.isfinite(value) else str(float(value))


def resume(run: Run, path: Path) -> Run:
    """Return a run with the finished checks of an earlier, interrupted one.

    Checks that ended in an error are not taken over: what failed may have been the machine.

    Raises
    ------
    InputError
        If the file cannot be read, is no such document, or is of another run: of another version of
        the package or the libraries, other code, another level or seed, or has checks that were not
        asked for.
    """
    earlier, now = read(path, RESUMED), document(run)
    then = _determinants(earlier)
    for field, value in _determinants(now).items():
        if then[field] != value:
            raise InputError(
                f"cannot resume {path}: its {field} is {then[field]}, that of this run is {value}; "
                "give the same, or leave out --resume to begin anew"
            )
    if missing := sorted(set(earlier["checks"]) - set(now["checks"])):
        raise InputError(
            f"cannot resume {path}: it has checks that were not asked for, such as {missing[0]}; "
            "ask for at least the same ones"
        )
    results: dict[str, tuple[Outcome, ...]] = {}
    for entry in earlier["outcomes"]:
        name = entry["check"]
        if name not in earlier["checks"] or not within(entry["name"], name):
            raise InputError(f"cannot resume {path}: it has an outcome {entry['name']!r} of no check")
        results[name] = (*results.get(name, ()), _outcome(entry))
    kept = {
        name: outcomes
        for name, outcomes in results.items()
        if all(outcome.status is not Status.ERROR for outcome in outcomes)
    }
    return dataclasses.replace(run, results=kept, started=earlier["started"], seconds=earlier["seconds"])


def _determinants(read: dict[str, Any]) -> dict[str, object]:
    """Return what the outcomes of a document depend on."""
    fields = ("package_version", "fingerprint", "level", "seed")
    return {**{field: read[field] for field in fields}, **read["environment"]}


def read(path: Path, remedy: str) -> dict[str, Any]:
    """Read a file that conforms to the schema.

    Parameters
    ----------
    path : Path
    remedy : str
        What to give instead of a file that does not.

    Raises
    ------
    InputError
        If it cannot be read, or is no such document.
    """
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # ships no types
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]  # ships no types

    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; {remedy}") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); {remedy}") from error
    fault = best_match(Draft202012Validator(schema()).iter_errors(content))
    if fault is not None:
        raise InputError(
            f"{path} is no report of version {VERSION}: at {fault.json_path}, {fault.message[:200]}; "
            f"{remedy}"
        )
    return content


def _outcome(entry: dict[str, Any]) -> Outcome:
    fields = {field.name: entry[field.name] for field in dataclasses.fields(Outcome)}
    margin = math.nan if entry["margin"] is None else float(entry["margin"])
    return Outcome(**fields | {"status": Status(entry["status"]), "margin": margin})

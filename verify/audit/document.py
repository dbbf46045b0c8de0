"""A result as data: what the JSON holds, and what all tables, plots and reports are drawn from."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reference.validation import Array
from verify.audit.contract import Norm, Verdict
from verify.audit.engine import Result, corner, forecast, point
from verify.contract import Outcome, Status

VERSION = 1
"""Of the schema; it grows with every change that a reader could trip over."""

Entry = Mapping[str, Any]


def entry(result: Result, *, place: int, expected: Verdict = Verdict.CERTIFIED) -> Entry:
    """Return one audit as what ``json.dumps(..., allow_nan=False)`` accepts; see docs/audit.md."""
    subject, demand, progress = result.subject, result.demand, result.progress
    error = None
    if result.exact_error is not None and result.exact_rounding is not None:
        error = {
            "error": float(np.abs(result.exact_error).max()),
            "rounding": float(result.exact_rounding.max()),
        }
    total = forecast(progress.interval, subject.declared, subject.slices, demand)
    more = max(0.0, total - progress.count)
    return {
        "name": subject.name,
        "title": subject.title,
        "place": place,
        "verdict": result.verdict.value,
        "expected": expected.value,
        "reason": result.reason,
        "batch": subject.batch,
        "samples": progress.count,
        "calls": progress.calls,
        "seconds": round(progress.seconds, 3),
        "seed": result.seed,
        "given_law": subject.given_law,
        "demand": {
            "epsilon": demand.epsilon,
            "relative": demand.relative,
            "norm": demand.norm.value,
            "alpha": demand.alpha,
            "limit": demand.limit,
        },
        "alarm": {"level": demand.alarm, "log_capital": progress.alarm.log_highest},
        "exact": error,
        "forecast_more": more if result.verdict is Verdict.UNDECIDED and math.isfinite(more) else None,
        "blocks": [_block(result, name) for name in subject.shapes],
    }


def _block(result: Result, name: str) -> Entry:
    subject, interval, split = (
        result.subject,
        result.progress.interval,
        result.subject.decomposition,
    )
    part = subject.slices[name]
    wanted, declared = (np.asarray(b[name]).reshape(-1) for b in (split.wanted, split.declared))
    low, high = corner(interval, subject.declared, part)
    size = float(np.linalg.norm(wanted)) or 1.0
    trace = (
        *result.progress.trace[name][:-1],
        point(subject, result.demand, interval, name),
    )
    infinite = interval.count == 0
    return {
        "name": name,
        "shape": list(subject.shapes[name]),
        "wanted": _norms(wanted),
        "declared": _norms(declared),
        "length_ratio": float(np.linalg.norm(declared)) / size,
        "cosine": _cosine(declared, wanted),
        "terms": [
            {
                "name": term.name,
                **_norms(np.asarray(term.blocks[name])),
                "relative": float(np.linalg.norm(term.blocks[name])) / size,
                "along": float(np.asarray(term.blocks[name]).reshape(-1) @ wanted) / size**2,
            }
            for term in split.terms
        ],
        "observed": _norms(interval.centre[part]),
        "observed_cosine": _cosine(interval.centre[part], wanted),
        "deviation": _norms((interval.centre - subject.declared)[part]),
        "bias_low": _norms(low),
        "bias_bound": None if infinite else _norms(high),
        "bias_bound_relative": None if infinite else _relative(high, declared),
        "trace": []
        if infinite
        else [[p.count, p.deviation, p.low, p.bound, p.along, p.width] for p in trace],
    }


def _norms(vector: Array) -> dict[str, float]:
    return {
        Norm.EUCLIDEAN.value: float(np.sqrt((vector * vector).sum())),
        Norm.MAXIMUM.value: float(np.abs(vector).max(initial=0.0)),
    }


def _relative(high: Array, declared: Array) -> dict[str, float | None]:
    sizes = _norms(declared)
    return {norm: value / sizes[norm] if sizes[norm] else None for norm, value in _norms(high).items()}


def _cosine(a: Array, b: Array) -> float | None:
    sizes = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / sizes if sizes else None


def document(
    entries: Sequence[Entry], *, command: str, seed: int, level: str, asked: int, fingerprint: str
) -> Entry:
    """Return a session of audits; complete if it has as many as were asked for."""
    return {
        "schema": "pbrl-audit",
        "version": VERSION,
        "command": command,
        "seed": seed,
        "level": level,
        "fingerprint": fingerprint,
        "complete": len(entries) == asked,
        "audits": list(entries),
    }


def dumps(plain: Entry) -> str:
    """Return it as JSON text."""
    return json.dumps(plain, indent=1, allow_nan=False) + "\n"


def as_expected(audit: Entry) -> bool:
    """Whether the verdict is the expected one."""
    return bool(audit["verdict"] == audit["expected"])


def outcome(audit: Entry, name: str) -> Outcome:
    """An audit's entry as the outcome of a check; its margin is the worst bound over what is allowed."""
    norm = audit["demand"]["norm"]
    margins, where = [], []
    for block in audit["blocks"]:
        if block["bias_bound"] is None:
            continue
        size = block["declared"][norm] if audit["demand"]["relative"] else 1.0
        margins.append(block["bias_bound"][norm] / (audit["demand"]["epsilon"] * (size or 1.0)))
        where.append(block["name"])
    worst = max(range(len(margins)), key=margins.__getitem__) if margins else -1
    return Outcome(
        name=name,
        title=audit["title"],
        status=Status.AS_EXPECTED if as_expected(audit) else Status.DEVIATION,
        margin=margins[worst] if margins else math.nan,
        instance=f"block {where[worst]}" if margins else "",
        instances=audit["samples"],
        seconds=audit["seconds"],
        detail=f"{audit['verdict']}: {audit['reason']}",
        verdict=audit["verdict"],
    )

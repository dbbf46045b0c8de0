r"""Verdicts on the claims of an experiment, from its series alone.

A claim that one method ends above another is judged by the differences of their final values, seed by
seed; a claim that a gap vanishes by those of (final / largest gap) and its threshold.  All claims of one
place, a setting and a source, are corrected together, each test by Holm.  A verdict needs both tests::

    holds       both reject at 5 % after the correction, in the direction of the claim
    reversed    both reject, in the other direction (of a gap: "stays")
    undecided   otherwise
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reference.validation import Array
from verify.experiments.contract import Above, Claim, Data, Series, Vanishes
from verify.experiments.paired import LEVEL, Paired, holm, paired

HOLDS, REVERSED, STAYS, UNDECIDED = "holds", "reversed", "stays", "undecided"


@dataclass(frozen=True)
class Finding:
    """A claim and what came of it.

    Attributes
    ----------
    claim : Claim
    test : Paired
        Of upper minus lower; of the threshold minus final over largest gap.
    p_t, p_rank : float
        After the correction.
    verdict : str
    """

    claim: Claim
    test: Paired
    p_t: float
    p_rank: float
    verdict: str

    def document(self) -> dict[str, Any]:
        """As JSON; infinite effects, of differences that are all equal, as null."""
        test = asdict(self.test)
        if abs(self.test.effect) == float("inf"):
            test["effect"] = None
        return {
            "kind": type(self.claim).__name__.lower(),
            **asdict(self.claim),
            "test": test,
            "holm_p_t": self.p_t,
            "holm_p_rank": self.p_rank,
            "verdict": self.verdict,
        }


def differences(claim: Claim, data: Data) -> Array:
    """Numbers whose mean a claim is about, one per seed: positive if it is so."""
    if isinstance(claim, Above):
        return np.asarray(data[claim.upper].tail(claim.measure) - data[claim.lower].tail(claim.measure))
    series = data[claim.series]
    ratio = series.tail(claim.measure) / series.values[claim.measure].max(axis=0)
    return np.asarray(claim.threshold - ratio)


def judge(claims: Sequence[Claim], data: Data) -> tuple[Finding, ...]:
    """Judge claims, in their order."""
    tests = [paired(differences(claim, data)) for claim in claims]
    by_place: dict[str, list[int]] = {}
    for i, claim in enumerate(claims):
        by_place.setdefault(claim.place, []).append(i)
    found: dict[int, Finding] = {}
    for members in by_place.values():
        by_t = holm([tests[i].p_t for i in members])
        by_rank = holm([tests[i].p_rank for i in members])
        for i, p_t, p_rank in zip(members, by_t, by_rank, strict=True):
            found[i] = Finding(
                claims[i], tests[i], p_t, p_rank, _verdict(claims[i], tests[i], p_t, p_rank)
            )
    return tuple(found[i] for i in range(len(claims)))


def _verdict(claim: Claim, test: Paired, p_t: float, p_rank: float) -> str:
    if max(p_t, p_rank) >= LEVEL:
        return UNDECIDED
    if test.mean > 0.0:
        return HOLDS
    return STAYS if isinstance(claim, Vanishes) else REVERSED


def table(findings: Sequence[Finding], places: Sequence[str]) -> str:
    """Verdicts as Markdown: a row per place, a column per claim."""
    names = list(dict.fromkeys(f.claim.name for f in findings if f.claim.place in places))
    cells = {(f.claim.place, f.claim.name): _cell(f) for f in findings}
    rows = [
        [place.rsplit("/", 1)[0], *(cells.get((place, name), "") for name in names)] for place in places
    ]
    return markdown(["setting", *names], rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    lines.insert(1, "|" + "---|" * len(head))
    return "\n".join(lines)


def _cell(finding: Finding) -> str:
    test, claim = finding.test, finding.claim
    if isinstance(claim, Vanishes):
        return f"{finding.verdict} ({100.0 * (claim.threshold - test.mean):.1f} %)"
    return f"{finding.verdict} ({test.mean:+.3g})"


def finals(data: Data, measures: Sequence[str], setting: str) -> str:
    """Final values of a setting as Markdown, with the length of the runs and how flat they end.

    A cell is the mean over seeds and its standard error.  ``still moves`` is the change of the first
    measure's mean from the second last to the last fifth of the run, in percent of its range.
    """
    rows = []
    own = [series for series in data.values() if series.key.rsplit("/", 2)[0] == setting]
    measures = [name for name in measures if any(name in series.values for series in own)]
    for series in own:
        row = [series.key.split("/", 1)[1], _spelled(series), f"{series.iterations[-1]:,}"]
        row += [f"{series.steps[-1]:,}" if series.steps[-1] else ""]
        for measure in measures:
            if measure in series.values:
                last = series.tail(measure)
                row.append(f"{last.mean():.4g} ± {last.std(ddof=1) / len(last) ** 0.5:.2g}")
            else:
                row.append("")
        rows.append([*row, f"{100.0 * series.drift(measures[0]):.1f} %"])
    return markdown(
        ["run", "parameters", "iterations", "environment steps", *measures, "still moves"], rows
    )


def _spelled(series: Series) -> str:
    hidden = {"gamma", "tau", "rho", "horizon", "batch"}
    return ", ".join(
        f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}"
        for k, v in series.parameters.items()
        if k not in hidden
    )

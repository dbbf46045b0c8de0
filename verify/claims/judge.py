"""Judges the forms of a claim, and compares the verdicts with the ledger."""

import importlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

from verify.claims import exact
from verify.claims.contract import (
    PLANTED,
    CertificateError,
    Claim,
    Fault,
    Form,
    Margin,
    PremiseError,
    Trials,
    Verdict,
)
from verify.claims.exact.steps import working
from verify.contract import Context, Outcome, Status

LEDGER = Path(__file__).with_name("ledger.json")


@dataclass(frozen=True)
class Judgement:
    """A verdict with its evidence.

    Attributes
    ----------
    verdict : Verdict
    ratio : float
        Tightest lhs / rhs that was seen; ``nan`` without trials.
    where : str
        Its instance, or the certificate.
    instances : int
        How many met the premises.
    detail : str
    """

    verdict: Verdict
    ratio: float
    where: str
    instances: int
    detail: str


def judge(form: Form, context: Context) -> Judgement:
    """Judge one form of a claim.

    Raises
    ------
    CertificateError
        If a refutation or a proof step does not verify.
    PremiseError
        If an instance does not meet a premise that it was made to meet.
    """
    if form.untestable:
        return Judgement(Verdict.UNTESTABLE, math.nan, "", 0, form.untestable)
    if form.refutations:
        for refutation in form.refutations:
            content = exact.load(refutation.certificate)
            refutation.verify(content)
            working(content)
        names = ", ".join(refutation.certificate for refutation in form.refutations)
        return Judgement(Verdict.REFUTED, math.nan, names, len(form.refutations), _sides(form))
    for proof in form.proofs:
        proof.verify()
    tried = () if form.trials is None else form.trials(context)
    margins = [margin for margin in tried if margin.informative]
    worst = max(margins, key=_order, default=None)
    if worst is not None and worst.violated:
        detail = f"{worst.lhs:.9g} <= {worst.rhs:.9g} fails beyond the rounding of {worst.tolerance:.1e}"
        return Judgement(Verdict.VIOLATED, worst.ratio, worst.where, len(margins), detail)
    if form.proofs and not form.by_hand:
        verdict = Verdict.PROVED
    else:
        verdict = Verdict.VACUOUS if worst is None else Verdict.SURVIVED
    ratio, where = (math.nan, "") if worst is None else (worst.ratio, worst.where)
    return Judgement(verdict, ratio, where, len(margins), _evidence(form, verdict, margins))


def _evidence(form: Form, verdict: Verdict, margins: list[Margin]) -> str:
    """How strong the search was, also beside a proof; then what a machine and a hand have checked."""
    if verdict is Verdict.VACUOUS:
        return "no instance met the premises"
    parts = [strength(margins)] if margins else []
    if form.proofs:
        parts.append("checked by machine: " + "; ".join(proof.step for proof in form.proofs))
    if form.by_hand:
        parts.append(f"by hand: {form.by_hand}")
    return "; ".join(parts)


def strength(margins: list[Margin]) -> str:
    """Which planted errors of the constant the same instances notice."""
    noticed = [share for share in PLANTED if any(margin.planted(share) for margin in margins)]
    missed = [share for share in PLANTED if share not in noticed]
    parts = []
    if noticed:
        parts.append("notices a constant wrong by " + ", ".join(f"{share:.0%}" for share in noticed))
    if missed:
        parts.append("would miss " + ", ".join(f"{share:.0%}" for share in missed))
    return "; ".join(parts)


def _sides(form: Form) -> str:
    contents = [exact.load(refutation.certificate) for refutation in form.refutations]
    return "; ".join(f"{content['lhs']} against {content['rhs']}" for content in contents)


def _order(margin: Margin) -> tuple[bool, float]:
    return (margin.violated, margin.ratio)


def expected() -> dict[str, dict[str, str]]:
    """The ledger: verdicts by file and form."""
    ledger: dict[str, dict[str, str]] = json.loads(LEDGER.read_text(encoding="utf-8"))
    return ledger


def run(file: str, context: Context) -> tuple[Outcome, ...]:
    """Judge the claim of a file in all its forms, and its faults."""
    claim: Claim = importlib.import_module(f"verify.claims.{file}").CLAIM
    ledger = expected().get(file, {})
    forms = {"printed": claim.printed, "meant": claim.meant, "proved": claim.proved}
    outcomes = [
        _outcome(f"{file}.{name}", claim, form, context, ledger.get(name, "nothing"))
        for name, form in forms.items()
        if form is not None
    ]
    outcomes += [_fault(f"{file}.fault.{fault.name}", claim, fault, context) for fault in claim.faults]
    return tuple(outcomes)


def noticed(trials: Trials, context: Context) -> tuple[str, int, Margin | None]:
    """What trials first see to be wrong, if anything; after how many margins; and that margin.

    For what is wrong on purpose: it stops where :func:`judge` would go on.
    """
    made = 0
    try:
        for margin in trials(context):
            made += 1
            if margin.violated:
                return f"{margin.lhs:.9g} <= {margin.rhs:.9g} fails", made, margin
    except PremiseError as error:
        return f"a premise fails: {error}", made, None
    return "", made, None


def first_violation(file: str, context: Context) -> tuple[str, int]:
    """What the trials of a statement first see to be wrong, if anything, after how many margins.

    Those of its forms that are not refuted: what stands in the ledger rests on them.
    """
    claim: Claim = importlib.import_module(f"verify.claims.{file}").CLAIM
    total = 0
    for form in (claim.printed, claim.meant, claim.proved):
        if form is None or form.trials is None or form.refutations:
            continue
        found, made, margin = noticed(form.trials, context)
        total += made
        if found:
            where = "" if margin is None else f" on {margin.where}"
            return f"{claim.number}: {found}{where}", total
    return "", total


def _outcome(name: str, claim: Claim, form: Form, context: Context, expectation: str) -> Outcome:
    started = time.perf_counter()
    try:
        found = judge(form, context)
    except CertificateError as error:
        found = Judgement(Verdict.VIOLATED, math.nan, "", 0, f"a certificate does not verify: {error}")
    except PremiseError as error:
        found = Judgement(Verdict.VACUOUS, math.nan, "", 0, f"a premise fails: {error}")
    agrees = found.verdict.value == expectation
    remark = "" if agrees else f"the ledger expects {expectation}, not {found.verdict.value}. "
    return Outcome(
        name=name,
        title=f"{claim.number}, {claim.title}",
        status=Status.AS_EXPECTED if agrees else Status.DEVIATION,
        margin=found.ratio,
        instance=found.where,
        instances=found.instances,
        seconds=time.perf_counter() - started,
        detail=remark + found.detail,
        verdict=found.verdict.value,
    )


def _fault(name: str, claim: Claim, fault: Fault, context: Context) -> Outcome:
    started = time.perf_counter()
    found, tried, seen = noticed(fault.trials, context)
    return Outcome(
        name=name,
        title=f"{claim.number} with a fault: {fault.wrong}",
        status=Status.AS_EXPECTED if found else Status.DEVIATION,
        margin=math.nan if seen is None else seen.ratio,
        instance="" if seen is None else seen.where,
        instances=tried,
        seconds=time.perf_counter() - started,
        detail=f"{found}, as it must" if found else "no instance notices it",
    )

"""How verdicts come about, and that the ledger, the certificates and the exact arithmetic hold."""

import importlib
import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flint import fmpq
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.evaluation import evaluate, policy_gradient
from reference.problems.mdp import Mdp
from reference.regularizers import Quadratic
from verify.claims import exact, judge, lemma_02
from verify.claims.contract import (
    CertificateError,
    Claim,
    Fault,
    Form,
    Margin,
    PremiseError,
    Proof,
    Refutation,
    Verdict,
)
from verify.contract import Context, Level, Status
from verify.leaves import defining, leaves, names
from verify.mutants.mutant import imports
from verify.oracles.rational import DUALS, Dual, nearest, rational

QUICK = Context(Level.QUICK, 0)


def form(*margins: Margin, **parts: Any) -> Form:
    def trials(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
        yield from margins

    return Form(words="", formula="", trials=trials, **parts)


HOLDS, TIGHT, FAILS = (Margin(lhs, 1.0, 1e-12, f"lhs {lhs:g}") for lhs in (0.5, 1.0, 1.1))


def fail() -> None:
    raise CertificateError("the step is wrong")


def nothing(*arguments: object) -> None:
    """Verify without an objection."""


@pytest.mark.parametrize(
    ("judged", "verdict", "ratio"),
    [
        (form(HOLDS, TIGHT), Verdict.SURVIVED, 1.0),
        (form(HOLDS, FAILS, TIGHT), Verdict.VIOLATED, 1.1),
        (form(), Verdict.VACUOUS, math.nan),
        (form(HOLDS, proofs=(Proof("a step", nothing),)), Verdict.PROVED, 0.5),
        (form(FAILS, proofs=(Proof("a step", nothing),)), Verdict.VIOLATED, 1.1),
        (form(TIGHT, untestable="no constant is named"), Verdict.UNTESTABLE, math.nan),
        (form(TIGHT, refutations=(Refutation("L02_constant", nothing),)), Verdict.REFUTED, math.nan),
        (form(Margin(math.nan, 1.0, 1.0, "")), Verdict.VIOLATED, math.nan),
    ],
)
def test_verdicts(judged: Form, verdict: Verdict, ratio: float) -> None:
    found = judge.judge(judged, QUICK)
    assert found.verdict is verdict
    assert found.ratio == pytest.approx(ratio, nan_ok=True)


def test_margins_lost_in_rounding_do_not_count_unless_violated() -> None:
    lost = Margin(1.0, 2.0, 1e-2, "the tolerance hides an error of 1%")
    assert judge.judge(form(HOLDS, lost), QUICK).instances == 1
    assert judge.judge(form(lost), QUICK).verdict is Verdict.VACUOUS
    assert judge.judge(form(Margin(3.0, 2.0, 0.5, "")), QUICK).verdict is Verdict.VIOLATED


def test_a_proof_says_how_strong_its_trials_are() -> None:
    proved = form(TIGHT, proofs=(Proof("a step", nothing),))
    assert judge.judge(proved, QUICK).detail == (
        "notices a constant wrong by 1%, 10%, 50%; checked by machine: a step"
    )
    untried = form(proofs=(Proof("a step", nothing),))
    assert judge.judge(untried, QUICK).detail == "checked by machine: a step"


def test_a_step_by_hand_makes_no_proof() -> None:
    checked = Proof("a step", nothing)
    found = judge.judge(form(TIGHT, proofs=(checked,), by_hand="the limit"), QUICK)
    assert found.verdict is Verdict.SURVIVED
    assert found.detail.endswith("checked by machine: a step; by hand: the limit")


def test_certificates_and_proofs_must_verify() -> None:
    def refuse(content: dict[str, Any]) -> None:
        raise CertificateError(str(content["lhs"]))

    with pytest.raises(CertificateError, match="2"):
        judge.judge(form(refutations=(Refutation("L02_constant", refuse),)), QUICK)
    with pytest.raises(CertificateError, match="step"):
        judge.judge(form(HOLDS, proofs=(Proof("a step", fail),)), QUICK)


def test_a_premise_that_fails_is_no_verdict_and_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The form is VACUOUS, which no ledger expects; a fault is what a premise must catch."""

    def rough(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
        yield TIGHT
        raise PremiseError("V is not smooth")

    with pytest.raises(PremiseError):
        judge.judge(Form(words="", formula="", trials=rough), QUICK)
    assert judge.noticed(rough, QUICK) == ("a premise fails: V is not smooth", 1, None)
    broken = Form(words="", formula="", trials=rough, proofs=(Proof("a step", nothing),))
    claim = Claim("Lemma 0", "", "", broken, faults=(Fault("rough", "no smoothness", rough),))
    monkeypatch.setattr(lemma_02, "CLAIM", claim)
    form, fault = judge.run("lemma_02", QUICK)
    assert (form.verdict, form.status) == ("VACUOUS", Status.DEVIATION)
    assert form.detail.endswith("a premise fails: V is not smooth")
    assert fault.status is Status.AS_EXPECTED
    assert fault.detail == "a premise fails: V is not smooth, as it must"
    assert judge.first_violation("lemma_02", QUICK) == (
        "Lemma 0: a premise fails: V is not smooth",
        1,
    )


def test_the_first_violation_is_of_what_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuted forms are passed over; margins are counted up to the one that fails."""
    refuted = form(FAILS, refutations=(Refutation("L02_constant", nothing),))
    claim = Claim("Lemma 0", "", "", refuted, meant=form(HOLDS, TIGHT), proved=form(HOLDS, FAILS, TIGHT))
    monkeypatch.setattr(lemma_02, "CLAIM", claim)
    assert judge.first_violation("lemma_02", QUICK) == ("Lemma 0: 1.1 <= 1 fails on lhs 1.1", 4)
    monkeypatch.setattr(lemma_02, "CLAIM", Claim("Lemma 0", "", "", refuted, meant=form(HOLDS)))
    assert judge.first_violation("lemma_02", QUICK) == ("", 1)


def test_strength_is_what_planted_constants_show() -> None:
    assert judge.strength([HOLDS, TIGHT]) == "notices a constant wrong by 1%, 10%, 50%"
    assert judge.strength([Margin(0.95, 1.0, 1e-12, "")]) == (
        "notices a constant wrong by 10%, 50%; would miss 1%"
    )
    assert judge.strength([Margin(0.4, 1.0, 1e-12, "")]) == "would miss 1%, 10%, 50%"


@pytest.mark.parametrize(
    ("expectation", "status"),
    [("SURVIVED", Status.AS_EXPECTED), ("REFUTED", Status.DEVIATION), (None, Status.DEVIATION)],
)
def test_the_ledger_decides(
    expectation: str | None, status: Status, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A verdict that differs from the ledger is a deviation in either direction."""
    claim = Claim(number="Lemma 0", title="nothing", premise="", printed=form(TIGHT))
    monkeypatch.setattr(lemma_02, "CLAIM", claim)
    ledger = tmp_path / "ledger.json"
    ledger.write_text(json.dumps({"lemma_02": {} if expectation is None else {"printed": expectation}}))
    monkeypatch.setattr(judge, "LEDGER", ledger)
    (outcome,) = judge.run("lemma_02", QUICK)
    assert outcome.status is status
    assert outcome.verdict == "SURVIVED"


def test_a_fault_that_nothing_notices_is_a_deviation(monkeypatch: pytest.MonkeyPatch) -> None:
    def unnoticed(context: Context) -> Iterator[Margin]:  # noqa: ARG001 - the contract's signature
        yield TIGHT

    fault = Fault("unnoticed", "nothing", unnoticed)
    claim = Claim(number="Lemma 0", title="", premise="", printed=form(TIGHT), faults=(fault,))
    monkeypatch.setattr(lemma_02, "CLAIM", claim)
    outcome = judge.run("lemma_02", QUICK)[-1]
    assert outcome.name == "lemma_02.fault.unnoticed"
    assert outcome.status is Status.DEVIATION


def test_the_ledger_is_complete() -> None:
    """Every form of every claim has its expected verdict, and nothing else stands there."""
    claims = leaves("verify.claims", "CLAIM", Claim)
    assert set(claims) == set(defining("verify.claims", "CLAIM"))
    forms = {
        name: {form for form in ("printed", "meant", "proved") if getattr(claim, form) is not None}
        for name, claim in claims.items()
    }
    assert {name: set(entry) for name, entry in judge.expected().items()} == forms


def test_every_certificate_is_used_by_a_claim() -> None:
    """A file that nothing verifies would be decoration."""
    sources = "".join(path.read_text(encoding="utf-8") for path in exact.FOLDER.parent.rglob("*.py"))
    unused = {path.stem for path in exact.FOLDER.glob("*.json") if f'"{path.stem}"' not in sources}
    assert unused == set()


def test_the_constant_of_lemma_2_is_attained_exactly() -> None:
    content = exact.load(lemma_02.ATTAINED)
    lemma_02.attained(content)
    with pytest.raises(CertificateError):
        lemma_02.attained(content | {"rhs": "2/5"})
    with pytest.raises(CertificateError):
        lemma_02.attained(content | {"mdp": content["mdp"] | {"rho": ["1/3", "2/3"]}})
    with pytest.raises(CertificateError):
        lemma_02.attained(content | {"pi": [["0", "1"], ["1", "0"]]})
    # The equality holds for every gamma, so that this change alters neither side.
    lemma_02.attained(content | {"mdp": content["mdp"] | {"gamma": "1/3"}})


CLAIMS = leaves("verify.claims", "CLAIM", Claim)

FAULTS = [(name, fault) for name, claim in CLAIMS.items() for fault in claim.faults]


def test_at_least_forty_faults_are_planted_and_every_claim_has_its_own() -> None:
    """Statements never import each other (see the architecture), so no other check runs a fault."""
    assert len(FAULTS) >= 40
    for name, claim in CLAIMS.items():
        assert claim.faults, f"{name} plants no fault"


@pytest.mark.parametrize(("name", "fault"), FAULTS, ids=lambda part: getattr(part, "name", part))
def test_only_its_own_statement_runs_a_fault(name: str, fault: Fault) -> None:
    """Trials of a fault are made in the file of its statement, and nothing else checks by them."""
    module = fault.trials.__module__
    assert module == f"verify.claims.{name}" or module.startswith("verify.claims.trials.")
    others = [other.trials for owner, other in FAULTS if (owner, other) != (name, fault)]
    for claim in CLAIMS.values():
        forms = (claim.printed, claim.meant, claim.proved)
        others += [form.trials for form in forms if form is not None and form.trials is not None]
    assert all(fault.trials is not other for other in others)


def planted(claim: Claim) -> Claim:
    """The claim with its first fault in the place of the trials that its best form rests on."""
    for name in ("proved", "meant", "printed"):
        found = getattr(claim, name)
        if found is not None and found.trials is not None and not found.refutations:
            return replace(claim, **{name: replace(found, trials=claim.faults[0].trials)})
    raise AssertionError(f"{claim.number} has no form with trials that stands")


@pytest.mark.parametrize("name", CLAIMS)
def test_a_fault_planted_in_a_statement_is_seen_by_its_check_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With faults in all other statements its check sees none of them; with its own, it sees it.

    So for each statement there is a fault that its own check sees and no other statement's; and the
    matrix imports no statement at all.
    """
    for other, claim in CLAIMS.items():
        if other != name:
            module = importlib.import_module(f"verify.claims.{other}")
            monkeypatch.setattr(module, "CLAIM", planted(claim))
    assert judge.first_violation(name, QUICK)[0] == ""
    own = importlib.import_module(f"verify.claims.{name}")
    monkeypatch.setattr(own, "CLAIM", planted(CLAIMS[name]))
    assert judge.first_violation(name, QUICK)[0].startswith(CLAIMS[name].number)
    rows = (f"verify.crosscheck.quantities.{row}" for row in names("verify.crosscheck.quantities"))
    assert not any(imports(row, own.__name__) for row in rows)


def test_proofs_rest_on_proofs() -> None:
    """What a PROVED form uses of other statements is PROVED in one of their forms."""
    ledger = judge.expected()
    proved = {claim.number for name, claim in CLAIMS.items() if "PROVED" in ledger[name].values()}
    for name, claim in CLAIMS.items():
        if "PROVED" in ledger[name].values():
            assert {*claim.inherits} <= proved, name


def test_what_was_tried_is_written_down() -> None:
    for name, claim in CLAIMS.items():
        assert len(claim.tried) > 40, name


def test_the_ledger_shows_statements_then_evidence() -> None:
    from rich.console import Console

    from verify.claims.group import ledger

    console = Console(width=140, record=True, file=io.StringIO())
    console.print(ledger([*judge.run("lemma_02", QUICK), *judge.run("eq_b10", QUICK)]))
    lines = console.export_text().splitlines()
    (row,) = (line for line in lines if line.startswith("│ Lemma 2, gradient dominance"))
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["REFUTED", "", "PROVED"]
    (row,) = (line for line in lines if line.startswith("│ (B.9)-(B.10)"))
    assert [cell.strip() for cell in row.split("│")[2:5]] == ["PROVED", "", ""]
    assert any("L02_constant" in line for line in lines)
    assert any("5 of 5 planted faults noticed" in line for line in lines)


@pytest.mark.parametrize("name", ["L02_constant", "L02_rho", "L02_class"])
@pytest.mark.parametrize("field", ["lhs", "rhs", "tau"])
def test_an_altered_certificate_is_refused(name: str, field: str) -> None:
    (refutation,) = (r for r in lemma_02.CLAIM.printed.refutations if r.certificate == name)
    content = exact.load(name)
    refutation.verify(content)
    with pytest.raises(CertificateError):
        refutation.verify(content | {field: "7/5"})


def test_floats_are_no_certificates() -> None:
    with pytest.raises(CertificateError, match="no exact rational"):
        exact.fraction(0.5)
    with pytest.raises(CertificateError, match="no exact rational"):
        exact.fraction("1/0")


@given(st.integers(0, 10_000))
@settings(max_examples=15, derandomize=True, deadline=None)
def test_the_exact_policy_gradient_is_the_derivative(seed: int) -> None:
    """Against dual numbers through the linear system, and against the float side."""
    generator = np.random.default_rng(seed)
    weights = generator.integers(1, 9, (3, 2, 3))
    P = [[[f"{k}/{sum(row)}" for k in row.tolist()] for row in state] for state in weights]
    rewards = generator.integers(-5, 6, (3, 2)).tolist()
    content = {"P": P, "r": rewards, "gamma": "2/3", "rho": ["1/6", "1/3", "1/2"]}
    mdp = exact.ExactMdp.parse(content, "1/2")
    pi_sa = exact.fractions([["1/4", "3/4"], ["2/5", "3/5"], ["1/2", "1/2"]])
    gradient = mdp.policy_gradient(pi_sa)
    direction = generator.integers(-3, 4, (3, 2))

    def lift(values: exact.Rationals, slopes: exact.Rationals) -> Any:
        pairs = zip(values.flat, slopes.flat, strict=True)
        return np.array([Dual(a, fmpq(int(b))) for a, b in pairs], dtype=object).reshape(values.shape)

    zeros = np.zeros(1, dtype=int)
    pi = lift(pi_sa, direction)
    P_sat = lift(mdp.P_sat, np.zeros(mdp.P_sat.shape, dtype=int))
    r_sa = lift(mdp.r_sa, np.zeros(mdp.r_sa.shape, dtype=int))
    half, gamma, tau = (lift(np.array([q]), zeros)[0] for q in (fmpq(1, 2), mdp.gamma, mdp.tau))
    c_s = (pi * r_sa).sum(axis=1) - tau * half * (pi * pi).sum(axis=1)
    v_s = DUALS.solve(np.einsum("sa,sat->st", pi, P_sat), gamma, c_s)
    slope = sum((rho * v.b for rho, v in zip(mdp.rho_s, v_s, strict=True)), start=fmpq(0))
    assert slope == exact.total(gradient * direction)

    floats = Mdp(
        np.vectorize(nearest, otypes=[float])(mdp.P_sat),
        np.array(rewards, dtype=float),
        2.0 / 3.0,
        np.array([1 / 6, 1 / 3, 1 / 2]),
        0.5,
        Quadratic(),
    )
    own = policy_gradient(evaluate(floats, np.vectorize(nearest, otypes=[float])(pi_sa)))
    np.testing.assert_allclose(own, np.vectorize(nearest, otypes=[float])(gradient), rtol=1e-12)
    assert rational(0.5) == fmpq(1, 2)

"""The statements of the paper as the page shows them: a run's verdicts beside what the claims say.

Verdicts and what was seen come from the run; words, formulas, derivations and certificates come from
:mod:`verify.claims`.  Counterexamples are verified here once more before they are drawn.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from verify.claims import exact
from verify.claims.contract import CertificateError, Claim
from verify.claims.contract import Form as Claimed
from verify.claims.exact.steps import Step, working
from verify.leaves import defining
from verify.page.spelling import NOT_RUN

PACKAGE = "verify.claims"

KINDS = (
    ("Lemmas and theorems", r"(Lemma|Theorem) (?P<number>\d+)"),
    ("Assumptions", r"Assumption (?P<number>\d+)"),
    ("Numbered equations", r"\((?P<letter>[A-Z]?)\.?(?P<number>\d+)(\.(?P<sub>\d+))?"),
    ("Further claims", r""),
)
"""Parts of the ledger, each with a pattern of the numbers that belong to it."""

LABELS = {"printed": "As printed", "meant": "As meant", "proved": "As proved"}


@dataclass(frozen=True)
class Certificate:
    """A certificate: its instance in words and numbers, its two sides, and the way between them.

    Attributes
    ----------
    name : str
    content : mapping
    refutes : bool
        Whether it is a counterexample; else it shows that a bound is attained, or cannot be better.
    steps : tuple of Step
        The lines between the data and the two sides, verified.
    error : str
        Why it does not verify; empty if it does.
    """

    name: str
    content: Mapping[str, Any]
    refutes: bool
    steps: tuple[Step, ...]
    error: str


@dataclass(frozen=True)
class Form:
    """A form of a statement with what came of it.

    Attributes
    ----------
    label : str
    words, formula : str
        As the claim has them.
    outcome : mapping or None
        The run's; ``None`` if the run did not judge it.
    proofs : tuple of str
        What steps establish that a machine has checked.
    textbook : tuple of str
        Facts that are taken from textbooks.
    by_hand : str
        The step that no machine has checked; empty if there is none.
    """

    label: str
    words: str
    formula: str
    outcome: Mapping[str, Any] | None
    proofs: tuple[str, ...]
    textbook: tuple[str, ...]
    by_hand: str

    @property
    def verdict(self) -> str:
        """The run's verdict, or that there is none."""
        return str(self.outcome["verdict"] or NOT_RUN) if self.outcome is not None else NOT_RUN

    @property
    def strength(self) -> str:
        """What the search would have noticed, as the run says it before it names what was proved."""
        detail = str(self.outcome["detail"]) if self.outcome is not None else ""
        return re.split("; (?:checked by machine|by hand): ", detail)[0]


@dataclass(frozen=True)
class Statement:
    """One statement with all that is known of it.

    Attributes
    ----------
    name : str
        The claim's file: its name in the run and on the page.
    claim : Claim
    docstring : str
        Of its file: the derivation.
    forms : mapping of str to Form
        By ``printed``, ``meant``, ``proved``; those that there are.
    certificates : tuple of Certificate
    faults : tuple of mappings
        Outcomes of the faults planted in it.
    errors : tuple of mappings
        Outcomes of a check that could not be carried out.
    uses : tuple of (str, str or None)
        Numbers of the statements that its proof uses, with their names on the page.
    """

    name: str
    claim: Claim
    docstring: str
    forms: Mapping[str, Form]
    certificates: tuple[Certificate, ...]
    faults: tuple[Mapping[str, Any], ...]
    errors: tuple[Mapping[str, Any], ...]
    uses: tuple[tuple[str, str | None], ...]

    @property
    def best(self) -> Form:
        """The form that one may rely on: as proved, or else as meant, or else as printed."""
        return list(self.forms.values())[-1]

    @property
    def tried(self) -> Form:
        """The last form with trials: what the ledger's ratio and instances are of."""
        tried = (
            form
            for form in self.forms.values()
            if form.outcome is not None and form.outcome["margin"] is not None
        )
        return [self.best, *tried][-1]

    @property
    def seconds(self) -> float:
        """Time spent on all forms and faults."""
        judged = (form.outcome for form in self.forms.values() if form.outcome)
        return sum(float(outcome["seconds"]) for outcome in (*judged, *self.faults))

    @property
    def deviates(self) -> bool:
        """Whether anything is not as the ledger of expected verdicts has it."""
        outcomes = (form.outcome for form in self.forms.values() if form.outcome)
        found = (*outcomes, *self.faults)
        return bool(self.errors) or any(outcome["status"] != "as expected" for outcome in found)


def statements(outcomes: Sequence[Mapping[str, Any]]) -> tuple[tuple[str, tuple[Statement, ...]], ...]:
    """Return the parts of the ledger, each with its statements in the paper's order.

    Parameters
    ----------
    outcomes : sequence of mappings
        Those of the group ``claims``; statements without any are left out.
    """
    modules = {
        name: importlib.import_module(f"{PACKAGE}.{name}")
        for name in defining(PACKAGE, "CLAIM")
        if any(outcome["check"] == name for outcome in outcomes)
    }
    claims: dict[str, Claim] = {name: module.CLAIM for name, module in modules.items()}
    numbers = {name: claim.number for name, claim in claims.items()}
    made = [_statement(name, module, outcomes, numbers) for name, module in modules.items()]
    parts = []
    for kind, (title, _) in enumerate(KINDS):
        members = [statement for statement in made if _place(statement.claim.number)[0] == kind]
        if members:
            members.sort(key=lambda statement: (_place(statement.claim.number), statement.name))
            parts.append((title, tuple(members)))
    return tuple(parts)


def _place(number: str) -> tuple[int, str, int, int]:
    """Where a statement of this number stands: its part, then letter and numbers."""
    for kind, (_, pattern) in enumerate(KINDS):
        if found := re.match(pattern, number):
            part = found.groupdict(default="")
            digits, below = (int(part.get(name) or 0) for name in ("number", "sub"))
            return kind, part.get("letter", ""), digits, below
    raise AssertionError("the last pattern fits every number")


def _statement(
    name: str, module: Any, outcomes: Sequence[Mapping[str, Any]], numbers: Mapping[str, str]
) -> Statement:
    claim: Claim = module.CLAIM
    own = {outcome["name"]: outcome for outcome in outcomes if outcome["check"] == name}
    claimed = {"printed": claim.printed, "meant": claim.meant, "proved": claim.proved}
    return Statement(
        name=name,
        claim=claim,
        docstring=module.__doc__,
        forms={
            key: _form(LABELS[key], form, own.get(f"{name}.{key}"))
            for key, form in claimed.items()
            if form is not None
        },
        certificates=_certificates(claim, inspect.getsource(module)),
        faults=tuple(outcome for key, outcome in own.items() if key.startswith(f"{name}.fault.")),
        errors=tuple(outcome for outcome in own.values() if outcome["status"] == "error"),
        uses=tuple((number, _file_of(number, numbers, name)) for number in claim.inherits),
    )


def _file_of(number: str, numbers: Mapping[str, str], own: str) -> str | None:
    """Return the file of a statement, or of the first of its parts, other than the one that asks."""
    parts = (
        name
        for name, other in numbers.items()
        if name != own and (other == number or other.startswith(f"{number}("))
    )
    return min(parts, default=None)


def _form(label: str, form: Claimed, outcome: Mapping[str, Any] | None) -> Form:
    proofs = tuple(proof.step for proof in form.proofs)
    return Form(label, form.words, form.formula, outcome, proofs, form.textbook, form.by_hand)


def _certificates(claim: Claim, source: str) -> tuple[Certificate, ...]:
    """Return the counterexamples of a claim, then the other certificates that its file names."""
    forms = [form for form in (claim.printed, claim.meant, claim.proved) if form is not None]
    refuting = {
        refutation.certificate: refutation.verify for form in forms for refutation in form.refutations
    }
    stored = {path.stem for path in exact.FOLDER.glob("*.json")}
    named = [name for name in re.findall(r'"(\w+)"', source) if name in stored]
    return tuple(_certificate(name, refuting.get(name)) for name in dict.fromkeys([*refuting, *named]))


def _certificate(name: str, verify: Callable[[dict[str, object]], None] | None) -> Certificate:
    """Verify a certificate once more, as far as this can be done alone."""
    content = exact.load(name)
    try:
        if verify is not None:
            verify(content)
        return Certificate(name, content, verify is not None, working(content), "")
    except CertificateError as error:
        return Certificate(name, content, verify is not None, (), str(error))

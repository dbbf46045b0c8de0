"""The page as a file: valid, self-contained, escaped, complete."""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import html5lib
import pytest
from html5lib.html5parser import ParseError

from reference.errors import InputError
from tests.verify.page.conftest import HOSTILE, outcome
from verify.claims import exact, judge
from verify.claims.contract import CertificateError, Claim
from verify.claims.exact.steps import working
from verify.contract import Context, Level, Outcome, Status
from verify.leaves import leaves
from verify.page import page as module
from verify.page.certificates import chain, data
from verify.page.contract import Material, read_json
from verify.page.mathematics import mathml, prose
from verify.page.page import page
from verify.report import document, junit
from verify.report.run import Run

CLAIMS = leaves("verify.claims", "CLAIM", Claim)
HTML = "{http://www.w3.org/1999/xhtml}"


@pytest.fixture(scope="module")
def tree(html: str) -> ET.Element:
    """As a parser that forgives nothing reads it."""
    parsed: ET.Element = html5lib.HTMLParser(strict=True).parse(html)
    return parsed


def all_of(tree: ET.Element, *names: str) -> Iterator[ET.Element]:
    return (found for name in names for found in tree.iter(f"{HTML}{name}"))


def text_of(element: ET.Element) -> str:
    return re.sub(r"\s+", " ", "".join(element.itertext())).strip()


def by_id(tree: ET.Element, name: str) -> ET.Element:
    (found,) = (element for element in tree.iter() if element.get("id") == name)
    return found


def test_the_parser_is_strict() -> None:
    with pytest.raises(ParseError):
        html5lib.HTMLParser(strict=True).parse("<!DOCTYPE html><title>x</title><p><div></p>")


def test_nothing_comes_from_elsewhere(tree: ET.Element, html: str) -> None:
    assert next(all_of(tree, "link"), None) is not None
    for element in tree.iter():
        for name, value in element.attrib.items():
            if name in ("src", "href", "data", "poster", "srcset", "action"):
                assert value.startswith(("#", "data:")), value
    assert not list(all_of(tree, "iframe", "object", "embed", "base", "img", "meta[http-equiv]"))
    assert not [script for script in all_of(tree, "script") if script.get("src")]
    assert not re.search(r"@import|url\((?!['\"]?(#|data:))", html)
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", html))
    assert {address for address in addresses if not address.startswith("http://www.w3.org/")} == set()


def test_links_lead_to_what_is_there_once(tree: ET.Element) -> None:
    names = Counter(name for element in tree.iter() if (name := element.get("id")))
    assert {name for name, times in names.items() if times > 1} == set()
    for link in all_of(tree, "a"):
        assert str(link.get("href"))[1:] in names, link.get("href")
    for element in tree.iter():
        for name in ("aria-labelledby", "for"):
            if value := element.get(name):
                assert value in names


def test_headings_form_an_outline(tree: ET.Element) -> None:
    levels = [
        int(element.tag[-1])
        for element in tree.iter()
        if re.fullmatch(rf"{HTML}h[1-6]", str(element.tag))
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_landmarks_and_labels(tree: ET.Element) -> None:
    for landmark in ("main", "nav", "header"):
        assert next(all_of(tree, landmark), None) is not None, landmark
    assert next(all_of(tree, "html")).get("lang") == "en"
    labels = {label.get("for") for label in all_of(tree, "label")}
    assert {control.get("id") for control in all_of(tree, "input", "select")} <= labels
    for table in all_of(tree, "table"):
        assert next(all_of(table, "th"), None) is not None
        assert all(head.get("scope") for head in all_of(table, "th"))
    for element in tree.iter():
        if element.get("role") in ("group", "img"):
            assert element.get("aria-label")


def test_every_formula_is_well_formed(html: str) -> None:
    formulas = re.findall(r"<math.*?</math>", html, re.S)
    assert len(formulas) > 1000
    for formula in formulas:
        assert "\\" not in "".join(ET.fromstring(formula).itertext())


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_the_formulas_of_every_statement_can_be_read(name: str) -> None:
    claim = CLAIMS[name]
    for form in (claim.printed, claim.meant, claim.proved):
        if form is not None:
            assert len(ET.fromstring(mathml(form.formula, block=True))) > 0


def test_the_ledger_has_every_verdict(tree: ET.Element) -> None:
    rows = {}
    for row in all_of(tree, "tr"):
        if row.get("data-printed"):
            link = next(all_of(row, "a"))
            rows[str(link.get("href"))[1:]] = row
    ledger = judge.expected()
    assert set(rows) == set(ledger)
    for name, row in rows.items():
        cells = {cell.get("data-label"): text_of(cell) for cell in all_of(row, "td")}
        for form in ("printed", "meant", "proved"):
            shown = cells[f"As {form}"]
            assert shown.endswith(ledger[name][form].lower()) if form in ledger[name] else shown == "–"
        assert cells["Instances"] == "3"
        assert row.get("data-printed") == ledger[name]["printed"].lower()


@pytest.mark.parametrize("name", sorted(CLAIMS))
def test_a_statement_is_there_in_full(tree: ET.Element, name: str) -> None:
    claim, shown = CLAIMS[name], text_of(by_id(tree, name))
    forms = [form for form in (claim.printed, claim.meant, claim.proved) if form is not None]
    assert claim.number.replace("-", "–") in shown
    for form in forms:
        assert prose(form.words).striptags() in shown
        for refutation in form.refutations:
            certificate = by_id(tree, f"{name}-{refutation.certificate}")
            assert "recomputed in exact rational arithmetic" in text_of(certificate)
            assert list(all_of(certificate, "li"))
    assert "In full" in shown
    assert ("On the printed proof" in shown) == bool(claim.remark)
    assert shown.count("noticed on") >= len(claim.faults)
    for form in forms:
        for step in form.proofs:
            assert prose(step.step).striptags() in shown


def test_text_is_escaped_and_failures_are_shown(tree: ET.Element, html: str) -> None:
    assert "<script>alert" not in html
    shown = text_of(by_id(tree, "run"))
    assert HOSTILE in shown
    for name in ("crosscheck.broken", "mutants.survivor", "crosscheck.value.grad_x.series"):
        assert name in shown
    assert "3 outcomes of" in text_of(by_id(tree, "ledger"))


def test_sections_show_data_or_name_the_command(tree: ET.Element) -> None:
    assert "0.01 (3) #1" in text_of(by_id(tree, "crosscheck"))
    assert "an own route" in text_of(by_id(tree, "crosscheck"))
    assert "1 of 2 are seen" in text_of(by_id(tree, "mutants"))
    assert "python -m verify converge" in text_of(by_id(tree, "converge"))
    assert "no data" in text_of(by_id(tree, "converge"))
    assert "other.check" in text_of(by_id(tree, "run"))


def test_the_page_is_the_same_each_time(material: Material, html: str) -> None:
    assert page(material) == html


def test_a_part_of_a_run_is_shown_as_such(run: Run) -> None:
    part = replace(run, results={"lemma_02": run.results["lemma_02"][:1]})
    shown = page(Material(document.document(part)), same_code=False)
    assert "The run was interrupted" in shown
    assert "Not of this code" in shown
    assert 'id="lemma_02"' in shown
    assert 'id="lemma_03"' not in shown
    assert "not run" in shown  # the proved form of Lemma 2
    html5lib.HTMLParser(strict=True).parse(shown)


def test_a_run_without_statements_is_shown_too(run: Run) -> None:
    part = replace(run, checks=run.checks[-1:], results={"other.check": run.results["other.check"]})
    html5lib.HTMLParser(strict=True).parse(page(Material(document.document(part))))


def test_a_statement_whose_check_ended_in_an_error(run: Run) -> None:
    broken = outcome("lemma_02", status=Status.ERROR, detail="ValueError: bad", traceback="Traceback")
    part = replace(run, results={**run.results, "lemma_02": (broken,)})
    shown = page(Material(document.document(part)))
    assert "The check ended in an error" in shown
    html5lib.HTMLParser(strict=True).parse(shown)


def test_a_certificate_that_does_not_verify_is_shown_as_such(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = exact.load

    def altered(name: str) -> dict[str, Any]:
        # Another policy: no line of the working has it, so that only the claim's own code can tell.
        return load(name) | ({"pi": [["1", "0"], ["1", "0"]]} if name == "L02_rho" else {})

    monkeypatch.setattr(exact, "load", altered)
    with pytest.raises(CertificateError):
        CLAIMS["lemma_02"].printed.refutations[1].verify(altered("L02_rho"))
    assert "It does not verify." in page(material)


# One case per statement and form, for programs.


@pytest.mark.parametrize("name", ["eq_b08", "lemma_18", "eq_5_5"])
def test_documents_hold_one_case_per_statement_and_form(run: Run, name: str) -> None:
    claim = CLAIMS[name]
    found = judge.run(name, Context(Level.QUICK, 0))
    part = replace(run, checks=tuple(c for c in run.checks if c.name == name), results={name: found})
    forms = [f"{name}.{form}" for form in ("printed", "meant", "proved") if getattr(claim, form)]
    faults = [f"{name}.fault.{fault.name}" for fault in claim.faults]
    entries = json.loads(document.dumps(part))["outcomes"]
    assert [entry["name"] for entry in entries] == forms + faults
    cases = list(ET.fromstring(junit.dumps(part)).iter("testcase"))
    assert [case.get("name") for case in cases] == forms + faults
    for case, entry in zip(cases, entries, strict=True):
        verdict = entry["verdict"]
        assert bool(verdict) == (entry["name"] in forms)
        assert case.findtext("system-out", "").count(f"verdict: {verdict}") == bool(verdict)


def test_every_survivor_says_how_strong_its_search_was(run: Run) -> None:
    """What planting 1%, 10% and 50% showed, in the document and on the page, beside the verdict."""

    numbers: dict[str, int] = {}

    def told(found: Outcome) -> Outcome:
        if found.verdict != "SURVIVED":
            return found
        number = numbers.setdefault(found.name, 1000 + len(numbers))
        return replace(found, detail=f"notices 10%, 50%; would miss {number}%; by hand: a step")

    results = {name: tuple(map(told, outcomes)) for name, outcomes in run.results.items()}
    made = document.document(replace(run, results=results))
    shown = page(Material(made))
    survivors = {entry["name"]: entry for entry in made["outcomes"] if entry["verdict"] == "SURVIVED"}
    assert len(survivors) >= 20
    for name, number in numbers.items():
        assert f"would miss {number}%;" in survivors[name]["detail"]
        label = r"<dt>Strength of the search</dt><dd>[^<]*"
        assert len(re.findall(rf"{label}would miss {number}%</dd>", shown)) == 1, name


@pytest.mark.parametrize("name", ["lemma_19", "eq_5_5", "assumption_04"])
def test_a_survivor_of_a_run_names_the_errors_that_it_would_have_noticed(name: str) -> None:
    judged = [found for found in judge.run(name, Context(Level.QUICK, 0)) if found.verdict == "SURVIVED"]
    assert judged
    for found in judged:
        sizes = re.findall(r"\d+%", re.split("; (?:checked by machine|by hand): ", found.detail)[0])
        assert sorted(sizes) == ["1%", "10%", "50%"]


# Steps and data.


@pytest.mark.parametrize("name", sorted(path.stem for path in exact.FOLDER.glob("*.json")))
def test_every_certificate_is_drawn_in_full(name: str) -> None:
    content = exact.load(name)
    shown = "".join(data(content))
    html5lib.HTMLParser(strict=True).parseFragment(shown)
    for key, datum in content.items():
        if key not in ("id", "lhs", "rhs") and isinstance(datum, str) and exact_number(datum):
            assert datum.replace("-", "−") in shown, key
    for step in working(content):
        drawn = chain(step)
        assert drawn.count("<math") >= len(step.sides)
        for formula in re.findall(r"<math.*?</math>", drawn):
            ET.fromstring(formula)


def exact_number(text: str) -> bool:
    try:
        exact.fraction(text)
    except CertificateError:
        return False
    return True


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("a = gamma * 2 / 3 = 1/3", "a = γ·23 = 12·23 = 13"),
        ("a = 2 / (1 - gamma) = 4", "a = 21−γ = 21−12 = 4"),
        ("a = -1/2 - -gamma = 0", "a = −12−(−γ) = −12−(−12) = 0"),
        ("a = (1 - gamma) * (lam[1] + 1) = 2", "a = (1−γ)·(lam(1)+1) = (1−12)·(3+1) = 2"),
        ("a = lam[2]^2 = 4", "a = lam(2)2 = (−2)2 = 4"),
        ("a = abs(lam[2]) = max(1, 2)", "a = |lam(2)| = |−2| = max(1,2)"),
        ("a = 1 - (gamma - 1) = 3/2", "a = 1−(γ−1) = 1−(12−1) = 32"),
        ("a = 1 - gamma + 1 >= 1", "a = 1−γ+1 = 1−12+1 ≥ 1"),
        ("L_v = lambda * 1 = 3", "Lv = λ·1 = 3·1 = 3"),
    ],
)
def test_chains_read_as_they_are_meant(line: str, shown: str) -> None:
    content: dict[str, Any] = {"gamma": "1/2", "lam": ["3", "-2"], "lambda": "3"}
    content |= {"steps": [["words", line], ["last", "1 < 2"]], "lhs": "1", "rhs": "2"}
    step = working(content)[0]
    words = [
        "".join(ET.fromstring(formula).itertext())
        for formula in re.findall(r"<math.*?</math>", chain(step))
    ]
    assert " ".join(words).replace("=", "= ").replace("≥", "≥ ") == shown


# Sections.


def test_sections_are_found_in_their_order() -> None:
    found = module.sections()
    assert list(found)[:3] == ["crosscheck", "mutants", "converge"]
    assert all(section.title and section.command for section in found.values())


def test_results_are_found_in_the_first_folder_that_has_them(tmp_path: Path) -> None:
    for folder in ("a", "b/x", "c/deep/x"):
        (tmp_path / folder).mkdir(parents=True)
    for path in ("b/x/file", "c/deep/x/file"):
        (tmp_path / path).touch()
    material = Material({}, tuple(tmp_path / name for name in "abc"))
    assert material.find("file", "x", "deep/x") == tmp_path / "b/x/file"
    assert material.find("file", "deep/x") == tmp_path / "c/deep/x/file"
    assert material.find("file", "y") is None


def test_results_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_json(tmp_path / "bad.json")
    with pytest.raises(InputError, match="cannot read"):
        read_json(tmp_path / "none.json")

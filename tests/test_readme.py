"""Every code block of the README is run, and what it shows is what stands."""

import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

from verify.audit import examples as audits_of_libraries
from verify.audit import pages
from verify.claims.judge import expected
from verify.crosscheck.group import QUANTITIES, ROUTES
from verify.leaves import names

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SETUP = "python3 -m venv .venv && "


def run_shell(example: Example) -> None:
    """Run each line with this interpreter; the two that set up are held to the CI script instead."""
    for line in str(example.parsed).splitlines():
        if line.startswith(SETUP):
            continue
        arguments = shlex.split(line.removeprefix("python "))
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"


def examples(parser: PythonCodeBlockParser | CodeBlockParser) -> list[Example]:
    sybil = Sybil(parsers=[parser], filenames=["README.md"], path=str(ROOT))
    return list(sybil.parse(README).examples())


PYTHON = examples(PythonCodeBlockParser())
SHELL = examples(CodeBlockParser(language="bash", evaluator=run_shell))


def test_python_blocks_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, since they share their names; they write files."""
    monkeypatch.chdir(tmp_path)
    for example in PYTHON:
        example.evaluate()


@pytest.mark.parametrize("example", SHELL, ids=lambda example: f"line {example.line}")
def test_shell_blocks_run(example: Example) -> None:
    example.evaluate()


def test_every_code_block_is_an_example() -> None:
    fences = re.findall(r"^```(\w+)\n", README.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert set(fences) == {"bash", "python", "text"}
    assert len(SHELL) == fences.count("bash")
    assert len(PYTHON) >= fences.count("python")


def test_ci_runs_the_readme_command() -> None:
    commands = [
        line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith(SETUP)
    ]
    assert [command.rpartition(" && ")[2] for command in commands] == [
        ".venv/bin/python -m verify all",
        ".venv/bin/python -m pytest -n auto",
    ]
    assert commands[1] in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_the_matrix_shown_is_that_of_the_present_rows_and_routes() -> None:
    """The numbers are of one run; the rows and columns are those that exist."""
    shown = README.read_text(encoding="utf-8").split("<!-- crosscheck -->")[1].split("<!--")[0]
    rows = re.findall(r"│ (\w+)\.(\w+) ", shown)
    assert {file for file, _ in rows} == set(names(QUANTITIES))
    for route in ROUTES:
        assert route.replace("_", " ") in shown


def test_the_counts_of_verdicts_are_those_of_the_ledger() -> None:
    ledger = expected()
    printed = Counter(forms["printed"] for forms in ledger.values())
    text = " ".join(README.read_text(encoding="utf-8").split())
    assert f"judges {len(ledger)} statements" in text
    shown = [printed[verdict] for verdict in ("REFUTED", "PROVED", "SURVIVED", "UNTESTABLE")]
    words = "{} are refuted, {} proved, {} survive and {} name no constant"
    assert words.format(*shown) in text
    literal = [
        forms
        for forms in ledger.values()
        if forms["printed"] == "REFUTED" and forms.get("meant") in {"PROVED", "SURVIVED"}
    ]
    assert f"{len(literal)} of the refuted ones stand as evidently meant" in text


SHOWN = {
    "PBRL (value penalty) above independent gradient": (
        "stackelberg",
        "value > independent",
        "leader_value",
    ),
    "value penalty highest": ("stackelberg", "value > Bellman", "leader_value"),
    "the follower's gap goes to zero (value penalty)": ("stackelberg", "gap of value", "follower_gap"),
    "PBRL above meta-gradient": ("incentive", "PBRL > meta-gradient", "designer_value"),
    "meta-gradient above no incentive": ("incentive", "meta-gradient > no incentive", "designer_value"),
    "the equilibrium gap goes to zero": ("incentive", "gap of pbrl", "ni_gap"),
}
"""Rows of the table of experiments, and the findings that they show."""


@pytest.mark.parametrize("row", SHOWN)
def test_the_verdicts_of_the_experiments_are_those_of_the_data(row: str) -> None:
    experiment, name, measure = SHOWN[row]
    text = (ROOT / "docs" / "results" / experiment / "findings.json").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^\| {re.escape(row)} \|(.*)\|(.*)\|$", README.read_text("utf-8"), re.M)
    for cell, source in zip(line, ("sampled", "exact"), strict=True):
        (verdict,) = (
            finding["verdict"]
            for finding in json.loads(text)["findings"]
            if (finding["name"], finding["measure"], finding["place"])
            == (name, measure, f"default/{source}")
        )
        word = {"stays": "does not"}.get(verdict, verdict)
        assert cell.strip().startswith(word)


def test_the_table_of_faults_is_that_of_the_data() -> None:
    """Drawn anew by ``python -m verify.audit.pages``."""
    shown = pages.between(README.read_text(encoding="utf-8"), "faults")
    found = pages.read(ROOT / pages.FOLDER / "faults.json")
    assert shown == pages.faults_in_short(found)
    assert f"`{found['command'].removesuffix(' --seed 0')}`" in README.read_text(encoding="utf-8")


def test_the_audit_of_a_library_is_the_example() -> None:
    _, start, rest = (audits_of_libraries.__doc__ or "").partition(">>> ")
    block = start + rest.partition("\n\n")[0]
    assert block.count(">>> ") > 5
    assert f"```python\n{block}\n\n```\n" in README.read_text(encoding="utf-8")


def test_what_libraries_do_is_what_was_found() -> None:
    text = " ".join(README.read_text(encoding="utf-8").split())
    found = pages.read(ROOT / pages.FOLDER / "examples.json")
    sb3, torchrl, other = found["libraries"].values()
    assert torchrl == other  # "TorchRL" is both of its losses
    both = sb3, torchrl
    assert {f"{100 * one['off from weights gamma^h']:.0f} %" for one in both} == {"11 %"}
    would, bootstrap, termination = (
        sb3[f"{name}"]
        for name in ("weights gamma^h would be", "a bootstrap is", "a termination would be")
    )
    longer = [f"{one['normalised']['length over plain']:.2f}" for one in both]
    cosines = [f"{one['normalised']['cosine']:.3f}" for one in both]
    (error,) = {f"{one['normalised']['standard error']:.2f}" for one in both}
    for words in (
        "lack it by the same 11 %",
        f"a length of {would['length']:.3f}, cosine {would['cosine']:.3f}",
        f"{longer[0]} (Stable-Baselines3) and {longer[1]} (TorchRL) times as long",
        f"at batches of {found['batch']}, standard errors {error}, cosine {' and '.join(cosines)}",
        f"{bootstrap['length']:.3f} of the exact length at cosine {bootstrap['cosine']:.3f}",
        f"a termination would give {termination['length']:.3f} at {termination['cosine']:.3f}",
    ):
        assert words in text, words
    for one in both:  # in standard errors: what they are, and what they are not
        cut = one["truncated"]
        assert cut["off from a bootstrap, in standard errors"] < 3.0
        assert cut["off from a termination, in standard errors"] > 6.0


def test_paths_named_exist() -> None:
    text = README.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:reference|verify|sampled|tests|benchmarks)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path

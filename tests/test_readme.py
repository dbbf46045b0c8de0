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


def test_python_blocks_run() -> None:
    """One after the other, since they share their names."""
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
    "the follower's gap goes to zero": ("stackelberg", "gap of value", "follower_gap"),
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


def test_paths_named_exist() -> None:
    text = README.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:reference|verify|sampled|tests|benchmarks)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path

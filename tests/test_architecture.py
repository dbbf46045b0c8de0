"""The rules of the house: who may import what, where leaves stand, what is packaged."""

import re
import tomllib
from functools import cache
from itertools import combinations
from pathlib import Path

import grimp
import pytest

from verify.leaves import defining

ROOT = Path(__file__).parent.parent
PACKAGES = ("reference", "sampled", "verify")

LAYERS = (
    ("reference.errors",),
    ("reference.validation",),
    ("reference.domains", "reference.contractions", "reference.resolvents"),
    ("reference.regularizers", "reference.policies"),
    ("reference.problems",),
    ("reference.evaluated", "reference.evaluation"),
    ("reference.optimality", "reference.truncated"),
    ("reference.equilibrium", "reference.constants"),
    ("reference.penalties", "reference.objectives"),
    ("reference.algorithms",),
)
"""Data moves right (down this list); imports only point left (up)."""

VERIFY_LAYERS = (
    ("verify.contract", "verify.leaves", "verify.processes"),
    ("verify.runner", "verify.collect", "verify.oracles"),
    ("verify.report", "verify.crosscheck"),
    ("verify.claims", "verify.mutants"),
    ("verify.audit", "verify.converge", "verify.experiments"),
    ("verify.page",),
    ("verify.commands",),
    ("verify.cli",),
)
"""The same for what checks and tells."""

VALUES = (
    "reference.evaluation",
    "reference.evaluated",
    "reference.optimality",
    "reference.equilibrium",
    "reference.constants",
    "reference.truncated",
    "reference.penalties",
    "reference.objectives",
    "reference.algorithms",
)
"""What an oracle must reach by its own way."""

SIBLINGS = (
    "reference.penalties",
    "reference.objectives",
    "sampled.estimators",
    "sampled.objectives",
    "sampled.penalties",
    "verify.commands",
    "verify.crosscheck.quantities",
    "verify.mutants.faults",
    "verify.page.sections",
)
"""Packages of leaves that never import each other; a module ``contract`` is their shared code."""


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph(*PACKAGES, include_external_packages=True, cache_dir=None)


def inside(package: str) -> set[str]:
    return {package} | graph().find_descendants(package)


def reach(importers: set[str], imported: set[str]) -> list[tuple[str, str]]:
    """Chains of imports from one set to the other, given by their ends."""
    return sorted(
        (importer, target)
        for importer in importers
        for target in imported
        if target in graph().modules and graph().chain_exists(importer=importer, imported=target)
    )


@pytest.mark.parametrize("forbidden", ["torch", "sampled", "verify"])
def test_reference_is_exact_and_alone(forbidden: str) -> None:
    assert reach({"reference"} | inside("reference"), {forbidden}) == []


def test_sampled_imports_problems_only() -> None:
    direct = {
        (importer, imported)
        for importer in inside("sampled")
        for imported in graph().find_modules_directly_imported_by(importer)
        if imported.startswith("reference")
    }
    allowed = ("reference.problems", "reference.errors")  # what is given; what is wrong with it
    assert {pair for pair in direct if not pair[1].startswith(allowed)} == set()
    assert reach(inside("sampled"), {"verify"}) == []


def test_oracles_share_no_value_with_reference() -> None:
    targets = set().union(*(inside(package) for package in VALUES if package in graph().modules))
    assert reach(inside("verify.oracles"), targets) == []


@pytest.mark.parametrize("layers", [LAYERS, VERIFY_LAYERS], ids=["reference", "verify"])
def test_imports_point_left(layers: tuple[tuple[str, ...], ...]) -> None:
    wrong = []
    for earlier, later in combinations(layers, 2):
        for low in earlier:
            for high in later:
                if {low, high} <= graph().modules:
                    wrong += reach(inside(low), inside(high))
    assert wrong == []


def test_every_module_of_reference_has_a_layer() -> None:
    placed = set().union(*(inside(p) for layer in LAYERS for p in layer if p in graph().modules))
    assert inside("reference") - placed - {"reference"} == set()


@pytest.mark.parametrize("package", SIBLINGS)
def test_leaves_do_not_import_each_other(package: str) -> None:
    leaves = graph().find_children(package) - {f"{package}.contract"}
    pairs = {
        (importer, imported)
        for importer in leaves
        for imported in graph().find_modules_directly_imported_by(importer)
        if imported in leaves
    }
    assert pairs == set()


def test_statements_do_not_import_each_other() -> None:
    statements = {f"verify.claims.{name}" for name in defining("verify.claims", "CLAIM")}
    pairs = {
        (importer, imported)
        for importer in inside("verify.claims")
        for imported in graph().find_modules_directly_imported_by(importer)
        if imported in statements
    }
    assert pairs == set()


def test_shared_code_of_the_statements_is_in_packages() -> None:
    """At the top there are statements, what they are made of, and who judges them."""
    shared = {"verify.claims.exact", "verify.claims.trials"}
    frame = {f"verify.claims.{name}" for name in ("contract", "group", "judge")}
    statements = {f"verify.claims.{name}" for name in defining("verify.claims", "CLAIM")}
    assert graph().find_children("verify.claims") == shared | frame | statements


def test_exact_arithmetic_shares_nothing_with_reference() -> None:
    assert reach(inside("verify.claims.exact"), {"reference"} | inside("reference")) == []


def test_what_is_silenced_says_why() -> None:
    """After the codes that are silenced stands a reason, on the same line."""
    silent = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in (*PACKAGES, "tests", "benchmarks")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(r"# (type: ignore|noqa)", line)
        and not re.search(r"# (type: ignore\[[\w, -]+\]|noqa: [A-Z0-9, ]+) +(# |- )?\w", line)
    ]
    assert silent == []


def test_packages_are_listed_and_typed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = sorted(
        ".".join(init.parent.relative_to(ROOT).parts)
        for package in PACKAGES
        for init in (ROOT / package).rglob("__init__.py")
    )
    assert listed == found
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists()
        for folder in (path for path in (ROOT / package).rglob("*.py")):
            assert (folder.parent / "__init__.py").exists(), f"{folder.parent} is no package"

"""The engine of the mutants: faults are in force inside, gone outside, and survivors are reported."""

import importlib
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reference import evaluation
from reference.problems.general_position import general_distributions, general_mdp
from verify.contract import Context, Level, Status
from verify.leaves import defining, leaves
from verify.mutants import hunt as hunting
from verify.mutants.mutant import Mutant, StaleMutantError, imports, in_force

HARMLESS = Mutant(
    fault="none at all: a comment",
    module="reference.evaluation",
    old='"""What is known of one policy in one MDP.',
    new='"""All that is known of one policy in one MDP.',
)


def test_a_fault_is_in_force_inside_and_gone_outside() -> None:
    generator = np.random.default_rng(0)
    mdp = general_mdp(generator)
    pi_sa = general_distributions(generator, mdp.r_sa.shape)
    before = evaluation.evaluate(mdp, pi_sa).v_s
    mutant = Mutant(
        fault="V(rho) is negated",
        module="reference.evaluation",
        old='        """V(rho)."""\n        return np.asarray((self.mdp.rho_s',
        new='        """V(rho)."""\n        return -np.asarray((self.mdp.rho_s',
    )
    modules = dict(sys.modules)
    with in_force(mutant):
        faulty = importlib.import_module("reference.evaluation")
        general = importlib.import_module("reference.problems.general_position")
        assert faulty is not evaluation
        generator = np.random.default_rng(0)
        mdp_again = general.general_mdp(generator)
        pi_again = general.general_distributions(generator, mdp_again.r_sa.shape)
        assert faulty.evaluate(mdp_again, pi_again).value == -(mdp.rho_s * before).sum()
    assert sys.modules["reference.evaluation"] is evaluation
    assert importlib.import_module("reference").evaluation is evaluation
    np.testing.assert_array_equal(evaluation.evaluate(mdp, pi_sa).v_s, before)
    assert {name for name in modules if sys.modules.get(name) is not modules[name]} == set()


def test_modules_come_back_after_an_exception() -> None:
    with pytest.raises(ModuleNotFoundError), in_force(HARMLESS):
        importlib.import_module("reference.no_such_module")
    assert sys.modules["reference.evaluation"] is evaluation


LEAF = Mutant(
    fault="GPOMDP negates its surrogate",
    module="sampled.estimators.gpomdp",
    old="return reward_to_go(",
    new="return -reward_to_go(",
    suspects=("estimators.gpomdp_no_baseline",),
)


def test_a_leaf_that_is_found_by_walking_its_package_is_reached() -> None:
    """The rows were loaded before, with the right leaf in them, and nobody imports it by name."""
    rows = importlib.import_module("verify.crosscheck.quantities.estimators")
    outcome = hunting.pursue("leaf", LEAF, Context(Level.QUICK, 0), ("estimators",))
    assert outcome.status is Status.AS_EXPECTED
    assert "gpomdp_no_baseline by every trajectory" in outcome.detail
    assert importlib.import_module("verify.crosscheck.quantities.estimators") is rows


def test_nothing_faulty_stays_behind() -> None:
    """Neither in the table of modules nor as an attribute of a package, however often."""
    before = dict(sys.modules)
    for _ in range(2):
        hunting.pursue("leaf", LEAF, Context(Level.QUICK, 0), ("estimators",))
        for name, module in sys.modules.items():
            parent, _, child = name.rpartition(".")
            if parent.split(".")[0] in {"reference", "sampled", "verify"}:
                assert vars(sys.modules[parent]).get(child) is module, name
        assert {name for name in before if sys.modules.get(name) is not before[name]} == set()


def test_what_a_fault_brought_in_leaves_no_attribute() -> None:
    """`from package import module` takes the attribute of the package before it looks any further."""
    name, package = "verify.crosscheck.quantities.twins", "verify.crosscheck.quantities"
    importlib.import_module(name)
    right = sys.modules.pop(name)
    delattr(sys.modules[package], "twins")
    try:
        with in_force(LEAF):
            assert importlib.import_module(name) is not right
        assert name not in sys.modules
        assert not hasattr(sys.modules[package], "twins")
    finally:
        sys.modules[name] = right
        setattr(sys.modules[package], "twins", right)  # noqa: B010 - mypy does not know the attribute


def test_only_what_imports_a_module_is_asked_about_its_faults() -> None:
    rows = "verify.crosscheck.quantities"
    assert imports(f"{rows}.twins", "sampled.penalties.value")
    assert imports(f"{rows}.estimators", "sampled.estimators.reinforce")
    assert imports(f"{rows}.policy", "reference.resolvents")
    assert not imports(f"{rows}.policy", "sampled.processes")
    assert not imports(f"{rows}.estimators", "reference.penalties.bellman")


@pytest.mark.parametrize("old", ["no such text", "import"])
def test_a_stale_fault_is_an_error(old: str) -> None:
    stale = Mutant(fault="stale", module="reference.evaluation", old=old, new="")
    with pytest.raises(StaleMutantError, match=r"occurs \d+ times"), in_force(stale):
        importlib.import_module("reference.evaluation")


SHRUNK = Mutant(
    fault="the trials of Assumption 4 take the change of the wrong slope",
    module="verify.claims.assumption_04",
    old="there = jacobian(y), jacobian(y + step * u)",
    new="there = jacobian(y), jacobian(y + 3.0 * step * u)",
    statements=("assumption_04",),
)
"""No row of the matrix reaches a statement."""


def test_a_fault_that_no_row_reaches_is_its_statements_alone() -> None:
    rows = ("joint_policy", "shaping_loss")
    assert not any(imports(f"verify.crosscheck.quantities.{row}", SHRUNK.module) for row in rows)
    outcome = hunting.pursue("shrunk", SHRUNK, Context(Level.STANDARD, 0), rows)
    assert outcome.status is Status.AS_EXPECTED
    assert outcome.detail.startswith("Assumption 4: ")
    assert outcome.instances < 10


def test_every_statement_that_is_named_must_see_a_fault() -> None:
    """Lemma 19 evaluates nothing of the reference, so it cannot see what the matrix sees."""
    mutant = Mutant(
        fault="V(rho) is negated",
        module="reference.evaluation",
        old='        """V(rho)."""\n        return np.asarray((self.mdp.rho_s',
        new='        """V(rho)."""\n        return -np.asarray((self.mdp.rho_s',
        suspects=("policy.v",),
        statements=("lemma_04_distance", "lemma_19"),
    )
    outcome = hunting.pursue("named", mutant, Context(Level.QUICK, 0), ("policy",))
    assert outcome.status is Status.DEVIATION
    assert "verify.claims.lemma_19" in outcome.detail
    assert "would not see this fault" in outcome.detail


def test_a_statement_is_no_substitute_for_the_matrix() -> None:
    harmless = replace(HARMLESS, statements=("assumption_04",))
    outcome = hunting.pursue("harmless", harmless, Context(Level.QUICK, 0), ("shaping_loss",))
    assert outcome.status is Status.DEVIATION
    assert "the matrix and verify.claims.assumption_04 would not see" in outcome.detail


def test_a_premise_that_a_fault_breaks_is_seen() -> None:
    mutant = replace(
        leaves("verify.mutants.faults", "MUTANT", Mutant)["bellman_gap_without_entropy"],
        statements=("theorem_11",),
    )
    outcome = hunting.pursue("premise", mutant, Context(Level.QUICK, 0), ())
    assert outcome.status is Status.AS_EXPECTED
    assert outcome.detail.startswith("Theorem 11: a premise fails: F is not smooth with ")


def test_a_survivor_is_a_deviation() -> None:
    """A fault that changes nothing must not be reported as caught."""
    rows = ("joint_policy", "shaping_loss")
    outcome = hunting.pursue("harmless", HARMLESS, Context(Level.QUICK, 0), rows)
    assert outcome.status is Status.DEVIATION
    assert outcome.instances > 100
    assert "survived" in outcome.detail


def test_a_badly_made_fault_is_no_success() -> None:
    """A fault that cannot even run says nothing about the checks."""
    nonsense = replace(
        HARMLESS,
        old="    (evaluation,) = evaluate_all(mdp, [pi_sa])",
        new="    (evaluation,) = no_such_name",
    )
    with pytest.raises(NameError):
        hunting.pursue("nonsense", nonsense, Context(Level.QUICK, 0), ("shaping_loss",))


def test_there_are_enough_faults_and_each_fits_its_source() -> None:
    mutants = leaves("verify.mutants.faults", "MUTANT", Mutant)
    assert len([m for m in mutants.values() if m.module.startswith("reference.")]) >= 25
    assert len([m for m in mutants.values() if m.module.startswith("sampled.")]) >= 60
    assert len({(m.module, m.old, m.new) for m in mutants.values()}) == len(mutants)
    for name, mutant in mutants.items():
        path = importlib.util.find_spec(mutant.module)
        assert path is not None, name
        assert path.origin is not None, name
        statements = {f"verify.claims.{file}" for file in mutant.statements}
        assert statements <= {f"verify.claims.{file}" for file in defining("verify.claims", "CLAIM")}
        assert all(imports(statement, mutant.module) for statement in statements), name
        source = Path(path.origin).read_text(encoding="utf-8")
        assert source.count(mutant.old) == 1, f"{name} is stale"
        assert mutant.new != mutant.old, name

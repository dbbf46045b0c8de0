"""Audits as a group of checks: gate, simulator's law, alarms, certificates and a biased control."""

from verify.contract import Check, Group
from verify.leaves import deferred

CHECKS = {
    "gate": "Tier 0: the expectation of every estimator over every trajectory is the declared one",
    "law": "Tier 1: starts, actions, moves, trajectories and lengths follow their law",
    "estimators": "Tiers 2 and 3: estimators are certified to a relative bias",
    "penalties": "Tiers 2 and 3: gradients of penalties and objectives are certified",
    "control": "An estimator that is biased on purpose is found",
    "decomposition": "Every term between wanted and declared gradient, and that they add up",
}


def checks() -> tuple[Check, ...]:
    """One check per instrument."""
    return tuple(
        Check(f"audits.{name}", "audits", title, deferred("verify.audit.checks", name))
        for name, title in CHECKS.items()
    )


GROUP = Group(
    name="audits",
    title="Estimators against the exact gradient: false alarms of the whole run at most 1e-6",
    checks=checks,
)

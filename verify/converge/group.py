"""The bounds of Theorems 11 and 16 along short runs, as a group of checks: one check per penalty."""

from verify.contract import Check, Group
from verify.leaves import deferred

PENALTIES = {
    "value_penalty": "PBRL with the value penalty: both sides of every bound at each K",
    "bellman_penalty": "PBRL with the Bellman penalty: both sides of every bound at each K",
    "nikaido_isoda": "Update (5.12): both sides of every bound at each K",
}


def checks() -> tuple[Check, ...]:
    """One check per penalty."""
    return tuple(
        Check(
            name=f"convergence.{key}",
            group="convergence",
            title=title,
            run=deferred("verify.converge.checks", "run", key),
        )
        for key, title in PENALTIES.items()
    )


GROUP = Group(
    name="convergence",
    title="The convergence bounds of Theorems 11 and 16, printed and proved, along runs",
    checks=checks,
)

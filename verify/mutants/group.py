"""The mutants as a group of checks: each fault must be seen by the matrix."""

from verify.contract import Check, Group
from verify.leaves import deferred, names, title

FAULTS = "verify.mutants.faults"


def checks() -> tuple[Check, ...]:
    """One check per fault."""
    return tuple(
        Check(
            name=f"mutants.{file}",
            group="mutants",
            title=title(f"{FAULTS}.{file}"),
            run=deferred("verify.mutants.hunt", "hunt", file),
        )
        for file in names(FAULTS)
    )


GROUP = Group(
    name="mutants",
    title="Deliberate faults, each of which some check must see",
    checks=checks,
)

"""The experiments on learning from preferences: one part of each testbed that has results."""

from markupsafe import Markup

from verify.page.contract import Material, Section
from verify.page.results import experiment

TESTBEDS = ("tabular", "minatar", "atari")


def _present(material: Material) -> Markup | None:
    parts = [part for t in TESTBEDS if (part := experiment(material, f"rlhf/{t}")) is not None]
    return Markup("").join(parts) if parts else None


SECTION = Section(
    title="Learning from preferences",
    place=45,
    command="python -m verify reproduce rlhf",
    present=_present,
)

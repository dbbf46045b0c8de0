"""The experiments on learning from preferences: one part of each testbed that has results."""

from markupsafe import Markup

from verify.page.contract import Material, Section
from verify.page.results import experiment

TESTBEDS = {"tabular": "Tables, solved exactly", "minatar": "MinAtar", "atari": "Atari"}


def _present(material: Material) -> Markup | None:
    drawn = (experiment(material, f"rlhf/{name}", title) for name, title in TESTBEDS.items())
    parts = [part for part in drawn if part is not None]
    return Markup("").join(parts) if parts else None


SECTION = Section(
    title="Learning from preferences",
    place=45,
    command="python -m verify reproduce rlhf",
    present=_present,
)

"""The experiment on incentive design."""

from markupsafe import Markup

from verify.page.contract import Material, Section
from verify.page.results import experiment


def _present(material: Material) -> Markup | None:
    return experiment(material, "incentive")


SECTION = Section(
    title="Incentive design",
    place=50,
    command="python -m verify reproduce incentive",
    present=_present,
)

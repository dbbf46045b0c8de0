"""A few short experiments of every section."""

from verify.contract import Level
from verify.converge.kinds import NIKAIDO_ISODA, VALUE
from verify.converge.problems import Recipe
from verify.converge.units import Inner, Iterations, Size, Step, Unit, _Bowl, bound_units


def few(level: Level, seed: int) -> tuple[Unit, ...]:
    size = Size(3, 8 + 8 * level, 12, (), 0, 0, 0, 0, 0, ())
    recipe = Recipe(VALUE, "few", seed, 3, n_states=1, gamma=0.0)
    return (
        Iterations(Recipe(NIKAIDO_ISODA, "few", seed, 3, n_states=1, gamma=0.0), True, (1.0, 0.5), 64),
        Iterations(recipe, False, (1.0, 0.5), 64),
        *(unit for unit in bound_units(size, seed, (VALUE,)) if unit.oracle != "exact"),
        Step("parabola", "parabola", _Bowl(VALUE), 10, 3),
        Inner(recipe, 1.0, 30, (1e2, 1e3, 1e4)),
    )

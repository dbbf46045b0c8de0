"""The bounds of Theorems 11 and 16 along runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from verify.page.contract import Material, Section
from verify.page.mathematics import prose
from verify.page.parts import table
from verify.page.results import figures, made_by
from verify.page.spelling import minus, short

PROVED, PRINTED = "proved", "printed"


def _present(material: Material) -> Markup | None:
    from verify.converge import document

    path = material.find(document.NAME, "converge")
    if path is None:
        return None
    return _drawn(path.parent, document.load(path))


def _drawn(folder: Path, content: Mapping[str, Any]) -> Markup:
    deviations = content["deviations"]
    held = Markup("<p>Inequalities that are proved and were held to runs: {}. {}.{}</p>").format(
        content["held"],
        Markup('<strong class="bad">{} failed</strong>').format(len(deviations))
        if deviations
        else "All hold",
        "" if content["complete"] else " The run is not complete.",
    )
    parts = [made_by(content), held]
    if deviations:
        parts.append(_deviations(deviations))
    if content["bounds"]:
        parts += [Markup("<h3>Both sides of the bound</h3>"), _bounds(content["bounds"])]
    if content["exponents"]:
        parts += [Markup("<h3>Iterations</h3>"), _exponents(content["exponents"])]
    if content["inner"]:
        parts += [Markup("<h3>Steps of mirror descent per oracle call</h3>"), _inner(content["inner"])]
    if content["steps"]:
        parts += [Markup("<h3>Longer steps, an observation</h3>"), _steps(content["steps"])]
    if content["figures"]:
        parts += [Markup("<h3>Figures</h3>"), figures(folder, content["figures"])]
    return Markup("").join(parts)


def _deviations(found: list[dict[str, Any]]) -> Markup:
    rows = [
        [deviation["experiment"], prose(deviation["words"]), *map(_number, _sides(deviation))]
        for deviation in found
    ]
    return table("Bounds that failed", ["run", "bound", "left", "right", "tolerance"], rows, (2, 3, 4))


def _sides(finding: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    return finding["lhs"], finding["rhs"], finding["tolerance"]


def _bounds(runs: list[dict[str, Any]]) -> Markup:
    rows = []
    for run in runs:
        ratios = {finding["key"]: finding["ratio"] for finding in run["findings"]}
        rows.append(
            [
                prose(run["name"].removeprefix("bound.").replace("_", " ").replace(".", ", ")),
                run["iterations"],
                *(_number(run["curve"][key][-1]) for key in ("average", PROVED, PRINTED)),
                *(f"{ratios[key]:.4f}" for key in (PROVED, PRINTED)),
                _number(run["without_eps"]),
                _estimate(run["exponents"].get("mean_of_average")),
            ]
        )
    heads = ["run", "K", "average", "proved bound", "printed bound", "left / proved", "left / printed"]
    heads += ["without eps", "exponent in K"]
    return table(
        prose(
            "Average squared projected gradient and its bounds after the last iteration, and the ratios "
            "at the worst K and problem"
        ),
        heads,
        rows,
        range(1, len(heads)),
    )


def _exponents(found: list[dict[str, Any]]) -> Markup:
    rows = [
        [
            f"{row['kind'].replace('_', ' ')}, {row['start']} start, {row['metric']}",
            _estimate(row["lambda"]),
            _estimate(row["one_over_eps"]),
            row["members"],
        ]
        for row in found
    ]
    caption = prose(
        "Iterations ~ lambda^p eps^{-r} until the average, or the best, squared projected gradient is "
        "at most eps. Table 1 says p = r = 1. Proved for the average is p = 2 at most from a fixed "
        "start, and p = 1 from a solution of the lower level"
    )
    return table(caption, ["penalty, start, metric", "p", "r", "problems"], rows, (1, 2, 3))


def _inner(found: list[dict[str, Any]]) -> Markup:
    rows = [
        [row["kind"].replace("_", " "), _estimate(row["slope"]), f"{row['proved_slope']:.3f}"]
        for row in found
    ]
    caption = prose("Slope of the number of steps against log(lambda^2 / eps_orac)")
    return table(caption, ["penalty", "slope", "proved slope"], rows, (1, 2))


def _steps(found: list[dict[str, Any]]) -> Markup:
    rows = [
        [prose(run["title"]), *(_largest(run["largest"][key]) for key in (PROVED, PRINTED))]
        for run in found
    ]
    caption = prose("Largest multiple of the step 1 / (L_f + lambda L_p) at which the bound still holds")
    return table(caption, ["run", "proved bound", "printed bound"], rows)


def _largest(found: Mapping[str, Any]) -> str:
    holds = short(found["holds"], 4)
    if found["fails"] is None:
        return f"{holds}, none fails"
    return f"{holds}, fails at {short(found['fails'], 4)} (K = {found['fails_at_K']})"


def _estimate(found: Mapping[str, Any] | None) -> str:
    """Return a fit with its 95% interval."""
    if found is None or found["value"] is None:
        return "–"
    ends = [found["low"], found["high"]]
    interval = "" if None in ends else f" [{ends[0]:.2f}, {ends[1]:.2f}]"
    return minus(f"{found['value']:.2f}{interval}")


def _number(number: float | None) -> str:
    return "–" if number is None else short(number, 3)


SECTION = Section(
    title="Convergence bounds along runs",
    place=30,
    command="python -m verify converge",
    present=_present,
)

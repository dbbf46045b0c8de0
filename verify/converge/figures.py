"""The figures: SVG with text as text, the same bytes for the same results.

Colours are told apart by colour-blind readers too, and never alone: lines differ in their dashes or
markers.  A figure is one column of panels, so that its letters are still legible on a phone.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from verify.converge.bounds import PRINTED, PROVED
from verify.converge.kinds import BELLMAN, KINDS, NIKAIDO_ISODA, VALUE, Kind

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
STYLES = {VALUE.key: (BLUE, "o"), BELLMAN.key: (ORANGE, "s"), NIKAIDO_ISODA.key: (GREEN, "^")}

SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pbrl",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.titlesize": 10.5,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.0,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
}

Dash = Literal["-", "--", ":", "-."]
Dashed = tuple[tuple[str, Dash, str], ...]
"""Key, dash and words."""
Coloured = tuple[tuple[str, str, Dash, str], ...]
"""Word of a run, colour, dash and words."""

WIDTH = 4.6
"""Inches; the letters are some 10 px high where the figure is 330 px wide."""


@dataclass(frozen=True)
class Drawing:
    """A figure.

    Attributes
    ----------
    file, title, caption : str
    svg : str
    """

    file: str
    title: str
    caption: str
    svg: str


def drawings(content: dict[str, Any]) -> Iterator[Drawing]:
    """All figures of a document; one for which there are no results is left out."""
    for plan in PLANS:
        if content[plan.section]:
            with mpl.rc_context(SETTINGS):
                yield Drawing(plan.file, plan.title, plan.caption, _svg(plan.draw(content), plan.title))


def _svg(figure: Figure, title: str) -> str:
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None, "Title": title})
    lines = (line.rstrip() for line in text.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _panels(titles: Sequence[str], height: float) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, height * len(titles)), layout="constrained")
    axes = [figure.add_subplot(len(titles), 1, i + 1) for i in range(len(titles))]
    for ax, title in zip(axes, titles, strict=True):
        ax.set_title(title, loc="left")
    return figure, axes


def _capital(kind: Kind) -> str:
    return kind.title[0].upper() + kind.title[1:]


def _values(numbers: Sequence[float | None]) -> list[float]:
    """Positive numbers, and gaps: an axis with logarithms has no place for others."""
    return [math.nan if value is None or value <= 0.0 else value for value in numbers]


def _bounds(content: dict[str, Any]) -> Figure:
    figure, axes = _panels([_capital(kind) for kind in KINDS], 2.3)
    runs = {run["name"]: run for run in content["bounds"]}
    lines: Dashed = (
        ("average", "-", "measured"),
        (PROVED.key, "--", "proved"),
        (PRINTED.key, ":", "printed"),
    )
    # The second is drawn over the first where they agree.
    oracles = (("biased", ORANGE, "biased oracle", 3.0), ("exact", BLUE, "exact oracle", 1.3))
    for kind, ax in zip(KINDS, axes, strict=True):
        for word, colour, _, width in oracles:
            run = runs.get(f"bound.{kind.key}.{word}")
            if run is not None:
                for key, dash, _ in lines:
                    values = _values(run["curve"][key])
                    ax.loglog(run["curve"]["K"], values, dash, color=colour, linewidth=width)
        ax.set_ylabel("average of |G|²")
    axes[-1].set_xlabel("iterations K")
    handles = [
        Line2D([], [], color=colour, label=words, linewidth=width) for _, colour, words, width in oracles
    ]
    handles += [Line2D([], [], color=GREY, linestyle=dash, label=words) for _, dash, words in lines]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _tightness(content: dict[str, Any]) -> Figure:
    figure, axes = _panels([_capital(kind) for kind in KINDS], 2.1)
    runs = {run["name"]: run for run in content["bounds"]}
    shown: Coloured = (
        ("flips", GREEN, "-.", "tight family"),
        ("exact", BLUE, "-", "gamma = 0.1"),
        ("gamma_50", ORANGE, "--", "gamma = 0.5"),
        ("gamma_90", GREY, ":", "gamma = 0.9"),
    )
    for kind, ax in zip(KINDS, axes, strict=True):
        for word, colour, dash, _ in shown:
            run = runs.get(f"bound.{kind.key}.{word}")
            if run is not None:
                ax.loglog(run["curve"]["K"], _values(run["tightest_by_K"]), dash, color=colour)
        ax.axhline(1.0, color="black", linewidth=0.8)
        ax.set_ylabel("left / right side")
    axes[-1].set_xlabel("iterations K")
    handles = [
        Line2D([], [], color=colour, linestyle=dash, label=words) for _, colour, dash, words in shown
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=2)
    return figure


def _iterations(content: dict[str, Any]) -> Figure:
    starts = (("fixed", "From a fixed start", 2), ("warm", "From a solution of the lower level", 1))
    figure, axes = _panels([words for _, words, _ in starts], 2.9)
    for (start, _, power), ax in zip(starts, axes, strict=True):
        for kind in KINDS:
            colour, marker = STYLES[kind.key]
            points = sorted(_counted(content, kind.key, start))
            if points:
                strengths, counts, eps = zip(*points, strict=True)
                label = f"{kind.title}, ε = {eps[0]:.2g}"
                ax.loglog(strengths, counts, marker=marker, color=colour, label=label)
        _slope(ax, power)
        ax.set_ylabel("iterations")
        ax.legend(loc="upper left")
        low, high = ax.get_ylim()
        ax.set_ylim(low, high * (high / low) ** 0.6)
        ticks = sorted({run["lambda"] for run in content["iterations"]})
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks], minor=False)
        ax.set_xticks([], minor=True)
    axes[-1].set_xlabel("penalty constant λ")
    return figure


def _counted(content: dict[str, Any], kind: str, start: str) -> Iterator[tuple[float, float, float]]:
    """(lambda, median of K, eps) at the smallest eps for which at most one lambda has none."""
    runs = [run for run in content["iterations"] if (run["kind"], run["start"]) == (kind, start)]
    complete: dict[float, list[tuple[float, float, float]]] = {}
    for run in runs:
        for entry in run["counts"]:
            counts = [math.inf if K is None else float(K) for K in entry["iterations"]]
            median = float(np.median(counts))
            if math.isfinite(median):
                complete.setdefault(entry["eps"], []).append((run["lambda"], median, entry["eps"]))
    if complete:
        most = max(len(points) for points in complete.values())
        yield from min((eps, points) for eps, points in complete.items() if len(points) >= most - 1)[1]


def _slope(ax: Axes, power: int) -> None:
    """A line of the order that is proved, through the middle of what is drawn."""
    drawn = [line.get_xydata() for line in ax.get_lines()]
    if not drawn:
        return
    points = np.concatenate([np.asarray(data, dtype=float) for data in drawn])
    x = np.array([points[:, 0].min(), points[:, 0].max()])
    level = np.exp(np.mean(np.log(points[:, 1]) - power * np.log(points[:, 0])))
    label = "order λ²" if power == 2 else "order λ"
    ax.loglog(x, 0.3 * level * x**power, "--", color=GREY, label=label)


def _inner(content: dict[str, Any]) -> Figure:
    figure, (ax,) = _panels(
        [r"Until $20\,\lambda^2\,\mathrm{error}^2\leq\epsilon_{\mathrm{orac}}$"], 3.6
    )
    dashes: dict[str, Dash] = {VALUE.key: "--", BELLMAN.key: ":", NIKAIDO_ISODA.key: "-."}
    sizes = {VALUE.key: 10.0, BELLMAN.key: 7.0, NIKAIDO_ISODA.key: 4.0}
    handles = []
    for run in content["inner"]:
        kind, (colour, marker) = run["kind"], STYLES[run["kind"]]
        steps, proved = (
            [max((T for T in row if T is not None), default=math.nan) for row in run[key]]
            for key in ("steps", "proved")
        )
        look: Any = {"color": colour, "marker": marker, "markersize": sizes[kind], "fillstyle": "none"}
        ax.semilogx(run["quotients"], steps, linestyle="none", **look)
        ax.semilogx(run["quotients"], proved, linestyle=dashes[kind], color=colour)
        title = next(known.title for known in KINDS if known.key == kind)
        handles.append(Line2D([], [], linestyle="none", label=title, **look))
        handles.append(Line2D([], [], linestyle=dashes[kind], color=colour, label="proved"))
    ax.set_xlabel(r"$\lambda^2/\epsilon_{\mathrm{orac}}$")
    ax.set_ylabel("steps of mirror descent")
    order = [*handles[::2], *handles[1::2]]
    figure.legend(handles=order, loc="outside upper center", ncols=2)
    return figure


def _steps(content: dict[str, Any]) -> Figure:
    runs = list(content["steps"])[::-1]
    figure, (ax,) = _panels(["Multiple of 1 / (L_f + λ L_p)"], 1.0 + 0.42 * len(runs))
    for form, colour, marker, shift in ((PROVED, BLUE, "o", 0.12), (PRINTED, ORANGE, "D", -0.12)):
        values = [run["largest"][form.key]["holds"] for run in runs]
        ax.semilogx(
            values,
            np.arange(len(runs)) + shift,
            linestyle="none",
            marker=marker,
            color=colour,
            label=f"{form.title} bound",
        )
    ax.set_yticks(range(len(runs)), [_short(run) for run in runs])
    ax.axvline(1.0, color="black", linewidth=0.8)
    figure.legend(loc="outside upper center", ncols=2)
    return figure


_SHORT: dict[str, str] = {VALUE.key: "value", BELLMAN.key: "Bellman", NIKAIDO_ISODA.key: "NI"}


def _short(run: dict[str, Any]) -> str:
    if run["name"] == "step.parabola":
        return "parabola"
    return f"{_SHORT[run['kind']]}, γ = {run['gamma']:g}"


@dataclass(frozen=True)
class Plan:
    """A figure that can be drawn of the results in a section of a document."""

    section: str
    file: str
    title: str
    caption: str
    draw: Callable[[dict[str, Any]], Figure]


PLANS = (
    Plan(
        "bounds",
        "bounds.svg",
        "Both sides of the bound",
        "Average squared projected gradient after K iterations, and its printed and proved bounds, with "
        "exact oracles and with biased ones. The bound is that of Theorem 11, or of Theorem 16 for the "
        "Nikaido-Isoda function.",
        _bounds,
    ),
    Plan(
        "bounds",
        "tightness.svg",
        "How tight the proved bound is",
        "Average squared projected gradient over its proved bound: 1 is equality. The tight family "
        "attains it; with gamma = 0.9 the proved constant L_p, and with it the bound, is so large that "
        "these runs hardly move.",
        _tightness,
    ),
    Plan(
        "iterations",
        "iterations.svg",
        "Iterations to reach an accuracy",
        "Iterations until the average squared projected gradient is at most eps, median over the "
        "problems, against lambda. Proved are at most the order lambda squared from a fixed start, "
        "and lambda from a solution of the lower level; Table 1 says lambda for both.",
        _iterations,
    ),
    Plan(
        "inner",
        "inner.svg",
        "Steps of mirror descent per oracle call",
        "Steps from a fresh start until 20 lambda^2 times the squared error of the penalty's gradient "
        "is at most eps_orac: measured, the most over the problems, and as proved.",
        _inner,
    ),
    Plan(
        "steps",
        "steps.svg",
        "The largest step",
        "Largest multiple of the step 1 / (L_f + lambda L_p) with which a bound still held at each K: "
        "observed, not proved. On the parabola theory says 10/9 and 15/8; where it is large, the proved "
        "constant is conservative.",
        _steps,
    ),
)

"""Figures of series as SVG: means with their errors, the same bytes for the same data.

Errors are standard errors, or 95 % intervals where a curve asks for them.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart; exact and sampled curves
differ by their dashes too.  Text stays text.  Panels stand above each other, four inches wide, so that a
telephone shows them at their size.
"""

import io
from typing import Any

import numpy as np
from scipy import stats

from verify.experiments.contract import Curve, Data, Figure, Panel

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vPX"

WIDTH, PANEL_HEIGHT, PAD = 4.4, 2.5, 0.08
"""Inches."""

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pbrl",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "axes.formatter.limits": (-3, 4),
    "axes.formatter.use_mathtext": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": 100,
}


def svg(figure: Figure, data: Data) -> str:
    """Draw a figure."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with mpl.rc_context(_STYLE):
        labels: dict[str, Any] = {}
        rows = -(-len({c.label for p in figure.panels for c in p.curves}) // 2)
        legend_height = 0.2 * rows + 0.1
        height = PANEL_HEIGHT * len(figure.panels) + legend_height
        canvas = Canvas(figsize=(WIDTH, height), layout=ConstrainedLayoutEngine(w_pad=PAD))
        FigureCanvasSVG(canvas)
        grid = canvas.subplots(len(figure.panels), 1, squeeze=False)
        for axes, panel in zip(grid[:, 0], figure.panels, strict=True):
            _draw(axes, panel, data, labels)
        canvas.legend(
            labels.values(), labels.keys(), loc="outside upper left", ncols=2, columnspacing=1.2
        )
        out = io.StringIO()
        canvas.savefig(out, format="svg", metadata={"Date": None, "Title": figure.caption})
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _draw(axes: Any, panel: Panel, data: Data, labels: dict[str, Any]) -> None:
    for curve in panel.curves:
        labels.setdefault(curve.label, _curve(axes, curve, data))
    for curve in panel.beside:
        xs, means, errors = points(curve, data)
        for sign in (-1.0, 1.0):
            axes.update_datalim(np.column_stack([xs, np.add(means, sign * np.array(errors))]))
    axes.autoscale_view()
    ends = [
        data[key].steps[-1]
        for c in (*panel.curves, *panel.beside)
        if c.x == "steps" and not c.dashed
        for key in c.series
    ]
    if ends:  # exact runs may go on far beyond those that samples were drawn for
        axes.set_xlim(-0.02 * max(ends), 1.05 * max(ends))
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    if panel.x_log:
        axes.set_xscale("log")
    if panel.y_log:
        axes.set_yscale("log")


def points(curve: Curve, data: Data) -> tuple[list[float], list[float], list[float]]:
    """x, mean and standard error, or half the 95 % interval, of what a curve shows."""
    series = [data[key] for key in curve.series]
    if curve.x in {"steps", "iterations"}:
        (own,) = series
        xs = [float(x) for x in getattr(own, curve.x)]
        columns = list(own.values[curve.measure])
    else:
        xs = [0.0 if curve.x == "level" else float(own.parameters[curve.x]) for own in series]
        columns = [own.tail(curve.measure) for own in series]
        below = [data[key].tail(curve.measure) for key in curve.baseline]
        if below:
            columns = [100.0 * (c / b - 1.0) for c, b in zip(columns, below, strict=True)]
    means = [float(column.mean()) for column in columns]
    errors = [float(column.std(ddof=1) / np.sqrt(len(column))) for column in columns]
    if curve.interval:
        errors = [
            float(stats.t.ppf(0.975, len(c) - 1)) * e for c, e in zip(columns, errors, strict=True)
        ]
    return xs, means, errors


def _curve(axes: Any, curve: Curve, data: Data) -> Any:
    xs, means, errors = points(curve, data)
    colour = PALETTE[curve.colour % len(PALETTE)]
    style = "--" if curve.dashed else "-"
    if curve.x == "level":
        return axes.axhline(means[0], color=colour, linestyle=":", linewidth=1.6)
    low, high = (np.add(means, sign * np.array(errors)) for sign in (-1.0, 1.0))
    if curve.x in {"steps", "iterations"}:
        axes.fill_between(xs, low, high, color=colour, alpha=0.18, linewidth=0.0)
        (line,) = axes.plot(xs, means, color=colour, linestyle=style, linewidth=1.5)
        return line
    return axes.errorbar(
        xs,
        means,
        yerr=errors,
        color=colour,
        linestyle=style,
        linewidth=1.3,
        marker=MARKERS[curve.colour % len(MARKERS)],
        markersize=4.0,
        markerfacecolor="white" if curve.dashed else colour,
        capsize=2.0,
    )

"""The confidence sequence of an audit, narrowing around the exact value: one SVG."""

import io
from typing import Any

from verify.audit.document import Entry

STYLE: Any = {
    "svg.hashsalt": "pbrl",
    "svg.fonttype": "none",
    "font.size": 8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.3,
}
WIDTH, HEIGHT, MARGIN, FOOT = 3.4, 4.8, 0.75, 0.7
"""Of one block's panels, and of the margins on the left and below, in inches."""


def svg(audit: Entry) -> str:
    """Draw an audit: above, the component along the declared gradient; below, the bound of the bias.

    The text depends on the entry alone: no date and no random identifiers.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        blocks = audit["blocks"]
        width = WIDTH * len(blocks) + MARGIN
        figure = Figure(figsize=(width, HEIGHT))
        FigureCanvasSVG(figure)
        panels = figure.subplots(2, len(blocks), sharex="col", squeeze=False)
        # Margins by hand: a layout engine would draw everything several times.
        figure.subplots_adjust(
            left=MARGIN / width,
            right=1.0 - 0.15 / width,
            bottom=FOOT / HEIGHT,
            top=0.88,
            hspace=0.08,
            wspace=0.2,
        )
        figure.suptitle(f"{audit['title']}: {audit['verdict']}", fontsize=9)
        for k, block in enumerate(blocks):
            _along(panels[0][k], block, first=k == 0)
            _bound(panels[1][k], block, audit, first=k == 0)
        # Below the panels, where it covers no line; of lines that only some blocks have, too.
        lines: dict[str, Any] = {}
        for panel in panels[1]:
            for line, label in zip(*panel.get_legend_handles_labels(), strict=True):
                lines.setdefault(label, line)
        figure.legend(lines.values(), lines.keys(), loc="lower center", ncols=len(lines), fontsize=7)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _along(panel: Any, block: Entry, *, first: bool) -> None:
    trace = [p for p in block["trace"] if p[5] < 3.0]
    count = [p[0] for p in trace]
    panel.fill_between(
        count, [p[4] - p[5] for p in trace], [p[4] + p[5] for p in trace], alpha=0.3, linewidth=0
    )
    panel.plot(count, [p[4] for p in trace], linewidth=1.0)
    panel.axhline(1.0, color="black", linewidth=0.8, linestyle="--")
    panel.set_title(f"block {block['name']}", fontsize=8)
    if first:
        panel.set_ylabel("component along the declared\ngradient / its norm; exact: 1")


def _bound(panel: Any, block: Entry, audit: Entry, *, first: bool) -> None:
    norm = audit["demand"]["norm"]
    size = block["declared"][norm] or 1.0
    count = [p[0] for p in block["trace"]]
    panel.plot(count, [p[3] / size for p in block["trace"]], linewidth=1.2, label="bound")
    panel.plot(count, [p[1] / size for p in block["trace"]], linewidth=0.8, label="seen")
    low = [(p[0], p[2] / size) for p in block["trace"] if p[2] > 0.0]
    if low:
        panel.plot(*zip(*low, strict=True), linewidth=0.8, label="at least")
    epsilon = audit["demand"]["epsilon"]
    allowed = epsilon if audit["demand"]["relative"] else epsilon / size
    panel.axhline(allowed, color="black", linewidth=0.8, linestyle=":", label="epsilon")
    if count:  # none if the first estimates were out of their range: no scale can be logarithmic
        panel.set_xscale("log")
        panel.set_yscale("log")
    panel.minorticks_off()
    panel.set_xlabel("estimates")
    if first:
        panel.set_ylabel(f"{norm} bias / declared norm")

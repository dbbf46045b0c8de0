"""Audits on the terminal: one line per block, and why."""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from verify.audit.document import Entry, as_expected

TERMS = {
    "oracle bias": "oracle",
    "unseen steps": "unseen",
    "lost tail": "tail",
    "critic bias": "critic",
    "weights": "weights",
    "baseline bias": "baseline",
}
"""Terms of the decomposition, and their columns."""


def table(audits: Sequence[Entry]) -> RenderableType:
    """Draw audits, one line per block.

    Terms are in units of the wanted gradient's norm: size, then the signed part along it.
    """
    present = {term["name"] for audit in audits for b in audit["blocks"] for term in b["terms"]}
    shown = [name for name in TERMS if name in present]
    drawn = Table(
        box=box.SIMPLE_HEAD,
        caption="wanted, declared: Euclidean norms; bias: largest relative Euclidean bias of what is "
        "declared; terms: size (signed part along the wanted gradient), in units of its norm",
    )
    for heading in ("audit", "block"):
        drawn.add_column(heading, overflow="fold")
    for heading in ("wanted", "declared", "cosine", *(TERMS[name] for name in shown), "bias <="):
        drawn.add_column(heading, justify="right", no_wrap=True)
    drawn.add_column("verdict", no_wrap=True)
    drawn.add_column("samples", justify="right", no_wrap=True)
    drawn.add_column("seconds", justify="right", no_wrap=True)
    for audit in audits:
        for i, block in enumerate(audit["blocks"]):
            terms = {term["name"]: term for term in block["terms"]}
            bound = block["bias_bound_relative"]
            first = i == 0
            drawn.add_row(
                audit["name"] if first else "",
                block["name"],
                f"{block['wanted']['euclidean']:.3g}",
                f"{block['declared']['euclidean']:.3g}",
                "-" if block["cosine"] is None else f"{block['cosine']:.4f}",
                *(_term(terms.get(name)) for name in shown),
                "-" if bound is None or bound["euclidean"] is None else f"{bound['euclidean']:.2%}",
                Text(audit["verdict"], style="green" if as_expected(audit) else "bold red")
                if first
                else "",
                f"{audit['samples']}" if first else "",
                f"{audit['seconds']:.1f}" if first else "",
            )
    return drawn


def _term(term: Entry | None) -> str:
    if term is None:
        return "."
    if term["relative"] < 1e-9:
        return "0"
    return f"{term['relative']:.3f} ({term['along']:+.3f})"


def report(audits: Sequence[Entry]) -> RenderableType:
    """The table, and a sentence on each audit that is not as expected."""
    lines: list[RenderableType] = [table(audits)]
    for audit in audits:
        if not as_expected(audit):
            text = (
                f"{audit['name']}: {audit['verdict']}, expected {audit['expected']}: {audit['reason']}"
            )
            lines.append(Text(text, style="bold red"))
    good = sum(map(as_expected, audits))
    lines.append(Text(f"{good} of {len(audits)} audits as expected"))
    return Group(*lines)


def plain(audit: Entry) -> str:
    """One audit in a few lines of text, for an exception's message."""
    lines = [f"{audit['name']}: {audit['verdict']}: {audit['reason']}"]
    for block in audit["blocks"]:
        bound = block["bias_bound_relative"]
        within = "-" if bound is None or bound["euclidean"] is None else f"{bound['euclidean']:.2%}"
        lines.append(
            f"  {block['name']}: declared {block['declared']['euclidean']:.4g}, observed "
            f"{block['observed']['euclidean']:.4g}, deviation {block['deviation']['euclidean']:.3g}, "
            f"bias at least {block['bias_low']['euclidean']:.3g}, at most {within} of what is declared"
        )
    lines.append(
        f"  {audit['samples']} estimates of {audit['batch']} trajectories, seed {audit['seed']}"
    )
    return "\n".join(lines)

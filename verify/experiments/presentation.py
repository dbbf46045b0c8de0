"""Claims and figures of a lineup: what the paper shows, and beside it what decides."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from verify.experiments.contract import Above, Claim, Curve, Figure, Panel, Vanishes
from verify.experiments.lineup import (
    CENTRE,
    DEFAULT,
    LONG,
    Budget,
    Lineup,
    Setting,
    along,
    environments,
    sources,
    strengths,
)

SOURCES = ("sampled", "exact")


@dataclass(frozen=True)
class Look:
    """How methods and measures are shown.

    Attributes
    ----------
    labels : mapping of str to str
        Of the methods.
    colours : mapping of str to int
        Of the methods.
    shown, gap, decisive : str
        The measures: of the paper's two panels, and what decides.
    titles : mapping of str to str
        Of the measures' panels.
    axes : mapping of str to str
        Labels of the measures' axes.
    """

    labels: Mapping[str, str]
    colours: Mapping[str, int]
    shown: str
    gap: str
    decisive: str
    titles: Mapping[str, str]
    axes: Mapping[str, str]

    @property
    def measures(self) -> tuple[str, str, str]:
        """In the order of the panels."""
        return self.shown, self.gap, self.decisive

    def label(self, method: str, source: str) -> str:
        """Of a curve."""
        return self.labels[method] + (", exact" if source == "exact" else "")


@dataclass(frozen=True)
class Finding:
    """A finding of the paper: that one method ends above another.

    Attributes
    ----------
    name : str
    upper, lower : str
        Methods.
    """

    name: str
    upper: str
    lower: str


def claims(
    lineup: Lineup,
    look: Look,
    findings: tuple[Finding, ...],
    tuned: tuple[Finding, ...],
    budget: Budget,
) -> Iterator[Claim]:
    """The findings in every part of the sweep, by what is shown and by what decides.

    Parameters
    ----------
    lineup : Lineup
    look : Look
    findings : tuple of Finding
        Of the paper.
    tuned : tuple of Finding
        Against the tuned baseline, in the default setting.
    budget : Budget
    """

    def key(method: str, setting: Setting, source: str) -> str:
        # The sweep of lambda runs only what lambda matters to; the others are those of its centre.
        own = setting if setting.strength == 1.0 or method in lineup.strengthened else CENTRE
        return f"{own.name}/{source}/{method}"

    for setting in (DEFAULT, LONG, CENTRE, *environments(budget), *strengths(budget)):
        for source in sources(setting):
            place = f"{setting.name}/{source}"
            for finding in (*findings, *(tuned if setting == DEFAULT else ())):
                for measure in (look.shown, look.decisive):
                    upper, lower = (key(m, setting, source) for m in (finding.upper, finding.lower))
                    yield Above(finding.name, place, measure, upper, lower)
            for method in lineup.printed:
                yield Vanishes(f"gap of {method}", place, look.gap, key(method, setting, source))


def over_steps(lineup: Lineup, look: Look, name: str, caption: str) -> tuple[Figure, Figure]:
    """The paper's figure, and what decides: from samples, and beside it with exact gradients."""

    def curves(measure: str, source: str) -> Iterator[Curve]:
        for method in (*lineup.printed, "tuned"):
            yield Curve(
                look.label(method, source),
                measure,
                (f"{DEFAULT.name}/{source}/{method}",),
                "steps",
                look.colours[method],
                source == "exact",
            )
        if measure == look.decisive:
            yield Curve(
                look.label(lineup.reference, "exact"),
                measure,
                (f"{DEFAULT.name}/exact/{lineup.reference}",),
                "level",
                look.colours[lineup.reference],
                True,
            )

    def panel(measure: str, source: str, other: str) -> Panel:
        return Panel(
            look.titles[measure],
            "environment steps per problem",
            look.axes[measure],
            tuple(curves(measure, source)),
            beside=tuple(curves(measure, other)),
        )

    return (
        Figure(
            name,
            f"{caption}, from samples",
            tuple(panel(m, "sampled", "exact") for m in look.measures),
        ),
        Figure(
            f"{name}_exact",
            f"{caption}, with exact gradients",
            tuple(panel(m, "exact", "sampled") for m in look.measures),
        ),
    )


def over_environments(
    lineup: Lineup, look: Look, name: str, symbol: str, budget: Budget, baseline: str, *, log: bool
) -> Figure:
    """Final values along gamma or tau, relative to a baseline in the same setting."""
    settings = along(name, budget)

    def curves(measure: str) -> Iterator[Curve]:
        relative = measure != look.gap
        chosen = [(m, s) for m in lineup.printed if m != baseline or not relative for s in SOURCES]
        if measure == look.decisive:
            chosen.append((lineup.reference, "exact"))
        for method, source in chosen:
            yield Curve(
                look.label(method, source),
                measure,
                tuple(f"{s}/{source}/{method}" for s in settings),
                name,
                look.colours[method],
                source == "exact",
                tuple(f"{s}/{source}/{baseline}" for s in settings) if relative else (),
            )

    above = f"% above {look.labels[baseline]}"
    return Figure(
        f"sweep_{name}",
        f"Final values against {name}, in percent above {look.labels[baseline]} in the same setting",
        tuple(
            Panel(
                look.titles[m],
                symbol,
                look.axes[m] if m == look.gap else above,
                tuple(curves(m)),
                log,
                m == look.gap,
            )
            for m in look.measures
        ),
    )


def over_strength(lineup: Lineup, look: Look, budget: Budget) -> Figure:
    """Final values along lambda, with companions of the printed accuracy and with exact ones."""
    settings = along("strength", budget)
    chosen = [(m, s) for m in lineup.strengthened for s in SOURCES]
    chosen += [(m, "exact") for m in lineup.solved]

    def curves(measure: str) -> Iterator[Curve]:
        for method, source in chosen:
            yield Curve(
                look.label(method, source),
                measure,
                tuple(f"{s}/{source}/{method}" for s in settings),
                "lambda",
                look.colours[method],
                source == "exact",
            )

    return Figure(
        "sweep_lambda",
        "Final values against lambda, with companions by the printed inner steps and with solved ones",
        tuple(
            Panel(look.titles[m], "λ", look.axes[m], tuple(curves(m)), True, m == look.gap)
            for m in look.measures
        ),
    )

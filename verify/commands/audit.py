"""``python -m verify audit``: how biased gradient estimators are, with a guarantee."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from verify.commands.contract import DEVIATION, INTERRUPTED, Command, usage_errors

if TYPE_CHECKING:
    from verify.audit.contract import Demand

EPILOG = """
\b
Examples:
  python -m verify audit all                      all built-in estimators, penalties and objectives
  python -m verify audit all --level quick        to 10 % instead of 1 %, in a minute
  python -m verify audit list                     their names
  python -m verify audit gpomdp value_penalty     those whose names begin so
  python -m verify audit faults --seeds 200       estimators that are faulty on purpose, and right ones
  python -m verify audit --estimator package.module:name --problem plain --target value.y --steps 5
  python -m verify audit --estimator package.module:name --problem game.npz --target nikaido_isoda
  python -m verify audit ... --out DIR            into another folder; the same command goes on there

\b
An estimator is a function (problem, parameters, batch, generator) -> gradients, one per batch; see
docs/audit.md.  The folder holds audit.json, audit.xml (JUnit), and an SVG of each audit.

Exit codes: 0 all as expected; 1 BIASED or UNDECIDED; 2 wrong usage, or an estimator that breaks its
contract (what was sampled is kept); 130 interrupted by Ctrl-C or SIGTERM.
"""


def _run(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[all|list|faults|NAME]...",
            show_default=False,
            help="Built-in audits, by name or by its beginning up to a dot.",
        ),
    ] = None,
    estimator: Annotated[
        str,
        typer.Option(metavar="MODULE:NAME", show_default=False, help="Anyone's estimator to audit."),
    ] = "",
    problem: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            show_default="plain",
            help="Of --estimator: a default problem, or one in a .npz file; docs/audit.md lists them.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET", show_default="value.y", help="A quantity, or one block of its gradient."
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(min=1, metavar="T", show_default="all", help="Steps that the estimator declares."),
    ] = None,
    undiscounted: Annotated[
        bool, typer.Option("--undiscounted", help="It declares weights 1, not gamma^h.")
    ] = False,
    reach: Annotated[
        float | None,
        typer.Option(
            "--range",
            metavar="R",
            show_default="computed",
            help="Largest absolute value of an entry of an estimate.",
        ),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", show_default="16", help="Trajectories of one estimate."),
    ] = None,
    level: Annotated[
        Literal["quick", "standard", "deep"], typer.Option(help="Sets epsilon: 0.1, 0.01, 0.005.")
    ] = "standard",
    epsilon: Annotated[
        float | None,
        typer.Option(metavar="E", show_default="the level's", help="Bias that is certified."),
    ] = None,
    absolute: Annotated[
        bool, typer.Option("--absolute", help="Epsilon is not in units of the declared norm.")
    ] = False,
    norm: Annotated[
        Literal["euclidean", "maximum"], typer.Option(help="In which the bias is measured.")
    ] = "euclidean",
    alpha: Annotated[float, typer.Option(metavar="A", help="1 - A is the confidence.")] = 1e-3,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", show_default="the level's", help="Most estimates.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of all randomness.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Of faults: number of seeds.")] = 200,
    jobs: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            show_default="the cores this process may use",
            help="Number of processes; it does not change the results.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the results.")] = Path(
        "out/audit"
    ),
) -> None:
    from reference.errors import InputError

    words = names or []
    with usage_errors():
        if bool(words) == bool(estimator):
            raise InputError("name built-in audits, such as all, or give --estimator; not both")
        foreign = {
            "--problem": problem,
            "--target": target,
            "--steps": steps,
            "--undiscounted": undiscounted or None,
            "--range": reach,
            "--batch": batch,
        }
        given = [name for name, value in foreign.items() if value is not None]
        if words and given:
            raise InputError(f"{given[0]} is of --estimator: built-in audits have their own")
        if words == ["list"]:
            _list()
            return
        from verify.audit.contract import Demand, Norm
        from verify.audit.session import EPSILON
        from verify.contract import Level

        most = limit or (1 << 26 if words else 1 << 16)
        demand = Demand(
            EPSILON[Level[level.upper()]] if epsilon is None else epsilon,
            not absolute,
            Norm(norm),
            alpha,
            limit=most,
        )
        if estimator:
            own = problem or "plain", target or "value.y", steps, undiscounted, reach, batch or 16
            _own(estimator, *own, demand, seed, level, out)
        elif words == ["faults"]:
            _faults(seeds, seed, jobs or _cores(), out)
        else:
            _session(words, demand, seed, level, jobs or _cores(), out)


def _cores() -> int:
    import joblib  # type: ignore[import-untyped]  # joblib ships no types

    return int(joblib.cpu_count())


def _list() -> None:
    from verify.audit.builtin import listed

    for audit in listed():
        typer.echo(audit.name)


def _session(words: list[str], demand: "Demand", seed: int, level: str, jobs: int, out: Path) -> None:
    from verify.audit import session
    from verify.audit.tables import report
    from verify.contract import Status
    from verify.report import tables

    asked = session.Asked(session.select(words), demand, seed, level, session.prepared(out))
    current, interrupted = session.begun(asked), False
    growing = session.growing(current, jobs)
    try:
        with tables.progress() as bar:
            task = bar.add_task("", total=len(current.checks))
            for current in growing:
                bar.update(task, advance=1, description=list(current.results)[-1])
    except KeyboardInterrupt:
        interrupted = True
    command = f"python -m verify audit {' '.join(words)} --level {level} --seed {seed}"
    found = session.concluded(asked, current, command)
    console = tables.console(sys.stdout)
    console.print(report(found["audits"]))
    errors = [outcome for _, outcome in current.finished if outcome.status is Status.ERROR]
    for outcome in errors:
        console.print(f"error in {outcome.name}: {outcome.detail}\n{outcome.traceback}")
    if interrupted:
        typer.echo(f"Interrupted; the same command goes on in {out}", err=True)
        raise typer.Exit(INTERRUPTED)
    if errors or not all(map(session.as_expected, found["audits"])):
        raise typer.Exit(DEVIATION)


def _own(
    spelled: str,
    problem: str,
    target: str,
    steps: int | None,
    undiscounted: bool,
    reach: float | None,
    batch: int,
    demand: "Demand",
    seed: int,
    level: str,
    out: Path,
) -> None:
    from verify.audit import foreign, session
    from verify.audit.document import as_expected
    from verify.audit.own import audit
    from verify.audit.tables import report
    from verify.report import tables

    _bounded_memory()
    folder, name = session.prepared(out), spelled.replace(":", ".")
    try:
        control = session.control(folder, seed)
        found = audit(
            foreign.find(spelled),
            problem,
            target,
            steps=steps,
            discounted=not undiscounted,
            batch=batch,
            epsilon=demand.epsilon,
            relative=demand.relative,
            norm=demand.norm.value,
            alpha=demand.alpha,
            seed=seed,
            limit=demand.limit,
            reach=reach,
            name=name,
            folder=folder,
            told=lambda sentence: typer.echo(sentence, err=True),
        )
    except KeyboardInterrupt:
        typer.echo(f"Interrupted; the same command goes on in {out}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    asked = session.Asked((name,), demand, seed, level, folder)
    given = {"estimator": spelled, "problem": problem, "target": target, "batch": str(batch)}
    words = [f"--{option} {shlex.quote(value)}" for option, value in given.items()]
    words += [] if steps is None else [f"--steps {steps}"]
    words += ["--undiscounted"] if undiscounted else []
    words += [] if reach is None else [f"--range {reach!r}"]
    words += [f"--epsilon {demand.epsilon!r}"] + ([] if demand.relative else ["--absolute"])
    words += [f"--norm {demand.norm.value} --alpha {demand.alpha!r} --limit {demand.limit}"]
    command = f"python -m verify audit {' '.join(words)} --seed {seed}"
    session.concluded(asked, session.ended(asked, [control, found.entry]), command)
    tables.console(sys.stdout).print(report([control, found.entry]))
    if not (as_expected(control) and as_expected(found.entry)):
        raise typer.Exit(DEVIATION)


def _bounded_memory() -> None:
    """Have an allocation beyond the memory that is free refused, instead of the process killed."""
    if not sys.platform.startswith("linux"):
        return
    import resource

    free = {
        line.split(":")[0]: int(line.split()[1]) * 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
    }
    own = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    allowed = own + free["MemAvailable"]
    allowed = allowed if most == resource.RLIM_INFINITY else min(allowed, most)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, most))


def _faults(seeds: int, seed: int, jobs: int, out: Path) -> None:
    from verify.audit import session
    from verify.audit.faults import drawn, table
    from verify.report import tables

    folder = session.prepared(out)
    with tables.progress() as bar:
        task = bar.add_task("", total=None)

        def told(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        try:
            found = table(seeds, seed, jobs, folder, told)
        except KeyboardInterrupt:
            typer.echo(f"Interrupted; the same command goes on in {folder}", err=True)
            raise typer.Exit(INTERRUPTED) from None
    tables.console(sys.stdout).print(drawn(found))
    if not found["as_expected"]:
        raise typer.Exit(DEVIATION)


COMMAND = Command(
    help="Audit estimators of gradients: is the expectation what it should be, and how far from exact?",
    epilog=EPILOG,
    run=_run,
)

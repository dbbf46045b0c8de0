"""``python -m verify reproduce``: the experiments of Section 6, their findings, figures and manifest."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from verify import leaves
from verify.commands.contract import DEVIATION, INTERRUPTED, Command, usage_errors

if TYPE_CHECKING:
    from verify.experiments.carry_out import Request, Results
    from verify.experiments.contract import Choice, Data, Plan

PACKAGE = "verify.experiments"

EPILOG = """
\b
Examples:
  python -m verify reproduce stackelberg                    Figure 1, into out/reproduce/stackelberg
  python -m verify reproduce incentive --budget smoke       all of Figure 3's steps, in seconds
  python -m verify reproduce stackelberg --out DIR          into another directory
  python -m verify reproduce stackelberg --resume           go on after an interruption
  python -m verify reproduce stackelberg --seed 7           other instances and samples
  python -m verify reproduce stackelberg --jobs 1           in this process alone
  python -m verify reproduce stackelberg --check docs/results/stackelberg
                                                            run again and compare
  python -m verify reproduce stackelberg --redraw docs/results/stackelberg
                                                            tables and figures from the curves there
  python -m verify reproduce rlhf                           learning from preferences, on tables
  python -m verify reproduce rlhf --testbed minatar --budget full
                                                            on two games, five seeds, 2 million steps
  python -m verify reproduce rlhf --testbed minatar --game freeway --method a2c --method drlhf
                                                            a part of it: this game, these methods
  python -m verify reproduce rlhf --testbed minatar --seeds 8 --steps 500000
                                                            more seeds, shorter runs
  python -m verify reproduce rlhf --testbed minatar --tensorboard
                                                            then: tensorboard --logdir out/reproduce/rlhf
  python -m verify reproduce rlhf --testbed atari --budget paper --device cuda
                                                            Figure 2, on a machine with a GPU

Exit codes: 0 done, or all as in the results that are checked; 1 a deviation; 2 wrong usage; 130
interrupted: what had finished is kept for --resume.
"""


def _run(
    name: Annotated[
        str, typer.Argument(metavar="EXPERIMENT", show_default=False, help="Such as stackelberg.")
    ],
    budget: Annotated[
        str,
        typer.Option(
            "--budget",
            metavar="NAME",
            show_default="paper, or that of the results to check",
            help="Amount of work: smoke, paper, full, or check on Atari.",
        ),
    ] = "",
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed",
            min=0,
            metavar="N",
            show_default="0, or that of the results to check",
            help="Seed of instances and samples.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            show_default="out/reproduce/EXPERIMENT, or out/check/EXPERIMENT",
            help="Where the results go.",
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            min=1,
            metavar="N",
            show_default="the cores this process may use",
            help="Number of processes; it does not change the results.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Take over what finished in an interrupted run of the same code."),
    ] = False,
    testbed: Annotated[
        str,
        typer.Option(
            "--testbed",
            metavar="NAME",
            show_default="tabular",
            help="Of rlhf: tabular, minatar or atari.",
        ),
    ] = "",
    game: Annotated[
        list[str] | None,
        typer.Option(
            "--game", metavar="NAME", show_default="the testbed's own", help="Of rlhf; may be repeated."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME",
            show_default="all",
            help="Of rlhf: a2c, drlhf, printed, derived, derived-LAMBDA, unpenalised, drlhf-starts; may "
            "be repeated.",
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(
            "--seeds",
            min=1,
            metavar="N",
            show_default="the budget's",
            help="Of rlhf: number of runs of each method, two or more.",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps",
            min=1,
            metavar="N",
            show_default="the budget's",
            help="Of rlhf: environment steps of the policy in each run.",
        ),
    ] = None,
    device: Annotated[
        str,
        typer.Option("--device", metavar="NAME", show_default="cpu", help="Of rlhf: such as cuda."),
    ] = "",
    tensorboard: Annotated[
        bool,
        typer.Option("--tensorboard", help="Of rlhf: TensorBoard's files beside each run's metrics."),
    ] = False,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check",
            metavar="DIR",
            show_default=False,
            help="Run again with the budget and seed of finished results, and compare.",
        ),
    ] = None,
    redraw: Annotated[
        Path | None,
        typer.Option(
            "--redraw",
            metavar="DIR",
            show_default=False,
            help="Make findings, tables and figures of finished results again, from their curves.",
        ),
    ] = None,
) -> None:
    from verify.runner import interruptible, single_threaded

    single_threaded()  # before a numerical library is loaded
    with usage_errors():
        from verify.experiments.contract import Choice

        choice = Choice(
            testbed, tuple(game or ()), tuple(method or ()), seeds or 0, steps or 0, device, tensorboard
        )
        if check and redraw:
            raise typer.BadParameter("--check runs again and --redraw does not: use one of them")
        request = _request(name, budget, seed, check or redraw, choice)
        plan = request.plan()
        if redraw:
            from verify.experiments import carry_out

            carry_out.redraw(request, plan, redraw)
            typer.echo(f"Findings, tables and figures of {redraw} made again")
            return
        wanted = _finished(check) if check else None  # before anything is run
        place = Path(name) / request.choice.testbed
        directory = out or Path("out") / ("check" if check else "reproduce") / place
        try:
            with interruptible():
                results = _carry_out(request, plan, directory, jobs, resume)
        except KeyboardInterrupt:
            again = f"python -m verify reproduce {name} --check {check}" if check else request.command
            typer.echo(f"Interrupted; go on with: {again} --out {directory} --resume", err=True)
            raise typer.Exit(INTERRUPTED) from None
        if check is not None and wanted is not None:
            raise typer.Exit(_compare(check, *wanted, plan, results))


def _request(
    name: str, budget: str, seed: int | None, check: Path | None, choice: "Choice"
) -> "Request":
    from reference.errors import InputError

    names = leaves.defining(PACKAGE, "EXPERIMENT")
    if name not in names:
        raise InputError(f"there is no experiment {name!r}; use one of {', '.join(names)}")
    from verify.experiments import documents
    from verify.experiments.carry_out import Request
    from verify.experiments.contract import Choice, Experiment

    experiment = leaves.leaves(PACKAGE, "EXPERIMENT", Experiment)[name]
    if experiment.chosen is None and choice != Choice():
        raise InputError(f"{name} has no options{choice.words}: leave them out")
    if check is not None:
        made = documents.read(check / documents.MANIFEST)
        if made.get("experiment") != name:
            raise InputError(f"{check} holds results of {made.get('experiment')}, not of {name}")
        given = (budget or made["budget"], made["seed"] if seed is None else seed)
        if given != (made["budget"], made["seed"]):
            raise InputError(
                f"{check} was made with --budget {made['budget']} --seed {made['seed']}: leave them out"
            )
        if choice != Choice():
            raise InputError(f"{check} names its own options: leave{choice.words} out")
        budget, seed, choice = *given, documents.choice(made)
    if experiment.chosen is not None:
        choice = choice if choice.testbed else replace(choice, testbed="tabular")
        experiment = experiment.chosen(choice)
    return Request(name, experiment, budget or "paper", 0 if seed is None else seed, choice)


def _carry_out(
    request: "Request", plan: "Plan", directory: Path, jobs: int | None, resume: bool
) -> "Results":
    import joblib  # type: ignore[import-untyped]  # joblib ships no types

    from verify.experiments import carry_out, documents
    from verify.report.run import Origin
    from verify.report.tables import progress

    origin = Origin.here(carry_out.PACKAGES)
    store = carry_out.store_in(directory, request, origin, resume=resume)
    with progress() as bar:
        task = bar.add_task(request.name, total=None)

        def watch(key: str, done: float, total: float) -> None:
            bar.update(task, completed=done, total=total, description=key or request.name)

        results = carry_out.carry_out(plan, store, jobs=jobs or int(joblib.cpu_count()), watch=watch)
    carry_out.write(request, plan, results, origin, directory)
    typer.echo(f"{len(results.data)} series, {sum(results.seconds.values()):.0f} s of processor time")
    typer.echo((directory / documents.TABLES).read_text(encoding="utf-8"))
    for about, found in results.beside.measured.items():
        typer.echo(f"{about}: {found}")
    typer.echo(f"Written to {directory}")
    return results


def _finished(check: Path) -> "tuple[Data, Any]":
    """Series and findings of a finished run."""
    from verify.experiments import documents

    return documents.read_data(check), documents.read(check / documents.FINDINGS)


def _compare(check: Path, data: "Data", findings: object, plan: "Plan", results: "Results") -> int:
    from verify.experiments import carry_out, documents

    sentences = documents.deviations(data, results.data)
    if findings != carry_out.judged(plan.claims, results.data):
        sentences.append("findings.json differs")
    for sentence in sentences:
        typer.echo(f"Deviation: {sentence}")
    if sentences:
        return DEVIATION
    typer.echo(f"All series and findings are as in {check}")
    return 0


COMMAND = Command("Reproduce an experiment of the paper.", EPILOG, _run)

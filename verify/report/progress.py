"""A run that grows: checks are carried out under a progress bar, and what there is can be kept."""

import contextlib
import time
from collections.abc import Generator

from verify import runner
from verify.report import tables
from verify.report.run import Run


def growing(run: Run, jobs: int) -> Generator[Run, None, None]:
    """Yield the run with one more finished check each time, under a progress bar.

    Parameters
    ----------
    run : Run
        Of which the checks that are left are carried out.
    jobs : int
        Number of processes.
    """
    begin = time.perf_counter() - run.seconds
    finished = runner.run(run.left, run.context, jobs=jobs)
    with tables.progress() as bar, contextlib.closing(finished):
        task = bar.add_task("", total=len(run.left))
        for check, outcomes in finished:
            run = run.after(check, outcomes, time.perf_counter() - begin)
            bar.update(task, advance=1, description=check.name)
            yield run


def cores() -> int:
    """Cores this process may use, which its affinity and its container can limit."""
    import joblib  # type: ignore[import-untyped]  # joblib ships no types

    return int(joblib.cpu_count())

"""How far long jobs are: each tells it in its directory, whatever process it runs in."""

import contextlib
import json
import threading
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from verify.report import files

NAME = "under_way.json"
"""Of the file in a job's directory."""

EVERY = 1.0
"""Seconds between two looks, and between two words of a job."""


@dataclass(frozen=True)
class UnderWay:
    """How far a job is.

    Attributes
    ----------
    share : float
        Of its work that is done, in [0, 1].
    steps_per_second : float
        Environment steps, by the clock.
    doing : str
        What it is at.
    moment : float
        When this was so, in seconds of the clock.
    """

    share: float
    steps_per_second: float
    doing: str
    moment: float = field(default_factory=time.time)


def teller(room: Path) -> Callable[[UnderWay], None]:
    """Return what writes a job's last word into its directory, once in a while."""
    told = float("-inf")

    def tell(now: UnderWay) -> None:
        nonlocal told
        if time.monotonic() - told >= EVERY:
            told = time.monotonic()
            files.write(room / NAME, json.dumps(asdict(now)))

    return tell


def told(room: Path) -> UnderWay | None:
    """The last word of a job, or nothing."""
    path = room / NAME
    return UnderWay(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def spoken(jobs: Mapping[str, UnderWay]) -> str:
    """Say what is at work: one job in full, of several how many, with their steps per second."""
    if not jobs:
        return ""
    rate = f"{sum(job.steps_per_second for job in jobs.values()):,.0f} steps/s"
    if len(jobs) == 1:
        ((key, job),) = jobs.items()
        return f"{key}: {job.doing}, {rate}"
    return f"{len(jobs)} runs at work, {rate}"


@contextlib.contextmanager
def repeated(look: Callable[[], None]) -> Generator[None]:
    """Call a function every so often, from another thread, while the block lasts."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(EVERY):
            look()

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

"""Runs calls in other processes, and yields what they return as they finish."""

import contextlib
import signal
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from multiprocessing import resource_tracker
from typing import Any, TypeVar

Result = TypeVar("Result")


def unordered(
    call: Callable[..., Result], arguments: Iterable[tuple[Any, ...]], workers: int
) -> Generator[Result, None, None]:
    """Call a function with each of some arguments, in two other processes or more.

    Closing the generator ends the processes; an interrupt reaches this process alone.

    Parameters
    ----------
    call : callable
    arguments : iterable of tuple
        Begun in this order.
    workers : int
        Number of processes, 2 or more.

    Raises
    ------
    Exception
        What a call raises, or what ends a process or the sending.
    """
    from joblib import Parallel, delayed  # type: ignore[import-untyped]  # joblib ships no types

    # A list: joblib asks for tasks in another thread, while the caller may change what they are made of.
    tasks = [delayed(call)(*some) for some in arguments]
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", UserWarning)  # that tasks are left when it is closed: on purpose
        with blocked(signal.SIGINT, signal.SIGTERM):  # what is half made would not be taken down
            parallel = stack.enter_context(
                Parallel(workers, backend="loky", batch_size=1, return_as="generator_unordered")
            )
        with blocked(signal.SIGINT):  # processes that start within never see it, but this one does
            results = stack.enter_context(contextlib.closing(parallel(tasks)))
        yield from results


@contextlib.contextmanager
def blocked(*numbers: signal.Signals) -> Iterator[None]:
    """Put off signals until the end; processes that start within keep them blocked.

    A terminal sends SIGINT to the workers too, which would each print a traceback.
    """
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # before Python 3.12, starting it ends the blocking
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)

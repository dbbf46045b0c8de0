"""Audits of built-in estimators to 1 % at confidence 1 - 1e-3, on two threads: how long each takes.

Run ``python benchmarks/audit.py [NAME...]``; without names, all built-in audits.  Seconds of the
processor count what other programs take away; 60 s on two cores are 120 of them.
"""

import sys
import time

import torch
from rich.console import Console
from rich.table import Table

from verify.audit import session
from verify.audit.contract import Demand
from verify.audit.engine import run
from verify.audit.statistics.budget import share

ALLOWED = 120.0


def main(words: list[str]) -> int:
    """Time audits and print a table; 1 if one of them is not certified, or takes too long."""
    torch.set_num_threads(1)
    console = Console(width=110)
    table = Table(title="relative Euclidean bias of every block below 1 %, two threads")
    for heading in ("audit", "verdict", "estimates", "wall s", "processor s"):
        table.add_column(heading, justify="left" if heading == "audit" else "right")
    slow = 0
    for name in session.select(words or ["all"]):
        begun, spent = time.perf_counter(), time.process_time()
        demand = Demand(alarm=share(session.place_of(name)))
        result = run(session.built(name), demand, 0, threads=2)
        wall, cpu = time.perf_counter() - begun, time.process_time() - spent
        slow += not result.certified or cpu > ALLOWED
        count = result.progress.count
        table.add_row(name, result.verdict.value, str(count), f"{wall:.1f}", f"{cpu:.1f}")
        console.print(f"{name}: {result.verdict.value}, {count} estimates, {wall:.1f} s, {cpu:.1f} s")
    console.print(table)
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

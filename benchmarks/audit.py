"""Audits of built-in estimators to 1 % at confidence 1 - 1e-3, on two threads: how long each takes.

    python benchmarks/audit.py [NAME...] [--out FILE]

Without names, all built-in audits.  Seconds of the processor are those of both threads together and
count what a quiet machine would need: 60 s on two cores are 120 of them.  Beside them stands the
clock's.  What is finished is in the file (default: out/audit/speed.json) and is not run again by the
same code, so the same command goes on after an interruption.  An audit that is not certified, or is too
slow, is named, and the exit code is 1.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from verify.audit import session
from verify.audit.contract import Demand
from verify.audit.engine import run
from verify.audit.statistics.budget import share
from verify.report import files
from verify.report.run import Origin

ALLOWED = 120.0


def measure(name: str) -> dict[str, Any]:
    """Run one audit."""
    begun, spent = time.perf_counter(), time.process_time()
    demand = Demand(alarm=share(session.place_of(name)))
    result = run(session.built(name), demand, 0, threads=2)
    wall, cpu = time.perf_counter() - begun, time.process_time() - spent
    return {
        "name": name,
        "verdict": result.verdict.value,
        "samples": result.progress.count,
        "wall": round(wall, 2),
        "processor": round(cpu, 2),
    }


def kept(path: Path, fingerprint: str) -> dict[str, dict[str, Any]]:
    """Rows of an earlier run of the same code, by name."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {row["name"]: row for row in read["rows"]} if read["fingerprint"] == fingerprint else {}


def main() -> None:
    """Measure and print; exit with 1 if an audit is not certified, or takes too long."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", default=["all"])
    parser.add_argument("--out", type=Path, default=Path("out/audit/speed.json"), metavar="FILE")
    given = parser.parse_args()
    torch.set_num_threads(1)
    console, fingerprint = Console(width=110), Origin.here().fingerprint
    given.out.parent.mkdir(parents=True, exist_ok=True)
    asked, listed = session.select(given.names), session.select(["all"])
    rows = kept(given.out, fingerprint)
    for name in asked:
        if name in rows:
            continue
        rows[name] = row = measure(name)
        found = {
            "command": "python benchmarks/audit.py",
            "fingerprint": fingerprint,
            "epsilon": Demand().epsilon,
            "alpha": Demand().alpha,
            "complete": len(rows) == len(listed),
            "rows": [rows[n] for n in listed if n in rows],
        }
        files.write(given.out, json.dumps(found, indent=1) + "\n")
        console.print(", ".join(map(str, row.values())))
    table = Table(title="relative Euclidean bias of every block below 1 %, two threads")
    for heading in ("audit", "verdict", "estimates", "wall s", "processor s"):
        table.add_column(heading, justify="left" if heading == "audit" else "right")
    for name in asked:
        table.add_row(*(str(rows[name][k]) for k in ("name", "verdict", "samples", "wall", "processor")))
    console.print(table)
    slow = [n for n in asked if rows[n]["verdict"] != "CERTIFIED" or rows[n]["processor"] > ALLOWED]
    if slow:
        raise SystemExit(f"not certified, or too slow: {', '.join(slow)}")


if __name__ == "__main__":
    main()

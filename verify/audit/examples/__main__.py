"""``python -m verify.audit.examples``: what other libraries' losses estimate, printed and written."""

import json
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from verify.audit.examples.findings import findings
from verify.report import files

CALLS = 1000


def main(words: list[str]) -> None:
    """Make all numbers; the folder and the number of calls may be given."""
    torch.set_num_threads(1)
    folder = Path(words[0]) if words else Path("out/audit")
    folder.mkdir(parents=True, exist_ok=True)
    found = findings(int(words[1]) if len(words) > 1 else CALLS)
    files.write(folder / "examples.json", json.dumps(found, indent=1, allow_nan=False) + "\n")
    table = Table(
        title=f"H = {found['steps']}, gamma = {found['gamma']:g}, critic: half the exact values"
    )
    for heading in ("quantity", *found["libraries"]):
        table.add_column(heading)
    rows = next(iter(found["libraries"].values()))
    for name, value in rows.items():
        keys = [name] if not isinstance(value, dict) else [f"{name}: {key}" for key in value]
        for key in keys:
            part = key.partition(": ")[2]
            cells = (own[name] if not part else own[name][part] for own in found["libraries"].values())
            table.add_row(key, *(f"{cell:.4g}" for cell in cells))
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])

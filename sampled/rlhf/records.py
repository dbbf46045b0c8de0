"""Metrics as JSON lines, and checkpoints, such that a run goes on as if it had never stopped.

A checkpoint is one file, written beside its place and then moved there.  It holds tensors, numbers and
strings only, and is loaded without executing code.  It knows how long the metrics were when it was
written: whatever was added after that is cut off before a run goes on, and will be written again.

A line of metrics holds what follows from settings and seed alone.  Rates and times go to the progress
display and to TensorBoard.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sampled.errors import InputError
from sampled.rlhf.lanes import Snapshot
from sampled.rlhf.settings import Settings, from_dict

CHECKPOINT, METRICS, SETTINGS = "checkpoint.pt", "metrics.jsonl", "settings.toml"
"""Names of a run's files."""

MAY_DIFFER = frozenset({"run.updates", "run.checkpoint_every"})
"""Settings that a run may change when it goes on: they do not change what an update does."""


class JsonLines:
    """A file to which lines are added.

    Parameters
    ----------
    path : Path
    length : int
        Bytes to keep of what is there.
    """

    def __init__(self, path: Path, length: int = 0) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        if self._file.tell() < length:
            self._file.close()
            raise InputError(
                f"{path} has {path.stat().st_size} bytes and its checkpoint knows {length}: the two do "
                "not belong together; begin a new run in another folder"
            )
        self._file.truncate(length)

    def add(self, line: Mapping[str, Any]) -> None:
        """Add a line; numbers that are not finite become null."""
        self._file.write((json.dumps(_finite(line), sort_keys=True) + "\n").encode())
        self._file.flush()

    def kept(self) -> int:
        """Have everything written for good, and return the length in bytes."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    if isinstance(value, Mapping):
        return {name: _finite(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_finite(v) for v in value]
    return value


def save(path: Path, snapshot: Snapshot) -> None:
    """Write a checkpoint, all or nothing; what killed runs had begun to write is removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for begun in path.parent.glob(f"{path.name}.*.part"):
        begun.unlink(missing_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            torch.save(snapshot, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            beside.unlink()


def load(path: Path, settings: Settings, device: torch.device) -> Snapshot:
    """Read a checkpoint of a run with given settings.

    Raises
    ------
    InputError
        If the file cannot be read or is none of this program's, or the settings differ in more than
        :data:`MAY_DIFFER`.
    """
    snapshot = _read(path)
    then, now = _flat(snapshot["settings"]), _flat(settings.as_dict())
    differ = sorted(
        name for name in then | now if then.get(name) != now.get(name) and name not in MAY_DIFFER
    )
    if differ:
        name = differ[0]
        more = f", and {len(differ) - 1} more differ" if len(differ) > 1 else ""
        raise InputError(
            f"{path} is of another configuration: {name} was {then.get(name)!r} and is now "
            f"{now.get(name)!r}{more}; go on with the old one (it stands in {SETTINGS} beside it), or "
            "begin a new run in another folder"
        )
    if snapshot["device"] != device.type:
        raise InputError(
            f"{path} was written on '{snapshot['device']}', whose generators cannot go on on "
            f"'{device.type}': resume on the same kind of device"
        )
    return snapshot


def _read(path: Path) -> Snapshot:
    try:
        snapshot = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path} is no checkpoint that can be loaded without executing code: {reason}"
        ) from None
    if not isinstance(snapshot, dict) or "settings" not in snapshot:
        raise InputError(f"{path} is no checkpoint of an RLHF run: it names no settings")
    return snapshot


def settings_of(path: Path) -> Settings:
    """Return the settings in a checkpoint.

    Raises
    ------
    InputError
        As :func:`load`.
    """
    return from_dict(_read(path)["settings"])


def _flat(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {f"{section}.{name}": v for section, values in settings.items() for name, v in values.items()}

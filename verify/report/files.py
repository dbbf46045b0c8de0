"""Files that are whole at any moment: written beside their place, then moved into it."""

import os
from pathlib import Path

from reference.errors import InputError


def make_directory(path: Path) -> None:
    """Make a directory for results, if it is not there.

    Raises
    ------
    InputError
        If it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the directory {path}: {error.strerror}; name another --out"
        ) from error


def check_writable(path: Path) -> None:
    """Find out whether :func:`write` can write a file, without changing it.

    Raises
    ------
    InputError
        If it cannot.
    """
    try:
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a directory; name a file in it")
        if path.exists() and not (path.is_file() and os.access(path, os.W_OK)):
            raise InputError(f"cannot write {path}: it is no file that may be written to; name another")
        if not path.parent.is_dir():
            raise InputError(f"cannot write {path}: there is no directory {path.parent}; make it first")
        beside = _beside(path)
        beside.touch()
        beside.unlink()
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; name a file elsewhere") from error


def write(path: Path, text: str) -> None:
    """Replace a file's content by a text, at one stroke.

    What UTF-8 cannot encode is escaped by a backslash, as JSON does.

    Raises
    ------
    InputError
        If it cannot be written; the file is as it was.
    """
    beside = _beside(path)
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(path.resolve())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}; the file is as it was") from error
    finally:
        beside.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    place = path.resolve()
    return place.with_name(f".{place.name}.{os.getpid()}")

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from verify.leaves import deferred, defining, leaves, names, title


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package ``garden`` whose modules are written by the test."""
    root = tmp_path / "garden"
    root.mkdir()
    (root / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    yield root
    for name in [name for name in sys.modules if name.partition(".")[0] == "garden"]:
        del sys.modules[name]


def test_names_are_sorted_and_nothing_is_imported(package: Path) -> None:
    for name in ("oak", "ash", "elm"):
        (package / f"{name}.py").write_text("raise RuntimeError('imported')")
    assert names("garden") == ("ash", "elm", "oak")


def test_leaves_are_keyed_by_file_in_sorted_order(package: Path) -> None:
    (package / "oak.py").write_text("LEAF = 'o'")
    (package / "ash.py").write_text("LEAF = 'a'")
    (package / "shared.py").write_text("def helper(): ...")
    assert list(leaves("garden", "LEAF", str).items()) == [("ash", "a"), ("oak", "o")]


def test_modules_that_define_a_constant_are_found_without_importing(package: Path) -> None:
    (package / "oak.py").write_text("raise RuntimeError('imported')\nLEAF = 'o'")
    (package / "shared.py").write_text("def helper():\n    LEAF = 1")
    assert defining("garden", "LEAF") == ("oak",)


def test_leaf_of_another_kind_is_not_skipped(package: Path) -> None:
    (package / "oak.py").write_text("LEAF = 3")
    with pytest.raises(TypeError, match=r"garden\.oak\.LEAF is a int; it must be a str"):
        leaves("garden", "LEAF", str)


def test_title_is_read_without_importing(package: Path) -> None:
    (package / "oak.py").write_text('"""A tall tree.\n\nWith more.\n"""\nraise RuntimeError("imported")')
    assert title("garden.oak") == "A tall tree"


def test_title_of_what_has_none(package: Path) -> None:
    (package / "oak.py").write_text("LEAF = 3")
    with pytest.raises(ValueError, match=r"garden\.oak has no docstring"):
        title("garden.oak")
    with pytest.raises(ModuleNotFoundError, match=r"garden\.elm"):
        title("garden.elm")


def test_deferred_call_survives_pickling_and_imports_late(package: Path) -> None:
    late = pickle.loads(pickle.dumps(deferred("garden.oak", "grow", 2)))
    (package / "oak.py").write_text("def grow(years, rate): return years * rate")
    assert "garden.oak" not in sys.modules
    assert late(3) == 6

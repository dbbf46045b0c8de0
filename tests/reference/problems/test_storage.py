"""What is saved comes back bit for bit, or not at all."""

import errno
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference.domains import Euclidean
from reference.errors import InputError
from reference.evaluated import Evaluated
from reference.evaluation import evaluate
from reference.policies import DirectPolicy
from reference.problems.general_position import (
    general_distributions,
    general_game,
    general_game_family,
    general_incentive_design,
    general_mdp,
    general_regularizers,
    general_rlhf,
    general_shaping,
    general_stackelberg,
    linear_family,
    potential_family,
    tabular_family,
)
from reference.problems.hard_cases import hard_cases, hard_families, hard_games
from reference.problems.instances import random_incentive_design
from reference.problems.mdp import Mdp, MdpFamily
from reference.problems.parametrizations import FixedKernel, UserKernel, UserMap
from reference.problems.rlhf import LabelByReturn
from reference.problems.storage import load, save
from reference.problems.structure import stack
from tests import strategies

AnyArray = npt.NDArray[Any]


def bits(value: object) -> object:
    """Everything about a value: types, dtypes, shapes, bytes (so that -0 and NaNs count too)."""
    if isinstance(value, np.ndarray | np.generic):
        return type(value), value.dtype, value.shape, value.tobytes()
    if is_dataclass(value):
        return type(value), {f.name: bits(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return type(value), [bits(part) for part in value]
    if isinstance(value, dict):
        return type(value), [(key, bits(part)) for key, part in value.items()]
    return type(value), repr(value)


def records() -> dict[str, object]:
    rng = np.random.default_rng(1)
    return {
        **hard_cases(),
        **{f"family of {name}": family for name, family in hard_families().items()},
        **{f"game {name}": game for name, game in hard_games().items()},
        **{
            f"mdp with {name}": general_mdp(rng, regularizer=h)
            for name, h in general_regularizers(rng, 4, 3).items()
        },
        "tabular": tabular_family(rng),
        "linear": linear_family(rng),
        "potential": potential_family(rng),
        "softmax leader": general_stackelberg(rng),
        "direct leader": general_stackelberg(rng, leader=DirectPolicy),
        "rlhf": general_rlhf(rng, labels=LabelByReturn()),
        "shaping": general_shaping(rng),
        "game": general_game(rng),
        "game family": general_game_family(rng),
        "incentive design": general_incentive_design(rng),
        "section 6.3": random_incentive_design(rng),
        "batch": stack([linear_family(rng) for _ in range(2)]),
        "domain": Euclidean((2,)),
    }


RECORDS = records()


@pytest.mark.parametrize("name", RECORDS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    record, path = RECORDS[name], tmp_path / "record.npz"
    save(path, record)
    assert bits(load(path, type(record))) == bits(record)
    assert os.listdir(tmp_path) == ["record.npz"]


@given(st.one_of(strategies.parametric_mdps(), strategies.parametric_games()))
@settings(max_examples=25, deadline=None, derandomize=True)
def test_every_problem_makes_the_round_trip(problem: object) -> None:
    with TemporaryDirectory() as folder:
        save(Path(folder) / "x", problem)
        assert bits(load(Path(folder) / "x", object)) == bits(problem)


def test_evaluated_of_any_content(tmp_path: Path) -> None:
    """Any public frozen dataclass of the package will do, whatever numbers it holds."""
    odd = np.array([np.nan, -0.0, np.inf, 5e-324])
    content = (
        np.float64(0.1),
        np.int32(7),
        odd.reshape(2, 2, order="F"),
        np.zeros((0, 3), dtype=np.int16),
        np.array(["a", "bc"]),
        np.array(1j),
        [1, 2**80, True, None, "text", 0.1, -0.0, float("nan"), -float("inf")],
        {"a.b": odd, "a": {"b": odd[::2]}, "header": (), "file": np.arange(3)},
    )
    record = Evaluated(odd, odd[::-1], content)  # type: ignore[arg-type]  # what is tested
    save(tmp_path / "x", record)
    assert bits(load(tmp_path / "x", Evaluated)) == bits(record)


def test_equal_records_give_equal_files(tmp_path: Path) -> None:
    for name in ("one", "other"):
        save(tmp_path / name, general_mdp(np.random.default_rng(2)))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


def test_numpy_reads_the_arrays(tmp_path: Path) -> None:
    mdp = general_mdp(np.random.default_rng(3))
    save(tmp_path / "mdp.npz", mdp)
    with np.load(tmp_path / "mdp.npz", allow_pickle=False) as archive:
        assert archive.files == ["header", "P_sat", "r_sa", "rho_s", "regularizer.weight_s"]
        np.testing.assert_array_equal(archive["P_sat"], mdp.P_sat)


@dataclass(frozen=True)
class Checkpoint:
    """What an algorithm of another package might keep."""

    step: object
    problem: Mdp


@dataclass
class Mutable:
    step: int


def test_a_checkpoint_of_another_package(tmp_path: Path) -> None:
    """The caller names further packages; the file cannot."""
    path, checkpoint = tmp_path / "x", Checkpoint(3, tied())
    both = ("reference", "tests")
    with pytest.raises(InputError, match=r"record is .*Checkpoint, which is no .* add its package"):
        save(path, checkpoint)
    save(path, checkpoint, packages=both)
    assert bits(load(path, Checkpoint, packages=both)) == bits(checkpoint)
    with pytest.raises(InputError, match=r"Checkpoint is no public frozen dataclass"):
        load(path, Checkpoint)
    with pytest.raises(InputError, match=r"step is .*Mutable, which is no public frozen dataclass"):
        save(path, Checkpoint(Mutable(3), tied()), packages=both)


# What cannot be saved.


def user_family(**parts: Any) -> MdpFamily:
    mdp = general_mdp(np.random.default_rng(4))
    reward = UserMap(lambda x: x, lambda _, g: g, Euclidean(mdp.r_sa.shape))
    family = tabular_family(np.random.default_rng(4), mdp)
    return MdpFamily(
        **{
            "reward": reward,
            "kernel": FixedKernel(mdp.P_sat),
            "gamma": mdp.gamma,
            "rho_s": mdp.rho_s,
            "tau": mdp.tau,
            "regularizer": mdp.regularizer,
            **({"reward": family.reward} | parts if parts else {}),
        }
    )


def user_kernel() -> UserKernel:
    P = general_distributions(np.random.default_rng(5), (4, 3, 4))
    return UserKernel(lambda _: P, lambda x, _: np.zeros_like(x), Euclidean((4, 3)))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (user_family, r"reward\.value is function.* such as LinearReward"),
        (lambda: user_family(kernel=user_kernel()), r"kernel\.value is function"),
        (lambda: evaluate(tied(), np.full((4, 3), 1 / 3)), r"chain is reference\.resolvents\._"),
        (lambda: Evaluated(np.array([object()]), np.zeros(1), ()), r"value .* dtype object.*convert"),
        (
            lambda: Evaluated(np.ma.masked_equal([1.0, 2.0], 1.0), np.zeros(1), ()),
            r"value is MaskedArray",
        ),
        (lambda: Evaluated({1: 2}, np.zeros(1), ()), r"value is dict"),  # type: ignore[arg-type]  # tested
        (lambda: Evaluated({1.0}, np.zeros(1), ()), r"value is set"),  # type: ignore[arg-type]  # tested
        (lambda: Mdp, r"record is type; only frozen dataclasses"),
        (lambda: np.zeros(3), r"record is ndarray; only frozen dataclasses"),
    ],
)
def test_what_cannot_be_saved(record: Callable[[], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        save(tmp_path / "record.npz", record())
    assert os.listdir(tmp_path) == []


def tied() -> Mdp:
    return hard_cases()["tied_actions"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, mdp = tmp_path / "mdp.npz", tied()
    save(path, mdp)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InputError, match=r"cannot write .*mdp.npz: No space .*nothing was changed"):
        save(path, general_mdp(np.random.default_rng(6)))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["mdp.npz"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", r"\. is there and no file"),
        (os.devnull, "null is there and no file"),
        (3, "path is 3; it must be the path of a file"),
        ("a\0b", "path is 'a.*; it must be the path of a file"),
        ("nowhere/a.npz", "nowhere is not a directory"),
        ("a" * 300, "cannot write a.*File name too long"),
    ],
)
def test_paths_that_cannot_be_written(
    path: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        save(path, tied())
    with pytest.raises(InputError, match=r"is not a file|must be the path|cannot read"):
        load(path, Mdp)
    assert os.listdir(tmp_path) == []


def test_bad_classes_and_packages(tmp_path: Path) -> None:
    path = tmp_path / "mdp.npz"
    with pytest.raises(InputError, match=r"packages is 'reference'; .*give \('reference',\)"):
        save(path, tied(), packages="reference")
    save(path, tied())
    kind: Any = "Mdp"
    with pytest.raises(InputError, match="kind is 'Mdp'; it must be a class"):
        load(path, kind)


# What cannot be loaded: damage of every kind, done to the file of an MDP.


def rewrite(path: Path, change: Callable[[dict[str, Any], dict[str, AnyArray]], Any]) -> None:
    """Change the header and the arrays of a file."""
    with np.load(path, allow_pickle=False) as archive:
        arrays = {key: archive[key] for key in archive.files}
    header = json.loads(str(arrays.pop("header")))
    change(header, arrays)
    np.savez(path, header=np.array(json.dumps(header)), **arrays)


def root_fields(header: dict[str, Any]) -> dict[str, Any]:
    found = header["root"]["fields"]
    assert isinstance(found, dict)
    return found


HEADERS: dict[str, tuple[Callable[[dict[str, Any], dict[str, AnyArray]], Any], str]] = {
    "newer version": (lambda h, _: h.update(version=2), r"version 2 .* up to 1: update the program"),
    "version of another kind": (
        lambda h, _: h.update(version="1"),
        r"version '1'.*program that wrote it",
    ),
    "other schema": (lambda h, _: h.update(schema="other"), r"schema is 'other'.*program that wrote it"),
    "no schema": (lambda h, _: h.pop("schema"), r"header cannot be read.*restore it"),
    "no root": (lambda h, _: h.pop("root"), r"header cannot be read"),
    "missing field": (
        lambda h, _: root_fields(h).pop("gamma"),
        r"Mdp lacks the fields \['gamma'\].*version that wrote",
    ),
    "unknown field": (lambda h, _: root_fields(h).update(beta=1), r"unknown fields \['beta'\]"),
    "missing array": (lambda _, arrays: arrays.pop("P_sat"), r"'P_sat'.* the file lacks.*restore it"),
    "unknown class": (
        lambda h, _: h["root"].update({"class": "reference.problems.mdp.Mpd"}),
        r"Mpd is no public",
    ),
    "foreign class": (
        lambda h, _: h["root"].update({"class": "os.PathLike"}),
        r"os\.PathLike is no public",
    ),
    "function": (
        lambda h, _: h["root"].update({"class": "reference.problems.mdp.discount"}),
        r"discount is no public",
    ),
    "imported name": (
        lambda h, _: h["root"].update({"class": "reference.problems.rlhf.Mdp"}),
        r"rlhf\.Mdp is no public",
    ),
    "private class": (
        lambda h, _: h["root"].update({"class": "reference.resolvents._Factorized"}),
        r"_Factorized is no public",
    ),
    "class that is no name": (lambda h, _: h["root"].update({"class": 3}), r"3 is no public"),
    "other class": (
        lambda h, _: h.update(
            root={"class": "reference.domains.Euclidean", "fields": {"shape": {"tuple": [2]}}}
        ),
        r"holds Euclidean, not Mdp",
    ),
    "no class": (lambda h, _: h.update(root=[1, 2]), r"holds list, not Mdp"),
    "unknown node": (
        lambda h, _: root_fields(h).update(gamma={"fraction": [1, 2]}),
        r"entry \{'fraction'",
    ),
    "number of another kind": (lambda h, _: root_fields(h).update(gamma="0.9"), r"gamma is '0.9'"),
    "part of another kind": (lambda h, _: root_fields(h).update(regularizer=3), r"regularizer is int"),
    "wrong values": (
        lambda _, arrays: arrays.update(P_sat=2.0 * arrays["P_sat"]),
        r"P_sat\[0, 0\] sums to 1\.99",
    ),
    "wrong shape": (lambda _, arrays: arrays.update(r_sa=arrays["r_sa"].T), r"r_sa has shape \(3, 4\)"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_wrong_contents_are_refused(case: str, tmp_path: Path) -> None:
    change, message = HEADERS[case]
    path = tmp_path / "mdp.npz"
    save(path, tied())
    rewrite(path, change)
    with pytest.raises(InputError, match=rf"mdp\.npz.*{message}"):
        load(path, Mdp)


class Trap:
    """Unpickling it would write a file."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, ("sprung",)


def test_pickles_are_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "arrays.npz", header=np.array([Trap()], dtype=object))
    (tmp_path / "plain.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("arrays.npz", "plain.npz"):
        with pytest.raises(InputError, match=rf"{name} is not a readable .npz file"):
            load(tmp_path / name, object)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a readable"),
        (b"PK\x03\x04", "not a readable"),
        (b"text\n", "not a readable"),
        (b"\x93NUMPY", "not a readable"),
    ],
)
def test_other_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"x\.npz is {message} .npz file.*restore it"):
        load(path, object)


def test_a_plain_array_file_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(InputError, match=r"x\.npy is not a readable .npz"):
        load(tmp_path / "x.npy", object)
    np.savez(tmp_path / "x.npz", P_sat=np.zeros(3))
    with pytest.raises(InputError, match=r"x\.npz has no header; .* numpy\.load"):
        load(tmp_path / "x.npz", object)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.npz is not a file; check the path"):
        load(tmp_path / "missing.npz", object)
    with pytest.raises(InputError, match=r"is not a file"):
        load(tmp_path, object)
    with pytest.raises(InputError, match=r"nowhere is not a directory; create it"):
        save(tmp_path / "nowhere" / "x.npz", tied())


def test_truncated_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mdp.npz"
    save(path, tied())
    whole = path.read_bytes()
    for length in np.linspace(0, len(whole) - 1, 25).astype(int):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"mdp\.npz is not a readable"):
            load(path, Mdp)


def test_a_flipped_bit_never_goes_unseen(tmp_path: Path) -> None:
    """Each entry has a checksum: a file with one changed byte is refused, or reads the same."""
    path, mdp = tmp_path / "mdp.npz", tied()
    save(path, mdp)
    whole, rng = path.read_bytes(), np.random.default_rng(7)
    refused = 0
    for position in rng.choice(len(whole), 200, replace=False):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            assert bits(load(path, Mdp)) == bits(mdp)
        except InputError:
            refused += 1
    assert refused > 100


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mdp.npz"
    save(path, tied())
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.start_dir
    content[start + 8] |= 1
    content[6] |= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"mdp\.npz is not a readable"):
        load(path, Mdp)

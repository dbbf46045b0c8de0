"""States, schedules and the loop."""

from dataclasses import dataclass

import numpy as np
import pytest

from reference.algorithms.contract import Constant, Power, Record, State, run, scheduled
from reference.errors import InputError


@dataclass(frozen=True)
class Halving:
    """The smallest algorithm: x <- x / 2."""

    def step(self, state: State) -> State:
        return State(state.k + 1, state.x / 2.0, state.y)

    def record(self, state: State, following: State) -> Record:
        return Record(state.k, state.x - following.x, following.x, following.x)


def test_run_records_multiples_and_changes_nothing() -> None:
    start = State(0, np.ones(2), ())
    plain, recorded = run(Halving(), start, 7), run(Halving(), start, 7, record_every=3)
    assert plain.records == ()
    assert [r.k for r in recorded.records] == [0, 3, 6]
    assert np.array_equal(plain.state.x, recorded.state.x)
    assert np.array_equal(plain.state.x, np.full(2, 2.0**-7))
    assert (plain.state.k, run(Halving(), start, 0).state) == (7, start)
    # The multiples are those of k, wherever the run began.
    later = run(Halving(), run(Halving(), start, 2).state, 5, record_every=3)
    assert [r.k for r in later.records] == [3, 6]


def test_state_is_a_read_only_copy_in_one_layout() -> None:
    given = np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)).transpose(1, 0, 2)
    state = State(0, given, (given,), (given[::-1],))
    for array in (state.x, *state.y, *state.oracle):
        assert array.flags.c_contiguous
        assert not array.flags.writeable
        assert not np.shares_memory(array, given)
    assert np.array_equal(state.x, given)


def test_state_refuses_what_diverged() -> None:
    with pytest.raises(InputError, match=r"x\[1\] is inf"):
        State(0, np.array([0.0, np.inf]), ())
    with pytest.raises(InputError, match=r"y\[0\]\[0\] is nan"):
        State(0, np.zeros(2), (np.array([np.nan]),))
    with pytest.raises(InputError, match="k is -1"):
        State(-1, np.zeros(2), ())


def test_schedules() -> None:
    assert [Constant(0.5)(k) for k in (0, 9)] == [0.5, 0.5]
    assert [Power(8.0, -0.5)(k) for k in (0, 3)] == [8.0, 4.0]
    assert scheduled("step", lambda k: 2.0 * k, 3) == 6.0


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, True])
def test_schedules_are_positive_numbers(value: float) -> None:
    with pytest.raises(InputError, match="value is"):
        Constant(value)
    with pytest.raises(InputError, match="first is"):
        Power(value, 1.0)
    with pytest.raises(InputError, match=r"step\(4\) is"):
        scheduled("step", lambda _: value, 4)


def test_run_refuses_negative_counts() -> None:
    with pytest.raises(InputError, match="iterations is -1"):
        run(Halving(), State(0, np.ones(2), ()), -1)
    with pytest.raises(InputError, match=r"record_every is 0\.5"):
        run(Halving(), State(0, np.ones(2), ()), 1, record_every=0.5)  # type: ignore[arg-type]  # wrong on purpose

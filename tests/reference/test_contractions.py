"""Contractions against sums over named axes."""

import numpy as np
import pytest

from reference import contractions
from reference.validation import Array

S, A, B, K = 4, 3, 2, 5


def close(ours: Array, expected: Array) -> None:
    assert ours.shape == expected.shape
    # Sums of at most 24 numbers below 1.
    assert np.abs(ours - expected).max() <= 24 * np.finfo(np.float64).eps * max(1.0, expected.max())


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_contractions(batch: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(31)
    P_sat, P_sabt = generator.random((*batch, S, A, S)), generator.random((*batch, S, A, B, S))
    pi_sa, pi_sb = generator.random((*batch, S, A)), generator.random((*batch, S, B))
    v_kt = generator.random((*batch, K, S))
    for first, second in ((P_sat, pi_sa), (P_sat, pi_sa[(0,) * len(batch)])):
        close(contractions.policy_chain(first, second), np.einsum("...sat,...sa->...st", first, second))
        close(contractions.arrivals(first, second), np.einsum("...sat,...sa->...t", first, second))
        monkeypatch.setattr(contractions, "LARGE", 1)
        close(contractions.arrivals(first, second), np.einsum("...sat,...sa->...t", first, second))
        monkeypatch.undo()
    close(contractions.leader_mixture(P_sabt, pi_sa), np.einsum("...sabt,...sa->...sbt", P_sabt, pi_sa))
    close(
        contractions.follower_mixture(P_sabt, pi_sb), np.einsum("...sabt,...sb->...sat", P_sabt, pi_sb)
    )
    for values in (v_kt, v_kt[(0,) * len(batch)], v_kt[..., :1, :]):
        close(contractions.next_values(P_sat, values), np.einsum("...sat,...kt->...ksa", P_sat, values))
        monkeypatch.setattr(contractions, "LARGE", 1)
        close(contractions.next_values(P_sat, values), np.einsum("...sat,...kt->...ksa", P_sat, values))
        monkeypatch.undo()
    pi_ksa = np.stack([pi_sa, 2.0 * pi_sa], axis=-3)
    close(contractions.policy_chains(P_sat, pi_ksa), np.einsum("...sat,...ksa->...kst", P_sat, pi_ksa))
    merged = contractions.joint_actions(P_sabt, trailing=1)
    assert np.shares_memory(merged, P_sabt)
    assert (merged[..., 2 * B + 1, :] == P_sabt[..., 2, 1, :]).all()


@pytest.mark.parametrize(("of_rows", "of_actions"), [((), ()), ((3,), (3,)), ((3,), ()), ((), (2, 3))])
def test_chosen_rows(of_rows: tuple[int, ...], of_actions: tuple[int, ...]) -> None:
    generator = np.random.default_rng(32)
    P_sat = generator.random((*of_rows, S, A, S))
    action_s = generator.integers(0, A, (*of_actions, S))
    expected = np.einsum("...sat,...sa->...st", P_sat, np.eye(A)[action_s])
    assert (contractions.chosen_rows(P_sat, action_s) == expected).all()


@pytest.mark.parametrize("workers", [2, 3, 7])
def test_states_divided_among_processors(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(33)
    P_sat, pi_ksa = generator.random((2, S, A, S)), generator.random((K, S, A))
    v_kt = generator.random((2, K, S))
    monkeypatch.setattr(contractions, "processors", lambda: workers)
    threads: list[int] = []
    multiply = np.matmul

    def counted(left: Array, right: Array, out: Array) -> Array:
        threads.append(left.shape[-3])
        return multiply(left, right, out=out)

    monkeypatch.setattr(np, "matmul", counted)

    def results() -> list[Array]:
        return [
            contractions.policy_chains(P_sat, pi_ksa),
            contractions.policy_chain(P_sat[0], pi_ksa[0]),
            contractions.next_values(P_sat, v_kt),
        ]

    alone = results()
    assert threads == [S] * 3
    threads.clear()
    monkeypatch.setattr(contractions, "LARGE", 1)
    for one, divided in zip(alone, results(), strict=True):
        assert (one == divided).all()
    assert len(threads) == 3 * workers
    assert sum(threads) == 3 * S


def test_what_a_thread_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Array, out: Array) -> Array:
        raise MemoryError(out.shape)

    monkeypatch.setattr(contractions, "LARGE", 1)
    monkeypatch.setattr(contractions, "processors", lambda: 2)
    monkeypatch.setattr(np, "matmul", fail)
    with pytest.raises(MemoryError):
        contractions.policy_chain(np.ones((S, A, S)), np.ones((S, A)))


def test_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    usable = contractions.processors()
    assert usable >= 1
    for allowed, expected in (("1", 1), ("0", 1), ("999", usable), ("", usable), ("4,2", usable)):
        monkeypatch.setenv("OMP_NUM_THREADS", allowed)
        assert contractions.processors() == expected


@pytest.mark.parametrize("large", [1, 1 << 30])
def test_products_of_one_matrix(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contractions, "LARGE", large)
    generator = np.random.default_rng(34)
    P_rt, v_t = generator.random((S, A)), generator.random(A)
    close(contractions.chain_product(P_rt, v_t), (P_rt * v_t).sum(axis=1))
    close(contractions.chain_product(P_rt.T, np.ones(S)), P_rt.sum(axis=0))
    close(contractions.row_sums(np.stack([P_rt, 2.0 * P_rt])), np.stack([P_rt, 2.0 * P_rt]).sum(axis=-1))

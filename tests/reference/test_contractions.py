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
def test_contractions(batch: tuple[int, ...]) -> None:
    generator = np.random.default_rng(31)
    P_sat, P_sabt = generator.random((*batch, S, A, S)), generator.random((*batch, S, A, B, S))
    pi_sa, pi_sb = generator.random((*batch, S, A)), generator.random((*batch, S, B))
    v_kt = generator.random((*batch, K, S))
    for first, second in ((P_sat, pi_sa), (P_sat, pi_sa[(0,) * len(batch)])):
        close(contractions.policy_chain(first, second), np.einsum("...sat,...sa->...st", first, second))
        close(contractions.arrivals(first, second), np.einsum("...sat,...sa->...t", first, second))
    close(contractions.leader_mixture(P_sabt, pi_sa), np.einsum("...sabt,...sa->...sbt", P_sabt, pi_sa))
    close(
        contractions.follower_mixture(P_sabt, pi_sb), np.einsum("...sabt,...sb->...sat", P_sabt, pi_sb)
    )
    for values in (v_kt, v_kt[(0,) * len(batch)], v_kt[..., :1, :]):
        close(contractions.next_values(P_sat, values), np.einsum("...sat,...kt->...ksa", P_sat, values))
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

"""Contractions of a transition tensor, each as matrix products that read it once.

Two players' actions count as one axis: ``P_sabt.reshape(S, A * B, S)`` is a view.
"""

import numpy as np
import numpy.typing as npt

from reference.validation import Array


def policy_chain(P_sat: Array, pi_sa: Array) -> Array:
    """sum_a pi(a|s) P(t|s,a), shape (..., S, T)."""
    return np.asarray((pi_sa[..., None, :] @ P_sat)[..., 0, :])


def policy_chains(P_sat: Array, pi_ksa: Array) -> Array:
    """sum_a pi_k(a|s) P(t|s,a) for a list of policies, shape (..., K, S, T); P is read once."""
    return np.asarray(np.moveaxis(np.moveaxis(pi_ksa, -3, -2) @ P_sat, -2, -3))


def leader_mixture(P_sabt: Array, pi_sa: Array) -> Array:
    """sum_a pi(a|s) P(t|s,a,b), shape (..., S, B, T)."""
    *batch, n_states, n_first, n_second, n_next = P_sabt.shape
    mixed = policy_chain(P_sabt.reshape(*batch, n_states, n_first, n_second * n_next), pi_sa)
    return mixed.reshape(*mixed.shape[:-1], n_second, n_next)


def follower_mixture(P_sabt: Array, pi_sb: Array) -> Array:
    """sum_b pi(b|s) P(t|s,a,b), shape (..., S, A, T)."""
    return np.asarray((pi_sb[..., None, None, :] @ P_sabt)[..., 0, :])


def chosen_rows(P_sat: Array, action_s: npt.NDArray[np.intp]) -> Array:
    """P(t|s, action(s)) of a deterministic policy, shape (..., S, T); reads those rows alone."""
    batch = np.broadcast_shapes(P_sat.shape[:-3], action_s.shape[:-1])
    P_sat = np.broadcast_to(P_sat, (*batch, *P_sat.shape[-3:]))
    action_s = np.broadcast_to(action_s, (*batch, action_s.shape[-1]))
    return np.asarray(P_sat[(*np.indices(action_s.shape, sparse=True), action_s)])


def next_values(P_sat: Array, v_kt: Array) -> Array:
    """sum_t P(t|s,a) v_k(t) for a list of value vectors, shape (..., K, S, A)."""
    *batch, n_states, n_actions, n_next = P_sat.shape
    if v_kt.shape[-2] == 1:
        # One product of a matrix and a vector for all states, which BLAS spreads over the cores.
        rows = P_sat.reshape(*batch, n_states * n_actions, n_next)
        expected = v_kt @ np.swapaxes(rows, -1, -2)
        return expected.reshape(*expected.shape[:-1], n_states, n_actions)
    # One small product per state: P streams through once for all k.
    expected = P_sat @ np.swapaxes(v_kt, -1, -2)[..., None, :, :]
    return np.asarray(np.moveaxis(expected, -1, -3))


def arrivals(P_sat: Array, w_sa: Array) -> Array:
    """sum_sa w(s,a) P(t|s,a), shape (..., T)."""
    *batch, n_states, n_actions, n_next = P_sat.shape
    rows = P_sat.reshape(*batch, n_states * n_actions, n_next)
    flat = w_sa.reshape(*w_sa.shape[:-2], 1, n_states * n_actions)
    return np.asarray((flat @ rows)[..., 0, :])


def joint_actions(array: Array, *, trailing: int) -> Array:
    """Merge the two action axes that stand before the last ``trailing`` axes; a view."""
    split = array.ndim - trailing
    return array.reshape(*array.shape[: split - 2], -1, *array.shape[split:])

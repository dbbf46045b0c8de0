"""Contractions of a transition tensor, each as matrix products that read it once.

Two players' actions count as one axis: ``P_sabt.reshape(S, A * B, S)`` is a view.  Most are one small
product per state.  NumPy goes through these on one processor, which reads memory at a part of the
machine's rate: a large tensor's states are divided among the processors, with the same result.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from reference.validation import Array

LARGE = 4 << 20
"""Numbers (32 MiB) from which on a tensor's states are divided: reading fewer takes hardly longer than
starting threads."""


def processors() -> int:
    """Processors that this process may use; OMP_NUM_THREADS bounds it, as in the libraries below."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, int(allowed))) if allowed.isdecimal() else usable


def _products(left: Array, right: Array, out: Array | None = None) -> Array:
    """left @ right for many pairs of matrices, divided along the last axis before them."""
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    result = np.empty((*batch, left.shape[-2], right.shape[-1])) if out is None else out
    workers = processors() if max(left.size, right.size) >= LARGE else 1
    if workers == 1:
        return np.matmul(left, right, out=result)
    left = np.broadcast_to(left, (*batch, *left.shape[-2:]))
    right = np.broadcast_to(right, (*batch, *right.shape[-2:]))

    def multiply(first: int, end: int) -> None:
        states = (..., slice(first, end), slice(None), slice(None))
        np.matmul(left[states], right[states], out=result[states])

    bounds = np.linspace(0, batch[-1], workers + 1).astype(int).tolist()
    with ThreadPoolExecutor(workers) as pool:
        # A list: what a thread raises is raised here.
        list(pool.map(multiply, bounds[:-1], bounds[1:]))
    return result


def chain_product(P_rt: Array, v_t: Array) -> Array:
    """sum_t P(t|r) v(t) of one matrix, shape (R,).

    A small one is left to NumPy's own loop on one processor: BLAS would wake its threads, which gain
    little and then, spinning for a while, keep the other processors from the next product.
    """
    return np.asarray(P_rt @ v_t if P_rt.size >= LARGE else np.einsum("rt,t->r", P_rt, v_t))


def row_sums(P_rt: Array) -> Array:
    """sum_t P(t|r), shape (..., R)."""
    large = P_rt.size >= LARGE
    return np.asarray(P_rt @ np.ones(P_rt.shape[-1]) if large else P_rt.sum(axis=-1))


def policy_chain(P_sat: Array, pi_sa: Array) -> Array:
    """sum_a pi(a|s) P(t|s,a), shape (..., S, T)."""
    return _products(pi_sa[..., None, :], P_sat)[..., 0, :]


def policy_chains(P_sat: Array, pi_ksa: Array) -> Array:
    """sum_a pi_k(a|s) P(t|s,a) for a list of policies, shape (..., K, S, T); P is read once."""
    batch = np.broadcast_shapes(P_sat.shape[:-3], pi_ksa.shape[:-3])
    chains_kst = np.empty((*batch, *pi_ksa.shape[-3:-1], P_sat.shape[-1]))
    _products(np.moveaxis(pi_ksa, -3, -2), P_sat, out=np.moveaxis(chains_kst, -3, -2))
    return chains_kst


def leader_mixture(P_sabt: Array, pi_sa: Array) -> Array:
    """sum_a pi(a|s) P(t|s,a,b), shape (..., S, B, T)."""
    *batch, n_states, n_first, n_second, n_next = P_sabt.shape
    mixed = policy_chain(P_sabt.reshape(*batch, n_states, n_first, n_second * n_next), pi_sa)
    return mixed.reshape(*mixed.shape[:-1], n_second, n_next)


def follower_mixture(P_sabt: Array, pi_sb: Array) -> Array:
    """sum_b pi(b|s) P(t|s,a,b), shape (..., S, A, T)."""
    return _products(pi_sb[..., None, None, :], P_sabt)[..., 0, :]


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
        # One product of a matrix and a vector for all states, which BLAS itself divides.
        rows = P_sat.reshape(*batch, n_states * n_actions, n_next)
        expected = v_kt @ np.swapaxes(rows, -1, -2)
        return expected.reshape(*expected.shape[:-1], n_states, n_actions)
    return np.moveaxis(_products(P_sat, np.swapaxes(v_kt, -1, -2)[..., None, :, :]), -1, -3)


def arrivals(P_sat: Array, w_sa: Array) -> Array:
    """sum_sa w(s,a) P(t|s,a), shape (..., T)."""
    if P_sat.size >= LARGE:
        return np.asarray(policy_chain(P_sat, w_sa).sum(axis=-2))
    *batch, n_states, n_actions, n_next = P_sat.shape
    rows = P_sat.reshape(*batch, n_states * n_actions, n_next)
    flat = w_sa.reshape(*w_sa.shape[:-2], 1, n_states * n_actions)
    return np.asarray((flat @ rows)[..., 0, :])


def joint_actions(array: Array, *, trailing: int) -> Array:
    """Merge the two action axes that stand before the last ``trailing`` axes; a view."""
    split = array.ndim - trailing
    return array.reshape(*array.shape[: split - 2], -1, *array.shape[split:])

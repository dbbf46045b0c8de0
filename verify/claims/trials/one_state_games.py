r"""Batches of zero-sum games of one state at gamma = 0, with the constant L_v of grad V.

With r_x = offset + sum_i x_i features_i, tau |p|^2 / 2 for both players, R the largest operator norm of
r_x over X, m1 that of the features (d, A) when player 2 plays b, over b, and m2 that of (d, B) when
player 1 plays a, the blocks of second derivatives in (x, pi_1, pi_2) are at most
[[0, m1, m2], [m1, tau, R], [m2, R, tau]].  The gradient itself is

    ( <pi_1, features_i pi_2>,   r_x pi_2 - tau pi_1,   r_x' pi_1 + tau pi_2 ).
"""

import numpy as np

from reference.domains import Box
from reference.problems.parametrizations import FixedKernel, LinearReward
from reference.problems.zero_sum_game import GameFamily
from reference.regularizers import Quadratic
from reference.validation import Array


def one_state(features_xab: Array, offset_ab: Array, tau: float, box: Box) -> GameFamily:
    """A batch of games with one state at gamma = 0; features (Z, d, A, B), offset (Z, A, B)."""
    reward = LinearReward(features_xab[:, :, None], offset_ab[:, None], box, batch_axes=1)
    batch, _, n, m = features_xab.shape
    kernel = FixedKernel(np.ones((batch, 1, n * m, 1)))
    return GameFamily(reward, kernel, 0.0, np.ones((batch, 1)), tau, Quadratic(), Quadratic())


def smoothness(features_xab: Array, offset_ab: Array, tau: float, box: Box) -> Array:
    """L_v of each of these games: the largest second derivative, at vertices."""
    d = features_xab.shape[1]
    signs = np.stack(np.meshgrid(*[[0.0, 1.0]] * d, indexing="ij"), axis=-1).reshape(-1, d)
    corners = box.low + signs * (box.high - box.low)
    r = offset_ab[:, None] + np.einsum("cx,zxab->zcab", corners, features_xab)
    R = np.linalg.norm(r, ord=2, axis=(-2, -1)).max(axis=1)
    m1 = np.linalg.norm(np.einsum("zxab->zbxa", features_xab), ord=2, axis=(-2, -1)).max(axis=1)
    m2 = np.linalg.norm(np.einsum("zxab->zaxb", features_xab), ord=2, axis=(-2, -1)).max(axis=1)
    zero, level = np.zeros_like(R), np.full_like(R, tau)
    blocks = np.array([[zero, m1, m2], [m1, level, R], [m2, R, level]])
    return np.asarray(np.linalg.eigvalsh(np.moveaxis(blocks, -1, 0))[:, -1])


def gradient(family: GameFamily, x: Array, pi_a: Array, pi_b: Array) -> Array:
    """grad V of each of these games, (Z, d + A + B), for policies (Z, A) and (Z, B)."""
    if not isinstance(family.reward, LinearReward):
        raise TypeError("the gradient is for rewards that are linear in x")
    features_xab = family.reward.features_isa[:, :, 0]
    r_ab = family.reward.offset_sa[:, 0] + np.einsum("zx,zxab->zab", x, features_xab)
    parts = (
        np.einsum("zxab,za,zb->zx", features_xab, pi_a, pi_b),
        np.einsum("zab,zb->za", r_ab, pi_b) - family.tau * pi_a,
        np.einsum("zab,za->zb", r_ab, pi_a) + family.tau * pi_b,
    )
    return np.concatenate(parts, axis=1)

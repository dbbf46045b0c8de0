"""Upper objectives that are separate in x and the policies, and linear in these."""

from collections.abc import Callable
from typing import Any

import numpy as np

from reference.domains import Box
from reference.evaluated import Evaluated
from reference.objectives.contract import Objective
from reference.validation import Array


def upper(
    value: Callable[[Array], Array], slope: Callable[[Array], Array], weights: tuple[Array, ...]
) -> Objective[Any]:
    """f(x, pi) = value(x) + sum_i <weights_i, pi_i>."""

    def evaluate(problem: object, x: Array, policies: tuple[Array, ...]) -> Evaluated:  # noqa: ARG001 - the contract's signature
        linear = sum((w * pi).sum(axis=(-2, -1)) for w, pi in zip(weights, policies, strict=True))
        gradients = tuple(np.broadcast_to(w, pi.shape) for w, pi in zip(weights, policies, strict=True))
        return Evaluated(np.asarray(value(x) + linear), slope(x), gradients)

    return Objective("separable", "-", evaluate)


def quadratic(a: Array, b: Array, weights: tuple[Array, ...], box: Box) -> tuple[Objective[Any], Array]:
    """f(x, pi) = sum_i a_i x_i^2 / 2 + b_i x_i + <weights, pi>, and its infimum; a of any sign."""

    def value(x: Array) -> Array:
        return np.asarray((a * x * x / 2.0 + b * x).sum(axis=-1))

    def slope(x: Array) -> Array:
        return np.asarray(a * x + b)

    inner = np.clip(-b / np.where(a > 0.0, a, 1.0), box.low, box.high)
    candidates = [np.broadcast_to(box.low, a.shape), np.broadcast_to(box.high, a.shape), inner]
    lowest = np.min([a * x * x / 2.0 + b * x for x in candidates], axis=0).sum(axis=-1)
    for w in weights:
        lowest = lowest + w.min(axis=-1).sum(axis=-1)
    return upper(value, slope, weights), np.asarray(lowest)

"""Projections are nearest points, by the variational inequality; diameters are attained."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reference.domains import Ball, Box, Domain, Euclidean, Simplices, member, some_point
from reference.errors import InputError
from reference.validation import Array
from tests import strategies

SHAPES = st.sampled_from([(1,), (3,), (2, 3), (2, 1), (2, 2, 2)])
UNIT = float(np.finfo(np.float64).eps)


@st.composite
def domains_and_points(draw: st.DrawFn, count: int) -> tuple[Domain, list[Array]]:
    shape = draw(SHAPES)
    size = draw(st.sampled_from([1.0, 1e-3, 1e6]))
    numbers = arrays(np.float64, shape, elements=st.floats(-size, size))
    return draw(strategies.domains(shape)), [draw(numbers) for _ in range(count)]


def support(domain: Domain, g: Array) -> float:
    """max <g, z> over the domain."""
    match domain:
        case Box(low, high):
            return float(np.maximum(g * low, g * high).sum())
        case Ball(centre, radius):
            return float((g * centre).sum() + radius * np.linalg.norm(g))
        case Simplices():
            return float(g.max(axis=-1).sum())
        case _:
            return 0.0 if not g.any() else np.inf


def extent(domain: Domain) -> float:
    """Largest entry of a point of a bounded domain; 0 for the whole space, which never rounds."""
    match domain:
        case Box(low, high):
            return float(max(np.abs(low).max(), np.abs(high).max()))
        case Ball(centre, radius):
            return float(np.abs(centre).max() + radius)
        case Simplices():
            return 1.0
        case _:
            return 0.0


def rounding(domain: Domain) -> float:
    """Bound on the rounding of one entry of a projection: sums of n terms of the domain's size."""
    return 4.0 * (np.prod(domain.shape) + 4.0) * UNIT * extent(domain)


@given(domains_and_points(1))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_projection_is_the_nearest_point(case: tuple[Domain, list[Array]]) -> None:
    """P x is nearest to x if and only if <x - P x, z - P x> <= 0 for all z of the domain."""
    domain, (x,) = case
    nearest = domain.project(x)
    g = x - nearest
    gain = support(domain, g) - float((g * nearest).sum())
    assert gain <= float(np.abs(g).sum()) * rounding(domain)
    member("the projection", nearest, domain)


@given(domains_and_points(1))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_projection_is_idempotent(case: tuple[Domain, list[Array]]) -> None:
    domain, (x,) = case
    nearest = domain.project(x)
    np.testing.assert_allclose(domain.project(nearest), nearest, rtol=0.0, atol=rounding(domain))


@given(domains_and_points(2))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_projection_is_non_expansive(case: tuple[Domain, list[Array]]) -> None:
    domain, (x, z) = case
    moved = float(np.linalg.norm(domain.project(x) - domain.project(z)))
    allowed = float(np.linalg.norm(x - z)) * (1.0 + x.size * UNIT)
    assert moved <= allowed + 2.0 * np.sqrt(x.size) * rounding(domain)


@given(domains_and_points(3))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_projection_acts_on_each_point_of_a_batch(case: tuple[Domain, list[Array]]) -> None:
    domain, points = case
    together = domain.project(np.stack(points)[:, None])
    for i, x in enumerate(points):
        np.testing.assert_array_equal(together[i, 0], domain.project(x))


@given(domains_and_points(2))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_no_two_points_are_further_apart_than_the_diameter(case: tuple[Domain, list[Array]]) -> None:
    domain, (x, z) = case
    distance = float(np.linalg.norm(domain.project(x) - domain.project(z)))
    assert distance <= domain.diameter + 2.0 * np.sqrt(x.size) * rounding(domain)


@given(SHAPES.flatmap(strategies.domains))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_the_diameter_is_attained(domain: Domain) -> None:
    if isinstance(domain, Euclidean):
        assert domain.diameter == np.inf
        return
    # Far out along g lies, for each kind, one end of a longest segment; along -g the other.
    g = np.zeros(domain.shape)
    centre = domain.centre if isinstance(domain, Ball) else g
    if isinstance(domain, Simplices):
        g[..., 0] = 1.0
        g[..., -1] -= 1.0
    else:
        g += 1.0
    one, other = domain.project(centre + 100.0 * g), domain.project(centre - 100.0 * g)
    distance = float(np.linalg.norm(one - other))
    assert abs(distance - domain.diameter) <= 4.0 * np.sqrt(g.size) * rounding(domain)


def test_some_points_differ_and_lie_inside() -> None:
    for domain in (Euclidean((2, 3)), Simplices((2, 3)), Box(np.zeros(2), np.ones(2))):
        first, second = some_point(domain), some_point(domain, 1.0)
        member("a point", first, domain)
        member("a point", second, domain)
        assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("domain", "x"),
    [
        (Box(np.zeros(2), np.ones(2)), [0.5, 1.0 + 1e-8]),
        (Ball(np.zeros(2), 1.0), [0.8, 0.601]),
        (Simplices((2,)), [0.5, 0.5 + 1e-8]),
        (Simplices((2,)), [1.5, -0.5]),
    ],
)
def test_member_refuses_what_is_outside(domain: Domain, x: list[float]) -> None:
    with pytest.raises(InputError, match=r"outside .*project it first"):
        member("x", np.array(x), domain)


@pytest.mark.parametrize("domain", [Simplices((3,)), Ball(np.zeros(3), 1.0)])
def test_member_accepts_rounding(domain: Domain) -> None:
    x = domain.project(np.array([0.7, 0.6, 0.5])) * (1.0 + 1e-12)
    np.testing.assert_array_equal(member("x", x, domain), x)

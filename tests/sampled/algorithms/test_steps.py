"""Step rules and schedules, by their formulas; Adam against PyTorch's."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sampled.algorithms.contract import Constant, Power, Ramp
from sampled.algorithms.steps import Adam, Descent, Normalised, StepRule
from sampled.domains import Ball, Box, Domain, Euclidean, Simplices


def point(seed: int, *shapes: tuple[int, ...]) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(3, *shape, generator=g, dtype=torch.float64) for shape in shapes)


SHAPES = ((4,), (2, 3))


def test_schedules() -> None:
    assert [Constant(2.0)(k) for k in (0, 9)] == [2.0, 2.0]
    assert [Power(3.0, -0.5)(k) for k in (0, 3)] == [3.0, 1.5]
    assert [Ramp(1.0, 3.0, 4)(k) for k in (0, 1, 4, 9)] == [1.0, 1.5, 3.0, 3.0]


def test_descent() -> None:
    z, g = point(0, *SHAPES), point(1, *SHAPES)
    moved, memory = Descent(Power(0.5, -1.0)).step(1, z, g, ())
    for after, before, gradient in zip(moved, z, g, strict=True):
        torch.testing.assert_close(after, before - 0.25 * gradient)
    assert memory == ()


def test_normalised_steps_are_as_long_as_they_should_be_in_each_problem() -> None:
    z, g = point(0, *SHAPES), point(1, *SHAPES)
    g = tuple(part * torch.tensor([1.0, 100.0, 0.0]).view(3, *(1,) * (part.ndim - 1)) for part in g)
    moved, _ = Normalised(Constant(0.3)).step(0, z, g, ())
    change = [after - before for after, before in zip(moved, z, strict=True)]
    length = sum(part.flatten(1).square().sum(-1) for part in change) ** 0.5
    torch.testing.assert_close(length, torch.tensor([0.3, 0.3, 0.0], dtype=torch.float64))
    assert all((part * gradient <= 0.0).all() for part, gradient in zip(change, g, strict=True))


def test_adam_is_pytorchs() -> None:
    z = point(0, *SHAPES)
    parameters = [part.clone().requires_grad_() for part in z]
    theirs = torch.optim.Adam(parameters, lr=0.05, betas=(0.8, 0.95), eps=1e-6)
    ours: StepRule = Adam(Constant(0.05), 0.8, 0.95, 1e-6)
    memory = ours.start(z)
    for k in range(6):
        g = point(10 + k, *SHAPES)
        for parameter, gradient in zip(parameters, g, strict=True):
            parameter.grad = gradient.clone()
        theirs.step()
        z, memory = ours.step(k, z, g, memory)
        for have, want in zip(z, parameters, strict=True):
            torch.testing.assert_close(have, want.detach(), rtol=1e-13, atol=1e-13)


DOMAINS: tuple[tuple[Domain, tuple[int, ...]], ...] = (
    (Euclidean(), (2, 3)),
    (Simplices(), (2, 3)),
    (Box(torch.full((2, 3), -0.5).double(), torch.full((2, 3), 0.25).double()), (2, 3)),
    (Ball(torch.full((2, 3), 0.1).double(), 0.7), (2, 3)),
)


@pytest.mark.parametrize(("domain", "shape"), DOMAINS)
@given(seed=st.integers(0, 10_000), scale=st.sampled_from([0.1, 1.0, 30.0]))
@settings(max_examples=15, deadline=None, derandomize=True)
def test_projections_are_the_nearest_points(
    domain: Domain, shape: tuple[int, ...], seed: int, scale: float
) -> None:
    """<x - p, z - p> <= 0 for all z of the set: the projection's own certificate."""
    x, other = (scale * part for part in point(seed, shape, shape))
    p, z = domain.project(x), domain.project(other)
    within = 64 * torch.finfo(torch.float64).eps * (1.0 + scale) ** 2
    assert (((x - p) * (z - p)).flatten(1).sum(-1) <= within).all()
    torch.testing.assert_close(domain.project(p), p, rtol=0.0, atol=within)
    if isinstance(domain, Simplices):
        torch.testing.assert_close(p.sum(-1), torch.ones(3, 2, dtype=torch.float64))
        assert (p >= 0.0).all()
    if isinstance(domain, Box):
        assert ((p >= domain.low) & (p <= domain.high)).all()
    if isinstance(domain, Ball):
        assert ((p - domain.centre).flatten(1).norm(dim=-1) <= domain.radius + within).all()


@pytest.mark.parametrize(("domain", "shape"), DOMAINS)
def test_projections_are_differentiable(domain: Domain, shape: tuple[int, ...]) -> None:
    (x,) = point(3, shape)
    assert torch.autograd.gradcheck(domain.project, (x.requires_grad_(),))
    if isinstance(domain, Ball):
        centre = domain.centre.expand(3, 2, 3).clone().requires_grad_()
        assert torch.autograd.gradcheck(domain.project, (centre,))

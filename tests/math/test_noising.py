"""Paths from pictures to noise, and the table between prediction targets: by algebra and by autograd."""

import itertools
import math

import pytest
import torch

from limner.draws import TurnDraws
from limner.noising.paths import DEVIATION, PATHS, convert, noised, spread
from limner.noising.times import draw_times, weights

TARGETS = ("x", "noise", "score", "velocity", "residual")
EVERY_PATH = pytest.mark.parametrize("path", [make() for make in PATHS.values()], ids=list(PATHS))


def sample(path, n=7):
    g = torch.Generator().manual_seed(3)
    x = torch.rand(n, 2, 3, 5, generator=g, dtype=torch.float64) * 2 - 1
    noise = torch.randn(n, 2, 3, 5, generator=g, dtype=torch.float64)
    time = path.inner(torch.linspace(0, 1, n, dtype=torch.float64))
    return noised(path, x, noise, time)


@EVERY_PATH
@pytest.mark.parametrize(("have", "want"), list(itertools.product(TARGETS, TARGETS)))
def test_any_target_becomes_any_other(path, have, want):
    point = sample(path)
    found = convert(point.target(have), point.z, point.level, have, want)
    expected = point.target(want)
    scale = expected.abs().amax((1, 2, 3), keepdim=True).clamp_min(1)
    # At the ends a target is nearly absent from z: float64 has 1e-16 / (alpha or sigma)^2 left there.
    assert torch.allclose(found / scale, expected / scale, atol=1e-5)


@EVERY_PATH
@pytest.mark.parametrize(("have", "want"), list(itertools.permutations(TARGETS, 2)))
def test_conversions_go_there_and_back(path, have, want):
    """Of any prediction, a wrong one too: what is converted is a linear map, not knowledge of the answer."""
    point = sample(path)
    guess = torch.randn(point.z.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    there = convert(guess, point.z, point.level, have, want)
    assert torch.allclose(convert(there, point.z, point.level, want, have), guess, atol=1e-4)


@EVERY_PATH
def test_derivatives_are_those_of_autograd(path):
    time = path.inner(torch.linspace(0, 1, 33, dtype=torch.float64)).requires_grad_()
    level = path.at(time)
    for value, derivative in ((level.alpha, level.dalpha), (level.sigma, level.dsigma)):
        (expected,) = torch.autograd.grad(value.sum() + 0 * time.sum(), time, retain_graph=True)
        assert torch.allclose(derivative, expected, rtol=1e-9, atol=1e-12)


@EVERY_PATH
def test_time_of_a_ratio_inverts_the_path(path):
    time = path.inner(torch.linspace(0, 1, 33, dtype=torch.float64))
    level = path.at(time)
    assert torch.allclose(path.time(level.sigma / level.alpha), time, atol=1e-9)


@EVERY_PATH
def test_paths_lead_from_pictures_to_noise(path):
    """The signal that is left at t = 1 is below 1 % of the noise, the noise at t = 0 below that of 8 bits."""
    start, end = path.at(torch.zeros(1, dtype=torch.float64)), path.at(torch.ones(1, dtype=torch.float64))
    assert start.alpha.item() == pytest.approx(1, abs=1e-6)
    assert start.sigma.item() < 1 / 127.5
    assert end.alpha.item() < 0.02 * end.sigma.item()


@pytest.mark.parametrize("name", ["cosine", "preserving"])
def test_variance_is_preserved(name):
    level = PATHS[name]().at(torch.linspace(0.01, 1, 50, dtype=torch.float64))
    assert torch.allclose(level.alpha**2 + level.sigma**2, torch.ones(50, dtype=torch.float64))


def test_straight_velocity_is_noise_minus_picture():
    point = sample(PATHS["straight"]())
    assert torch.equal(point.target("velocity"), point.noise - point.x)
    assert torch.allclose(point.z + spread(1 - point.time, point.z) * point.target("velocity"), point.noise)


def test_score_is_the_gradient_of_the_log_density():
    path = PATHS["preserving"]()
    point = sample(path)
    z = point.z.clone().requires_grad_()
    mean, sigma = spread(point.level.alpha, z) * point.x, spread(point.level.sigma, z)
    log_density = -((z - mean) ** 2 / (2 * sigma**2)).sum()
    (expected,) = torch.autograd.grad(log_density, z)
    assert torch.allclose(point.target("score"), expected)


@EVERY_PATH
def test_residual_is_of_unit_size_and_uncorrelated_with_z(path):
    g = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, 9, 40_000, generator=g, dtype=torch.float64)
    point = noised(path, DEVIATION * x, noise, path.inner(torch.linspace(0, 1, 9, dtype=torch.float64)))
    residual = point.target("residual")
    assert torch.allclose(residual.std(1), torch.ones(9, dtype=torch.float64), atol=0.02)
    correlation = (residual * point.z).mean(1) / point.z.std(1)
    assert torch.allclose(correlation, torch.zeros(9, dtype=torch.float64), atol=0.02)


def test_times_follow_their_distribution():
    draws, path = TurnDraws((0,), 20_000), PATHS["straight"]()
    even = draw_times(draws, path, "uniform")
    assert even.min() >= path.ends[0] and even.max() <= path.ends[1]
    assert even.mean().item() == pytest.approx(0.5, abs=0.01)
    normal = torch.logit(draw_times(draws, path, "logit-normal", mean=-0.4, std=0.8))
    assert normal.mean().item() == pytest.approx(-0.4, abs=0.02)
    assert normal.std().item() == pytest.approx(0.8, abs=0.02)


@EVERY_PATH
def test_min_snr_is_a_bounded_weight_of_the_error_of_x(path):
    """weights(...) |velocity error|^2 = min(snr, 5) |x error|^2."""
    point = sample(path)
    wrong = point.target("velocity") + torch.randn(
        point.z.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    x = convert(wrong, point.z, point.level, "velocity", "x")
    of_velocity = (wrong - point.target("velocity")).square().flatten(1).sum(1)
    of_x = (x - point.x).square().flatten(1).sum(1)
    snr = (point.level.alpha / point.level.sigma) ** 2
    assert torch.allclose(weights("min-snr", point.level) * of_velocity, snr.clamp(max=5) * of_x, rtol=1e-6)
    assert torch.equal(weights("none", point.level), torch.ones_like(snr))


def test_a_batch_of_one_time_is_that_of_each_alone():
    path = PATHS["straight"]()
    point = sample(path)
    alone = noised(path, point.x[2:3], point.noise[2:3], point.time[2:3])
    assert torch.equal(alone.z, point.z[2:3])
    assert math.isclose(alone.level.alpha.item(), 1 - point.time[2].item())

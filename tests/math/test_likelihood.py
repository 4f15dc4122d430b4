"""Likelihoods by the flow, against the density of Gaussian pictures."""

import math

import pytest
import torch
from test_edm import perfect as denoiser
from test_flow_matching import perfect as flow

from limner.draws import PictureDraws
from limner.errors import UserError
from limner.losses.dequantisation import WIDTH
from limner.nn.unet import UNetConfig
from limner.samplers.likelihood import Likelihood, divergence, log_density, settled_log_density
from limner.samplers.schedules import times

MEAN, STD = 0.1, 0.2
X = MEAN + STD * torch.randn(5, 1, 2, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
EXACT = -(((X - MEAN) / STD) ** 2 / 2 + math.log(STD) + math.log(2 * math.pi) / 2).flatten(1).sum(1)


def velocity(z, t):
    """The exact one of pictures N(MEAN, STD^2) on the straight path."""
    variance = (1 - t) ** 2 * STD**2 + t**2
    return (t - (1 - t) * STD**2) / variance * (z - (1 - t) * MEAN) - MEAN


def draws(n=5):
    return PictureDraws(3, range(n), dtype=torch.float64)


def forward(steps):
    return times(steps, 3.0, 0.0, 1.0)


def test_the_density_is_that_of_the_gaussian():
    assert torch.allclose(log_density(velocity, X, forward(400), 1.0), EXACT, atol=2e-3)


def test_the_error_falls_with_the_square_of_the_steps():
    errors = [(log_density(velocity, X, forward(n), 1.0) - EXACT).abs().max().item() for n in (50, 100, 200)]
    assert [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)] == pytest.approx([2, 2], abs=0.15)


def tangled(z, t):
    """Every value depends on all others, and not linearly."""
    flat = z.flatten(1)
    mixing = torch.linspace(-1, 1, flat.shape[1] ** 2, dtype=z.dtype).view(flat.shape[1], -1)
    return torch.sin(flat @ mixing + t).view_as(z)


def test_the_exact_divergence_is_the_trace_of_the_jacobian():
    v, found = divergence(tangled, X, 0.3, None)
    assert torch.equal(v, tangled(X, 0.3))
    for one, expected in zip(X, found, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda z: tangled(z[None], 0.3)[0].flatten(), one)
        assert jacobian.flatten(1).trace().item() == pytest.approx(expected.item())


def test_the_estimated_divergence_is_right_on_average():
    exact = divergence(tangled, X, 0.3, None)[1]
    probes = 1 - 2 * draws().integers("probes", 2, 4000, 1, 2, 3).movedim(1, 0).double()
    each = torch.stack([divergence(tangled, X, 0.3, probe[None])[1] for probe in probes[:400]])
    assert (each.std(0) > 0.1).all()
    assert torch.allclose(divergence(tangled, X, 0.3, probes)[1], exact, atol=0.1)


def test_likelihood_is_refused_where_doubling_the_steps_does_not_agree():
    def rough(z, t):
        return torch.sin(40 * z) * math.cos(300 * t)

    with pytest.raises(UserError, match=r"no likelihood: in 32 and in 64 steps it differs by .* tolerance=0.001"):
        settled_log_density(rough, X, forward, 1.0, draws(), Likelihood(tolerance=1e-3, most=64, probes=0))


def test_as_many_steps_are_taken_as_the_tolerance_asks_for():
    for tolerance, steps in ((0.05, 16 + 32), (0.001, 16 + 32 + 64 + 128 + 256)):
        looks = []

        def counted(z, t, looks=looks):
            looks.append(t)
            return velocity(z, t)

        how = Likelihood(tolerance=tolerance, probes=0)
        found = settled_log_density(counted, X, forward, 1.0, draws(), how)
        assert (found - EXACT).abs().max() < tolerance * 6 * math.log(2)
        assert len(looks) == 2 * steps


def bits_of_gaussian(x):
    """Bits per dimension (B,) of 8-bit values under N(MEAN, STD^2), from the mass of each value's bin."""
    normal = torch.distributions.Normal(MEAN, STD)
    mass = normal.cdf(x + WIDTH / 2) - normal.cdf(x - WIDTH / 2)
    return -mass.log2().flatten(1).mean(1)


@pytest.mark.parametrize("build", [flow, denoiser], ids=["flow", "edm"])
@pytest.mark.parametrize("probes", [0, 1])
def test_models_score_gaussian_pictures_right(build, probes):
    """Values are independent, so that one probe is exact too; the noise inside the bins is worth little here."""
    grey = ((X.repeat(1, 1, 2, 2)[:, :, :4, :4] + 1) / WIDTH).round() * WIDTH - 1
    model = build(score=Likelihood(probes=probes))
    found = model.bits_per_dimension(grey, draws())
    assert torch.allclose(found, bits_of_gaussian(grey), atol=0.03)


def test_a_picture_has_its_likelihood_whatever_its_neighbours():
    """Some of these are far from the others and need more steps."""
    far = torch.cat([X, X * 4])
    together = settled_log_density(velocity, far, forward, 1.0, draws(10), Likelihood())
    alone = [settled_log_density(velocity, x[None], forward, 1.0, draws(1), Likelihood(probes=0)) for x in far]
    assert torch.allclose(together, torch.cat(alone), rtol=1e-9)


@pytest.mark.parametrize("build", [flow, denoiser], ids=["flow", "edm"])
def test_real_networks_can_be_scored(build):
    """Where gradients are off, and where weights are being trained, whose gradients stay as they are."""
    kind, spec = type(build()), build().spec
    config = kind.Config(network=UNetConfig(patch=1, widths=(8,), blocks=(1,), embedding=16))
    model = kind(config, spec).double()
    with torch.no_grad():
        bits = model.bits_per_dimension(torch.zeros(2, 1, 4, 4, dtype=torch.float64), draws(2))
    assert bits.shape == (2,) and bool(torch.isfinite(bits).all())
    assert all(p.grad is None for p in model.parameters())

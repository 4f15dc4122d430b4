"""VAE: bounds that are bounds, scales that are learnt, codes that decode."""

import math

import pytest
import torch
from torch import nn

from limner.api import Attribute, Batch, Condition, Progress, Spec
from limner.draws import PictureDraws, TurnDraws
from limner.errors import UserError
from limner.families.vae.vae import VAE, VAEConfig, VAESampling

SPEC = Spec(channels=3, height=20, width=16)
LABELLED = Spec(channels=1, height=8, width=8, attributes=(Attribute("kind", ("a", "b")),))
SMALL = {"width": 8, "widest": 16, "latent": 6, "hidden": 32, "prior_hidden": 16}


def model(spec=SPEC, **config):
    config = VAEConfig(**{**SMALL, **config})
    VAE.check(config, spec)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VAE(config, spec)


def batch(spec=SPEC, size=8, key=0):
    draws = TurnDraws((key,), size)
    pictures = torch.floor(draws.uniform("pictures", *spec.shape) * 256) / 127.5 - 1
    labels = draws.integers("labels", 2, 1) if spec.attributes else None
    return Batch(draws, pictures, labels)


@pytest.mark.parametrize("network", ["convolutional", "mlp"])
@pytest.mark.parametrize("likelihood", ["gaussian", "logistic", "bernoulli"])
@pytest.mark.parametrize("scale", [None, 0.1, "learned", "pixelwise"])
def test_every_combination(network, likelihood, scale):
    if likelihood == "bernoulli" and scale is not None:
        with pytest.raises(UserError, match="no meaning"):
            model(likelihood=likelihood, scale=scale)
        return
    vae, turn = model(network=network, likelihood=likelihood, scale=scale), batch()
    vae.start(turn)
    losses = vae.loss(turn, Progress(), {})
    assert all(torch.isfinite(value) for value in losses.values())
    *_, painted = vae.paint(PictureDraws(0, range(3)), Condition(), VAESampling())
    assert painted.shape == (3, *SPEC.shape) and painted.abs().max() <= 1
    assert vae.decode(vae.encode(turn.pictures)).shape == turn.pictures.shape


class Linear(nn.Module):
    """Mean z w, posterior as given: for a Gaussian likelihood everything is known in closed form.

    A second value of the code says nothing and stays at its prior.
    """

    def __init__(self, posterior):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.3, -0.2, 0.1, 0.25]))
        self.posterior = posterior

    def encode(self, x, given):
        mean, log_variance = self.posterior(x.flatten(1), self.w).unbind(1)
        idle = torch.zeros_like(mean)
        return torch.stack([mean, idle, log_variance, idle], 1)

    def decode(self, z, given):
        return (z[:, :1] * self.w).view(-1, 1, 2, 2)


SIGMA = 0.1


def exact_posterior(x, w):
    variance = 1 / (1 + (w @ w) / SIGMA**2)
    return torch.stack([variance * (x @ w) / SIGMA**2, variance.log().expand(len(x))], 1)


def rough_posterior(x, w):
    return exact_posterior(x, w) + torch.tensor([0.2, 0.7])


def linear_vae(posterior, **config):
    known = {"likelihood": "gaussian", "scale": SIGMA, "prior": "normal", "latent": 2, "network": "mlp"}
    vae = model(Spec(channels=1, height=2, width=2), **known, **config)
    vae.network = Linear(posterior)
    return vae


def exact_bits(x, w):
    covariance = torch.outer(w, w) + SIGMA**2 * torch.eye(4)
    density = torch.distributions.MultivariateNormal(torch.zeros(4), covariance).log_prob(x.flatten(1))
    return -(density / 4 + math.log(2 / 255)) / math.log(2)  # mass of a bin: density times its width


def linear_pictures(count=64):
    g = torch.Generator().manual_seed(0)
    w = torch.tensor([0.3, -0.2, 0.1, 0.25])
    x = torch.randn(count, 1, generator=g) * w + SIGMA * torch.randn(count, 4, generator=g)
    return ((x.clamp(-0.99, 0.99) * 127.5).round() / 127.5).view(count, 1, 2, 2)


def test_bits_are_exact_where_the_posterior_is():
    vae, x = linear_vae(exact_posterior), linear_pictures()
    bits = vae.bits_per_dimension(x, TurnDraws((0,), len(x)))
    torch.testing.assert_close(bits, exact_bits(x, vae.network.w), atol=0.02, rtol=0.0)


def test_bits_are_an_upper_bound_that_more_codes_tighten():
    x = linear_pictures(256)
    exact = exact_bits(x, Linear(None).w).mean()
    bounds = [
        linear_vae(rough_posterior, score_samples=k).bits_per_dimension(x, TurnDraws((0,), len(x))).mean()
        for k in (1, 8, 64)
    ]
    assert bounds[0] > bounds[1] > bounds[2] > exact - 0.01
    assert bounds[2] < exact + 0.05 < bounds[0]


def test_the_loss_is_the_negative_elbo():
    vae, turn = model(scale=0.5, kl=1.0), batch()
    losses = vae.loss(turn, Progress(), {})
    torch.testing.assert_close(losses["reconstruction"] + losses["kl"], -losses["_elbo"])
    heavy = model(scale=0.5, kl=4.0).loss(turn, Progress(), {})
    torch.testing.assert_close(heavy["kl"], 4 * losses["kl"])
    torch.testing.assert_close(heavy["_elbo"], losses["_elbo"])


def test_the_learnt_prior_starts_as_the_normal_one():
    """Its estimate of the divergence, averaged over many codes, is the closed form."""
    learnt, plain = model(prior="flow"), model(prior="normal")
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(1, 6, generator=generator), torch.randn(1, 6, generator=generator)
    z = mean + (log_variance / 2).exp() * torch.randn(100_000, 6, generator=generator)
    nothing = torch.zeros(len(z), 0)
    estimates = learnt.divergence(z, mean, log_variance, nothing)
    closed = plain.divergence(z, mean, log_variance, nothing)
    assert estimates.mean().item() == pytest.approx(closed.item(), rel=0.02)


def test_a_learnt_prior_paints_where_codes_lie():
    """Codes far from N(0, 1): only the prior that has learnt them gives pictures like those of codes."""
    vae = model(Spec(channels=1, height=8, width=8), network="mlp", prior="flow")
    optimiser = torch.optim.Adam(vae.prior.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    nothing = torch.zeros(256, 0)
    for _ in range(150):
        loss = -vae.log_prior(3 + 0.1 * torch.randn(256, 6, generator=generator), nothing).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        *_, painted = vae.paint(PictureDraws(0, range(32)), Condition(), VAESampling())
        there = vae.decode(torch.full((1, 6), 3.0))
        normal = vae.decode(torch.randn(32, 6, generator=generator))
    assert (painted - there).square().mean() < 0.2 * (normal - there).square().mean()


def test_divergence_warms_up():
    vae, turn = model(kl_warmup=0.5), batch()
    full = vae.loss(turn, Progress(fraction=0.9), {})["kl"]
    assert vae.loss(turn, Progress(fraction=0.0), {})["kl"] == 0
    torch.testing.assert_close(vae.loss(turn, Progress(fraction=0.25), {})["kl"], full / 2)


@pytest.mark.parametrize(("likelihood", "factor"), [("gaussian", 1.0), ("logistic", math.sqrt(3) / math.pi)])
def test_the_learnt_scale_finds_the_spread_of_the_pictures(likelihood, factor):
    """A decoder that can only say "grey" is left with the pictures' own spread."""
    vae = model(Spec(channels=1, height=8, width=8), likelihood=likelihood)
    x = torch.randn(64, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.2
    optimiser = torch.optim.Adam([vae.log_scale], 1e-2)
    for _ in range(300):
        loss = vae.surprise(x, torch.zeros_like(x)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert vae.scale(x).exp().item() == pytest.approx(0.2 * factor, rel=0.1)


def test_the_scale_starts_at_the_pictures():
    vae, turn = model(), batch()
    vae.start(turn)
    torch.testing.assert_close(vae.scale(turn.pictures).exp().flatten(), turn.pictures.std((0, 2, 3)))


def test_labels_reach_decoder_and_encoder():
    vae, turn = model(LABELLED), batch(LABELLED)
    codes = torch.zeros(2, 6)
    one, two = (vae.decode(codes, Condition(torch.full((2, 1), label))) for label in (0, 1))
    assert (one - two).abs().max() > 1e-4
    assert (vae.encode(turn.pictures, Condition(turn.labels)) - vae.encode(turn.pictures)).abs().max() > 1e-4
    assert model(LABELLED, conditional=False).spec.attributes == ()


def test_temperature_brings_pictures_together():
    vae = model()

    def spread(temperature):
        *_, painted = vae.paint(PictureDraws(0, range(16)), Condition(), VAESampling(temperature=temperature))
        return painted.std(0).mean()

    assert spread(0.1) < spread(0.7) < spread(1.0)


def test_bernoulli_scores_black_and_white_alone():
    vae = model(likelihood="bernoulli")
    turn = batch()
    with pytest.raises(UserError, match="black-and-white"):
        vae.bits_per_dimension(turn.pictures, turn.draws)
    bits = vae.bits_per_dimension(turn.pictures.sign(), turn.draws)
    assert ((bits > 0.5) & (bits < 2)).all()


def test_a_convolutional_one_refuses_tiny_pictures_and_names_the_other():
    tiny = Spec(channels=1, height=4, width=4)
    with pytest.raises(UserError, match="network=mlp"):
        model(tiny)
    assert next(model(tiny, network="mlp").paint(PictureDraws(0, [0]), Condition(), VAESampling())).shape == (
        1,
        1,
        4,
        4,
    )

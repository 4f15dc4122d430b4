"""Denoising diffusion with a network that is perfect: Gaussian pictures, of which every posterior is known."""

import math

import msgspec
import pytest
import torch
from torch import nn

from limner.api import Attribute, Batch, Condition, Progress, Situation, Spec
from limner.data.pixels import to_float, to_uint8
from limner.draws import PictureDraws, TurnDraws
from limner.errors import UserError
from limner.families.diffusion.ddpm import DDPM, DDPMConfig, DDPMSampling
from limner.losses import likelihoods
from limner.nn.unet import UNetConfig
from limner.noising.discrete import Chain
from limner.noising.paths import convert, spread
from limner.recipes.ddpm import RECIPE

MEAN, STD = 0.1, 0.2
SPEC = Spec(channels=1, height=4, width=4)
LABELLED = Spec(channels=1, height=4, width=4, attributes=(Attribute("class", ("a", "b", "c")),))
SMALL = UNetConfig(patch=1, widths=(8,), blocks=(1,), embedding=16)
PREDICTIONS = ("noise", "x", "velocity", "residual")


def unknown(level):
    """The variance of x that z leaves."""
    return STD**2 * level.sigma**2 / (level.alpha**2 * STD**2 + level.sigma**2)


class Perfect(nn.Module):
    """E[target | z] for values that are all N(MEAN, STD^2), plus 0.1 for each label asked for.

    Where a variance is learned, it says the share that makes p(z_{t-1} | z_t) exact.
    """

    def __init__(self, config):
        super().__init__()
        self.config, self.chain = config, Chain(config.schedule, config.timesteps)

    def forward(self, z, time, labels=None):
        step = (time * self.chain.steps).round().long()
        level = self.chain.at(step, z)
        alpha, sigma = spread(level.alpha, z), spread(level.sigma, z)
        mean = MEAN if labels is None else MEAN + 0.1 * (labels + 1).to(z.dtype).view(-1, 1, 1, 1)
        x = mean + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (z - alpha * mean)
        said = convert(x, z, level, "x", self.config.prediction)
        if self.config.variance != "learned":
            return said
        back = self.chain.back(step, step - 1, z)
        exact = (back.deviation**2 + back.of_x**2 * unknown(level)).log()
        share = (exact - back.log_least) / (back.log_most - back.log_least)
        return torch.cat([said, (2 * spread(share, z) - 1).expand_as(said)], 1)


class Says(nn.Module):
    """A network that is a function."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, z, time, labels=None):
        return self.function(z, time, labels)


def perfect(spec=SPEC, **options):
    config = DDPMConfig(network=SMALL, **options)
    DDPM.check(config, spec)
    model = DDPM(config, spec)
    model.network = Perfect(config)
    return model.double()


def draws(n=6):
    return PictureDraws(0, range(n), dtype=torch.float64)


def painted(model, condition=None, n=6, **options):
    *_, last = model.paint(draws(n), condition or Condition(), DDPMSampling(**options))
    return last


def pictures(n):
    """Gaussian pictures (n, 1, 4, 4) of 8 bits."""
    x = MEAN + STD * torch.randn(n, 1, 4, 4, generator=torch.Generator().manual_seed(77), dtype=torch.float64)
    return to_float(to_uint8(x)).double()


# Sampling.


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_any_schedule_and_prediction_leads_to_the_pictures(schedule, prediction):
    model = perfect(schedule=schedule, prediction=prediction)
    start = draws().normal("noise", *SPEC.shape)
    level = model.chain.at(1000, start)
    expected = MEAN + STD * (start - level.alpha * MEAN) / (level.alpha**2 * STD**2 + level.sigma**2).sqrt()
    assert torch.allclose(painted(model, steps=500), expected.clamp(-1, 1), atol=0.02)


@pytest.mark.parametrize("variance", ["beta", "beta-tilde", "learned"])
def test_ancestral_pictures_have_the_mean_and_the_variance_of_the_real_ones(variance):
    found = painted(perfect(variance=variance, prediction="velocity"), n=100, steps=250, solver="ancestral")
    assert found.mean().item() == pytest.approx(MEAN, abs=0.02)
    assert found.std().item() == pytest.approx(STD, rel=0.08)


def test_all_noise_of_ddim_is_that_of_ancestral_sampling():
    model = perfect(variance="beta-tilde")
    noisy = painted(model, steps=20, eta=1.0)
    assert torch.allclose(noisy, painted(model, steps=20, solver="ancestral"), atol=1e-9)
    assert not torch.allclose(noisy, painted(model, steps=20), atol=0.05)


@pytest.mark.parametrize("solver", ["dpm++", "unipc"])
def test_solvers_of_higher_order_are_nearer_at_the_same_steps(solver):
    """To where the chain's own flow leads; all of them look once a step."""
    model = perfect(schedule="cosine")
    start = draws().normal("noise", *SPEC.shape)
    level = model.chain.at(1000, start)
    std = (level.alpha**2 * STD**2 + level.sigma**2).sqrt()
    expected = (MEAN + STD * (start - level.alpha * MEAN) / std).clamp(-1, 1)

    def wrong(solver):
        return (painted(model, solver=solver, steps=50) - expected).abs().max()

    assert wrong(solver) < 0.3 * wrong("ddim")
    assert model.evaluations(DDPMSampling(steps=5, solver=solver)) == 5


def test_previews_are_pictures_and_one_a_step():
    canvases = list(perfect(prediction="x").paint(draws(), Condition(), DDPMSampling(steps=5)))
    assert len(canvases) == 6
    assert all(c.shape == (6, 1, 4, 4) and c.abs().max() <= 1 for c in canvases)
    assert torch.allclose(canvases[0], torch.full_like(canvases[0], MEAN), atol=0.05)  # of pure noise: the mean
    assert perfect().evaluations(DDPMSampling(steps=5)) == 5
    assert perfect(LABELLED).evaluations(DDPMSampling(steps=5, guidance=2.0)) == 10


def test_estimates_of_the_picture_stay_in_range():
    """A network that always says zero noise believes that z alone is the picture; clipped, that stays in bounds."""
    model = perfect()
    model.network = Says(lambda z, time, labels=None: torch.zeros_like(z))
    free, clipped = (painted(model, steps=10, clip=clip) for clip in (False, True))
    assert bool((free.abs() == 1).all())  # far outside, until it is cut off at the very end
    seen = []
    model.network = Says(lambda z, time, labels=None: seen.append(z.abs().max().item()) or torch.zeros_like(z))
    assert torch.equal(painted(model, steps=10, clip=True), clipped)
    assert max(seen) < 5


def test_guidance_goes_beyond_the_label():
    model = perfect(LABELLED, prediction="velocity")
    labels = torch.ones(6, 1, dtype=torch.int64)
    plain = painted(model, Condition(labels))
    null = painted(model, Condition(None))  # no labels seen yet: the null condition
    assert torch.allclose(plain - null, torch.full_like(plain, 0.2), atol=0.01)
    guided = painted(model, Condition(labels), guidance=2.0)
    assert torch.allclose(guided, (null + 0.4).clamp(-1, 1), atol=0.01)
    never = painted(model, Condition(labels), guidance=2.0, interval=(0.0, 0.0))
    assert torch.equal(never, plain)


def test_guidance_leaves_the_variance_alone():
    """That of a label is not what two predictions differ by."""
    model = perfect(LABELLED, variance="learned")
    labels, spreads = torch.ones(6, 1, dtype=torch.int64), []

    def network(z, time, labels=None):
        share = torch.where(labels < 0, -0.5, 0.5).view(-1, 1, 1, 1).expand_as(z)
        return torch.cat([torch.zeros_like(z), share.to(z.dtype)], 1)

    model.network = Says(network)
    read = model.read
    model.read = lambda *args: spreads.append(args[0][:, 1]) or read(*args)
    painted(model, Condition(labels), guidance=3.0, steps=2, solver="ancestral")
    assert all(bool((said == 0.5).all()) for said in spreads)


def test_labels_not_asked_for_are_those_of_training():
    model = perfect(LABELLED).train()
    batch = Batch(TurnDraws((0,), 4), torch.zeros(4, 1, 4, 4), labels=torch.full((4, 1), 2))
    model.loss(batch, Progress(), {})
    all_twos = painted(model, Condition(torch.full((6, 1), 2)), steps=5)
    assert torch.equal(painted(model, steps=5), all_twos)


def test_denoise_is_the_posterior_mean():
    model = perfect(variance="learned")
    noisy = draws().normal("noise", *SPEC.shape)
    level = model.chain.at(torch.tensor([1, 5, 100, 400, 700, 900]), noisy)
    sigma = level.sigma / level.alpha
    gain = (STD**2 / (STD**2 + sigma**2)).view(-1, 1, 1, 1)
    assert torch.allclose(model.denoise(noisy, sigma), MEAN + gain * (noisy - MEAN), atol=1e-9)
    clean = torch.zeros(6, dtype=torch.float64)
    assert torch.allclose(model.denoise(noisy, clean), noisy)


# The loss.


def all_levels(model):
    return model.chain.at(torch.arange(1, model.chain.steps + 1), torch.zeros(1, dtype=torch.float64))


@pytest.mark.parametrize("prediction", ["noise", "x", "velocity"])
def test_the_loss_of_a_perfect_network_is_the_variance_it_cannot_know(prediction):
    model = perfect(prediction=prediction)
    batch = Batch(TurnDraws((0,), 8000, dtype=torch.float64), pictures(8000))
    terms = model.terms(batch, None)
    level = all_levels(model)
    of_x = {"x": 1.0, "noise": (level.alpha / level.sigma) ** 2, "velocity": 1 / level.sigma**2}[prediction]
    expected = (of_x * unknown(level)).mean().item()
    found, error = terms["simple"].mean().item(), terms["simple"].std().item() / math.sqrt(8000)
    assert set(terms) == {"simple"} and error < 0.04 * expected
    assert found == pytest.approx(expected, abs=3 * error)
    assert model.loss(batch, Progress(), {})["simple"].item() == pytest.approx(found)


def test_the_bound_trains_the_variance_and_nothing_else():
    model = perfect(variance="learned")
    said = torch.zeros(64, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    model.network = Says(lambda z, time, labels=None: said)
    batch = Batch(TurnDraws((0,), 64, dtype=torch.float64), pictures(64))
    losses = model.loss(batch, Progress(), {})
    simple, vlb = (torch.autograd.grad(losses[name], said, retain_graph=True)[0] for name in ("simple", "vlb"))
    assert bool((simple[:, 1] == 0).all()) and bool((simple[:, 0] != 0).all())
    assert bool((vlb[:, 0] == 0).all()) and bool((vlb[:, 1] != 0).any())
    half = perfect(variance="learned", vlb=5e-4)
    half.network = model.network
    assert half.loss(batch, Progress(), {})["vlb"].item() == pytest.approx(losses["vlb"].item() / 2)


def test_labels_are_hidden_in_training_alone():
    seen = []
    model = perfect(LABELLED, label_dropout=0.5)
    network = model.network
    model.network = Says(lambda z, time, labels=None: seen.append(labels) or network(z, time, labels))
    batch = Batch(TurnDraws((0,), 1000), torch.zeros(1000, 1, 4, 4), labels=torch.ones(1000, 1, dtype=torch.int64))
    model.loss(batch, Progress(), {})
    assert (seen[0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    model.probe(batch)
    assert bool((seen[1] == 1).all())


# The bound.


def terms(model, x, step, seed=0):
    """L_{t-1} of pictures (B, ...) at one step, (B,)."""
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)
    steps = torch.full((len(x),), step)
    level = model.chain.at(steps, x)
    z = spread(level.alpha, x) * x + spread(level.sigma, x) * noise
    return model.bits(x, z, steps, model.said(z, model.time(steps, x), None), clip=False)


@pytest.mark.parametrize("variance", ["beta", "beta-tilde", "learned"])
@pytest.mark.parametrize("step", [2, 50, 500, 1000])
def test_terms_of_the_bound_are_divergences_of_gaussians(variance, step):
    """Their mean over pictures and noise, by the formula of the divergence of two Gaussians."""
    model, like = perfect(variance=variance), torch.zeros(1, dtype=torch.float64)
    level, back = model.chain.at(step, like), model.chain.back(step, step - 1, like)
    exact = back.deviation**2 + back.of_x**2 * unknown(level)
    own = {"beta": back.log_most.exp(), "beta-tilde": back.deviation**2, "learned": exact}[variance]
    apart = back.of_x**2 * unknown(level)
    nats = ((own / back.deviation**2).log() + (back.deviation**2 + apart) / own - 1) / 2
    found = terms(model, pictures(4000), step).mean().item()
    assert found == pytest.approx(nats.item() / math.log(2), rel=0.03, abs=1e-9)


def test_the_learned_variance_has_its_least_bound_where_it_is_exact():
    model, x = perfect(variance="learned"), pictures(2000)
    right = model.network
    for step in (3, 60):
        bits = []
        for off in (-0.1, 0.0, 0.1):
            shift = off * torch.tensor([0.0, 1.0], dtype=torch.float64).view(2, 1, 1)
            model.network = Says(lambda z, time, labels, shift=shift: right(z, time) + shift)
            bits.append(terms(model, x, step).mean().item())
        assert bits[1] < min(bits[0], bits[2])


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_the_bound_is_tight_where_every_step_is_exact(schedule):
    """Bits per dimension are those of the Gaussian that the pictures come from, and never fewer."""
    x = pictures(64)
    model = perfect(schedule=schedule, variance="learned", timesteps=200, score_terms=199)
    found = model.bits_per_dimension(x, PictureDraws(1, range(64), dtype=torch.float64)).mean().item()
    mean, log_std = torch.full_like(x, MEAN), torch.full_like(x, math.log(STD))
    true = likelihoods.discretised_gaussian(x, mean, log_std).mean().item() / math.log(2)
    assert found == pytest.approx(true, abs=0.03)
    fixed = perfect(schedule=schedule, variance="beta", timesteps=200, score_terms=199)
    assert fixed.bits_per_dimension(x, PictureDraws(1, range(64), dtype=torch.float64)).mean().item() > found + 0.02


def test_a_few_terms_say_on_average_what_all_say():
    x = pictures(1).expand(600, -1, -1, -1)
    few, more = (perfect(timesteps=100, variance="beta-tilde", score_terms=count) for count in (5, 99))
    few, more = (model.bits_per_dimension(x, PictureDraws(2, range(600), dtype=torch.float64)) for model in (few, more))
    assert few.std() > 2 * more.std()
    assert few.mean().item() == pytest.approx(more.mean().item(), abs=4 * few.std().item() / math.sqrt(600))


# What is refused, and the recipe.


def test_what_cannot_be_is_refused():
    model = perfect(timesteps=100)
    with pytest.raises(UserError, match="trained without labels"):
        painted(model, Condition(torch.zeros(6, 1, dtype=torch.int64)))
    with pytest.raises(UserError, match="guidance 2 needs"):
        painted(model, guidance=2.0)
    with pytest.raises(UserError, match="ask for 1 to 100"):
        painted(model, steps=101)
    with pytest.raises(UserError, match="belongs to solver ddim"):
        painted(model, solver="ancestral", eta=0.5)
    with pytest.raises(UserError, match="variance=learned"):
        perfect(vlb=0.01)
    with pytest.raises(UserError, match="4x4"):
        DDPM.check(DDPMConfig(), Spec(channels=1, height=2, width=9))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 112, 92)])
@pytest.mark.parametrize(("pictures", "budget"), [(3, 30.0), (100_000, None), (100_000, 86_400.0)])
def test_the_recipe_suits_every_situation(shape, pictures, budget):
    spec = Spec(channels=shape[0], height=shape[1], width=shape[2])
    config, train = RECIPE.build(Situation(spec, pictures, budget))
    DDPM.check(config, spec)
    assert 1 <= train.batch <= max(pictures, 1)
    with torch.device("meta"):
        count = sum(p.numel() for p in DDPM(config, spec).parameters())
    assert 1e5 < count < 3e7
    assert msgspec.convert(msgspec.to_builtins(config), DDPMConfig, strict=False) == config

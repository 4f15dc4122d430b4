"""The preconditioned denoiser, with a network that is perfect: Gaussian pictures, of which every posterior is known."""

import math

import msgspec
import pytest
import torch
from torch import nn

from limner.api import Attribute, Batch, Condition, Progress, Situation, Spec
from limner.draws import PictureDraws, TurnDraws
from limner.errors import UserError
from limner.families.diffusion.edm import EDM, EDMConfig, EDMSampling
from limner.nn.unet import UNetConfig
from limner.noising.paths import Additive, noised, spread
from limner.noising.preconditioning import preconditioning
from limner.recipes.edm import RECIPE

MEAN, STD = 0.1, 0.2
SPEC = Spec(channels=1, height=4, width=4)
LABELLED = Spec(channels=1, height=4, width=4, attributes=(Attribute("class", ("a", "b", "c")),))
SMALL = UNetConfig(patch=1, widths=(8,), blocks=(1,), embedding=16)
SIGMAS = torch.tensor([0.002, 0.05, 0.5, 1.0, 7.0, 80.0], dtype=torch.float64)


class Perfect(nn.Module):
    """What makes D the posterior mean of values that are all N(MEAN, STD^2), plus 0.1 for each label asked for."""

    def __init__(self, config):
        super().__init__()
        self.config = config

    def forward(self, scaled, time, labels=None):
        sigma = (4 * time).exp()
        known = preconditioning(sigma, self.config.deviation)
        z = scaled / spread(known.into, scaled)
        mean = MEAN if labels is None else MEAN + 0.1 * (labels + 1).to(z.dtype).view(-1, 1, 1, 1)
        x = mean + spread(STD**2 / (STD**2 + sigma**2), z) * (z - mean)
        return (x - spread(known.skip, z) * z) / spread(known.out, z)


def perfect(spec=SPEC, **options):
    config = EDMConfig(network=SMALL, **options)
    model = EDM(config, spec)
    model.network = Perfect(config)
    return model.double()


def draws(n=6):
    return PictureDraws(0, range(n), dtype=torch.float64)


def painted(model, condition=None, n=6, **options):
    *_, last = model.paint(draws(n), condition or Condition(), EDMSampling(**options))
    return last


def destination():
    """Where the exact flow leads from noise at level 80."""
    noise = 80 * draws().normal("noise", *SPEC.shape)
    return (MEAN + STD * (noise - MEAN) / math.hypot(80, STD)).clamp(-1, 1)


# Preconditioning.


@pytest.mark.parametrize("deviation", [0.5, 0.3])
def test_coefficients_are_those_of_the_paper(deviation):
    """2206.00364, table 1, the column of the authors, written as there."""
    known, total = preconditioning(SIGMAS, deviation), SIGMAS**2 + deviation**2
    assert torch.allclose(known.skip, deviation**2 / total)
    assert torch.allclose(known.out, SIGMAS * deviation / total.sqrt())
    assert torch.allclose(known.into, 1 / total.sqrt())
    assert torch.allclose(known.noise, SIGMAS.log() / 4)
    assert torch.allclose(known.weight, total / (SIGMAS * deviation) ** 2)
    assert torch.allclose(known.weight * known.out**2, torch.ones_like(SIGMAS))


def test_what_the_network_sees_and_should_say_has_unit_variance():
    """Equations 114 and 115: for data of the assumed deviation, at every noise level; and the target is residual."""
    g = torch.Generator().manual_seed(0)
    x, noise = torch.randn(2, len(SIGMAS), 40_000, generator=g, dtype=torch.float64)
    point = noised(Additive(), 0.5 * x, noise, SIGMAS)
    known = preconditioning(SIGMAS)
    seen = known.into[:, None] * point.z
    target = (point.x - known.skip[:, None] * point.z) / known.out[:, None]
    ones = torch.ones_like(SIGMAS)
    assert torch.allclose(seen.std(1), ones, atol=0.02) and torch.allclose(target.std(1), ones, atol=0.02)
    assert torch.allclose(target, -point.target("residual"), atol=1e-9)


def test_skip_is_what_leaves_the_network_the_least_to_do():
    """Any other share of z makes the target's deviation `out` larger (equation 138)."""
    for sigma in SIGMAS:
        known = preconditioning(sigma[None])

        def left(skip, sigma=sigma):
            return (1 - skip) ** 2 * 0.5**2 + skip**2 * sigma**2

        assert left(known.skip) == pytest.approx(known.out.item() ** 2, rel=1e-9)
        assert left(known.skip) < min(left(known.skip - 0.01), left(known.skip + 0.01))


# The loss.


def test_an_untrained_network_has_the_same_loss_at_every_noise_level():
    for mean in (-4.0, 0.0, 3.0):
        model = EDM(EDMConfig(network=SMALL, noise_mean=mean, noise_std=1e-6), SPEC).double()
        g = torch.Generator().manual_seed(1)
        x = 0.5 * torch.randn(2000, 1, 4, 4, generator=g, dtype=torch.float64)
        batch = Batch(TurnDraws((0,), 2000, dtype=torch.float64), x)
        assert model.loss(batch, Progress(), {})["denoising"].item() == pytest.approx(1, abs=0.03)


def test_the_loss_of_a_perfect_network_is_the_variance_it_cannot_know():
    model = perfect(noise_mean=-1.0, noise_std=1e-6)
    g = torch.Generator().manual_seed(0)
    x = MEAN + STD * torch.randn(4000, 1, 4, 4, generator=g, dtype=torch.float64)
    found = model.loss(Batch(TurnDraws((0,), 4000, dtype=torch.float64), x), Progress(), {})["denoising"].item()
    sigma = math.exp(-1.0)
    unknown = STD**2 * sigma**2 / (STD**2 + sigma**2)
    assert found == pytest.approx(unknown * (sigma**2 + 0.25) / (0.5 * sigma) ** 2, rel=0.02)


def test_noise_levels_are_log_normal():
    seen = []
    model = perfect(noise_mean=-1.2, noise_std=1.2)
    network = model.network.forward
    model.network.forward = lambda z, time, labels=None: seen.append(4 * time) or network(z, time, labels)
    model.loss(Batch(TurnDraws((0,), 20_000, dtype=torch.float64), torch.zeros(20_000, 1, 4, 4)), Progress(), {})
    assert seen[0].mean().item() == pytest.approx(-1.2, abs=0.03)
    assert seen[0].std().item() == pytest.approx(1.2, abs=0.03)


def test_labels_are_hidden_in_training_alone():
    seen = []
    model = perfect(LABELLED, label_dropout=0.5)
    network = model.network.forward
    model.network.forward = lambda z, time, labels=None: seen.append(labels) or network(z, time, labels)
    batch = Batch(TurnDraws((0,), 1000), torch.zeros(1000, 1, 4, 4), labels=torch.ones(1000, 1, dtype=torch.int64))
    model.loss(batch, Progress(), {})
    assert (seen[0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    model.probe(batch)
    assert bool((seen[1] == 1).all())


# Sampling.


@pytest.mark.parametrize(
    ("options", "within"),
    [
        ({"steps": 18}, 0.05),
        ({"steps": 40}, 0.01),
        ({"steps": 40, "solver": "midpoint"}, 0.01),
        ({"steps": 18, "solver": "unipc"}, 0.05),
        ({"steps": 40, "solver": "dpm++"}, 0.03),
        ({"steps": 400, "solver": "euler"}, 0.05),
        ({"solver": "adaptive", "tolerance": 1e-4}, 2e-3),
    ],
)
def test_every_solver_follows_the_exact_flow(options, within):
    assert (painted(perfect(), **options) - destination()).abs().max() < within


def test_the_stochastic_solver_paints_pictures_of_the_right_mean_and_variance():
    model = perfect()
    found = painted(model, n=200, steps=40, solver="stochastic", churn=10.0, inflation=1.0)
    assert found.mean().item() == pytest.approx(MEAN, abs=0.015)
    assert found.std().item() == pytest.approx(STD, rel=0.05)
    assert not torch.allclose(found[:6], painted(model, steps=40), atol=0.05)


def test_previews_are_pictures_and_one_a_step():
    canvases = list(perfect().paint(draws(), Condition(), EDMSampling(steps=5)))
    assert len(canvases) == 6
    assert all(c.shape == (6, 1, 4, 4) and c.abs().max() <= 1 for c in canvases)
    assert perfect().evaluations(EDMSampling(steps=5)) == 9  # the last step of heun looks once
    assert perfect(LABELLED).evaluations(EDMSampling(steps=5, guidance=2.0, solver="unipc")) == 10


def test_guidance_goes_beyond_the_label():
    model = perfect(LABELLED)
    labels = torch.ones(6, 1, dtype=torch.int64)
    plain = painted(model, Condition(labels), steps=50)
    null = painted(model, Condition(None), steps=50)  # no labels seen yet: the null condition
    assert torch.allclose(plain - null, torch.full_like(plain, 0.2), atol=5e-3)
    guided = painted(model, Condition(labels), steps=50, guidance=2.0)
    assert torch.allclose(guided, (null + 0.4).clamp(-1, 1), atol=5e-3)
    never = painted(model, Condition(labels), steps=50, guidance=2.0, interval=(0.0, 0.0))
    assert torch.equal(never, plain)
    part = painted(model, Condition(labels), steps=50, guidance=2.0, interval=(0.3, 80.0))
    inside = guided < 0.99
    assert bool(((part > plain + 0.01) & (part < guided - 0.01))[inside].all())


def test_labels_not_asked_for_are_those_of_training():
    model = perfect(LABELLED).train()
    batch = Batch(TurnDraws((0,), 4), torch.zeros(4, 1, 4, 4), labels=torch.full((4, 1), 2))
    model.loss(batch, Progress(), {})
    all_twos = painted(model, Condition(torch.full((6, 1), 2)), steps=5)
    assert torch.equal(painted(model, steps=5), all_twos)


# Codes and noise levels.


def test_encode_and_decode_are_inverse():
    model = perfect()
    pictures = (MEAN + STD * draws().normal("noise", *SPEC.shape)).clamp(-0.9, 0.9)
    assert (model.decode(model.encode(pictures)) - pictures).abs().max() < 1 / 255
    assert torch.allclose(model.encode(pictures), (pictures - MEAN) / STD, atol=0.03)


def test_denoise_is_the_posterior_mean():
    noisy = draws().normal("noise", *SPEC.shape)
    gain = (STD**2 / (STD**2 + SIGMAS**2)).view(-1, 1, 1, 1)
    assert torch.allclose(perfect().denoise(noisy, SIGMAS), MEAN + gain * (noisy - MEAN), atol=1e-9)
    assert torch.allclose(perfect().denoise(noisy, 0 * SIGMAS), noisy, atol=1e-3)
    far = perfect().denoise(1e4 * noisy, 1e4 + 0 * SIGMAS)  # more noise than there is in training is made that much
    assert torch.allclose(far, torch.full_like(far, MEAN), atol=4e-3)


# What is refused, and the recipe.


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"churn": 9.0}, "belongs to solver stochastic"),
        ({"churned": (0.0, 1.0), "solver": "unipc"}, "belongs to solver stochastic"),
        ({"tolerance": 0.1}, "belongs to solver adaptive"),
        ({"solver": "adaptive", "rho": 3.0}, "leave rho out"),
        ({"lowest": 3.0, "highest": 2.0}, "not below"),
        ({"solver": "stochastic", "churned": (9.0, 1.0)}, "churned 9,1 holds nothing"),
        ({"guidance": 2.0}, "needs a model trained with labels"),
    ],
)
def test_sampling_options_that_cannot_be_are_refused(options, said):
    with pytest.raises(UserError, match=said):
        painted(perfect(), **options)


def test_what_an_unlabelled_model_cannot_do_is_refused():
    with pytest.raises(UserError, match="trained without labels"):
        painted(perfect(), Condition(torch.zeros(6, 1, dtype=torch.int64)))
    with pytest.raises(UserError, match="4x4"):
        EDM.check(EDMConfig(), Spec(channels=1, height=2, width=9))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 112, 92)])
@pytest.mark.parametrize(("pictures", "budget"), [(3, 30.0), (100_000, None), (100_000, 86_400.0)])
def test_the_recipe_suits_every_situation(shape, pictures, budget):
    spec = Spec(channels=shape[0], height=shape[1], width=shape[2])
    config, train = RECIPE.build(Situation(spec, pictures, budget))
    EDM.check(config, spec)
    assert 1 <= train.batch <= max(pictures, 1)
    with torch.device("meta"):
        count = sum(p.numel() for p in EDM(config, spec).parameters())
    assert 1e5 < count < 3e7
    assert msgspec.convert(msgspec.to_builtins(config), EDMConfig, strict=False) == config

"""Flow matching with a network that is perfect: Gaussian pictures, of which every velocity is known."""

import itertools

import msgspec
import pytest
import torch
from torch import nn

from limner.api import Attribute, Batch, Condition, Progress, Situation, Spec
from limner.draws import PictureDraws, TurnDraws
from limner.errors import UserError
from limner.families.diffusion.flow_matching import FlowConfig, FlowMatching, FlowSampling
from limner.nn.unet import UNetConfig
from limner.noising.paths import PATHS, convert, spread
from limner.recipes.flow import RECIPE
from limner.tasks.sample import options_of

MEAN, STD = 0.1, 0.2
SPEC = Spec(channels=1, height=4, width=4)
LABELLED = Spec(channels=1, height=4, width=4, attributes=(Attribute("class", ("a", "b", "c")),))
SMALL = UNetConfig(patch=1, widths=(8,), blocks=(1,), embedding=16)


class Perfect(nn.Module):
    """E[target | z] for pictures whose values are all N(MEAN, STD^2), plus 0.1 for each label asked for."""

    def __init__(self, config):
        super().__init__()
        self.path, self.target = PATHS[config.path](), config.prediction

    def forward(self, z, time, labels=None):
        level = self.path.at(time)
        alpha, sigma = spread(level.alpha, z), spread(level.sigma, z)
        mean = MEAN if labels is None else MEAN + 0.1 * (labels + 1).to(z.dtype).view(-1, 1, 1, 1)
        x = mean + alpha * STD**2 / (alpha**2 * STD**2 + sigma**2) * (z - alpha * mean)
        return convert(x, z, level, "x", self.target)


def perfect(spec=SPEC, **options):
    config = FlowConfig(network=SMALL, **options)
    model = FlowMatching(config, spec)
    model.network = Perfect(config)
    return model.double()


def draws(n=6):
    return PictureDraws(0, range(n), dtype=torch.float64)


def painted(model, condition=None, **options):
    *_, last = model.paint(draws(), condition or Condition(), FlowSampling(**options))
    return last


@pytest.mark.parametrize(("path", "prediction"), list(itertools.product(PATHS, ["x", "noise", "score", "velocity"])))
def test_any_path_and_prediction_leads_to_the_pictures(path, prediction):
    model = perfect(path=path, prediction=prediction)
    noise = draws().normal("noise", *SPEC.shape)
    end = model.path.at(torch.ones(1, dtype=torch.float64))
    start = end.sigma * noise
    std = (end.alpha**2 * STD**2 + end.sigma**2).sqrt()
    expected = MEAN + STD * (start - end.alpha * MEAN) / std
    assert torch.allclose(painted(model, steps=400), expected.clamp(-1, 1), atol=5e-3)


@pytest.mark.parametrize("solver", ["euler", "heun", "midpoint", "dpm++", "unipc"])
def test_more_steps_come_closer(solver):
    model = perfect()
    expected = (MEAN + STD * draws().normal("noise", *SPEC.shape)).clamp(-1, 1)
    few, many = (painted(model, solver=solver, steps=steps) for steps in (5, 50))
    assert (many - expected).abs().max() < 0.5 * (few - expected).abs().max()


@pytest.mark.parametrize("schedule", ["uniform", "cosine", "karras"])
@pytest.mark.parametrize("solver", ["heun", "unipc"])
def test_every_schedule_leads_to_the_pictures(solver, schedule):
    expected = (MEAN + STD * draws().normal("noise", *SPEC.shape)).clamp(-1, 1)
    assert torch.allclose(painted(perfect(), solver=solver, schedule=schedule, steps=100), expected, atol=0.02)


def test_the_adaptive_solver_keeps_to_its_tolerance():
    model = perfect(LABELLED)
    labels = torch.tensor([[0], [1], [2], [0], [1], [2]])
    expected = painted(model, Condition(labels), solver="heun", steps=1000, guidance=1.5)
    for tolerance in (1e-2, 1e-4):
        found = painted(model, Condition(labels), solver="adaptive", tolerance=tolerance, guidance=1.5)
        assert (found - expected).abs().max() < 5 * tolerance


def test_the_adaptive_solver_paints_a_picture_whatever_its_neighbours():
    """Guided in an interval too, where some pictures are inside and others not."""
    model, how = perfect(LABELLED), {"solver": "adaptive", "guidance": 3.0, "interval": (0.2, 0.6)}
    few, other = torch.tensor([[0], [1], [2], [0], [1], [2]]), torch.tensor([[0], [1], [2], [2], [-1], [1]])
    one, two = (painted(model, Condition(labels), **how) for labels in (few, other))
    assert torch.equal(one[:3], two[:3]) and not torch.equal(one[3:], two[3:])


def test_sampling_options_that_would_be_ignored_are_refused():
    wrong = [
        {"solver": "heun", "tolerance": 0.1},
        {"schedule": "karras", "power": 2.0},
        {"solver": "adaptive", "power": 2.0},
        {"solver": "adaptive", "schedule": "cosine"},
    ]
    for options in wrong:
        with pytest.raises(UserError, match="leave"):
            painted(perfect(), **options)
    with pytest.raises(UserError, match="give the lower end first"):
        painted(perfect(LABELLED), guidance=2.0, interval=(0.8, 0.1))


def test_a_model_that_saw_every_label_is_not_guided_away_from_none():
    model = perfect(LABELLED, label_dropout=0.0)
    assert model.usual().guidance == 1 and perfect(LABELLED).usual().guidance > 1
    with pytest.raises(UserError, match="this model has seen none"):
        painted(model, Condition(torch.ones(6, 1, dtype=torch.int64)), guidance=2.0)


def test_previews_are_pictures_and_one_a_step():
    canvases = list(perfect().paint(draws(), Condition(), FlowSampling(steps=5)))
    assert len(canvases) == 6
    assert all(c.shape == (6, 1, 4, 4) and c.abs().max() <= 1 for c in canvases)
    assert torch.allclose(canvases[0], torch.full_like(canvases[0], MEAN), atol=0.05)  # of pure noise: the mean


@pytest.mark.parametrize("path", PATHS)
def test_encode_and_decode_are_inverse(path):
    model = perfect(path=path)
    pictures = (MEAN + STD * draws().normal("noise", *SPEC.shape)).clamp(-0.9, 0.9)
    assert (model.decode(model.encode(pictures)) - pictures).abs().max() < 1 / 255
    if path == "straight":
        assert torch.allclose(model.encode(pictures), (pictures - MEAN) / STD, atol=0.02)


@pytest.mark.parametrize("path", PATHS)
def test_denoise_is_the_posterior_mean(path):
    model = perfect(path=path)
    sigma = torch.tensor([0.05, 0.1, 0.5, 1.0, 3.0, 10.0], dtype=torch.float64)
    noisy = draws().normal("noise", *SPEC.shape)
    gain = (STD**2 / (STD**2 + sigma**2)).view(-1, 1, 1, 1)
    assert torch.allclose(model.denoise(noisy, sigma), MEAN + gain * (noisy - MEAN), atol=1e-9)


@pytest.mark.parametrize("path", ["straight", "cosine"])
def test_more_noise_than_the_path_has_is_taken_for_its_most(path):
    model, noise = perfect(path=path), draws().normal("noise", *SPEC.shape)
    found = model.denoise(MEAN + 1e5 * noise, torch.full((6,), 1e5, dtype=torch.float64))
    assert torch.allclose(found, torch.full_like(found, MEAN), atol=1e-3)
    assert torch.allclose(found, model.denoise(MEAN + 990 * noise, torch.full((6,), 990.0).double()), atol=1e-3)


def test_guidance_goes_beyond_the_label():
    model = perfect(LABELLED)
    labels = torch.ones(6, 1, dtype=torch.int64)
    plain = painted(model, Condition(labels), steps=50)
    null = painted(model, Condition(None), steps=50)  # no labels seen yet: the null condition
    assert torch.allclose(plain - null, torch.full_like(plain, 0.2), atol=5e-3)
    guided = painted(model, Condition(labels), steps=50, guidance=2.0)
    assert torch.allclose(guided, (null + 0.4).clamp(-1, 1), atol=5e-3)
    never = painted(model, Condition(labels), steps=50, guidance=2.0, interval=(0.0, 0.0))
    assert torch.allclose(never, plain, atol=0.02)


@pytest.mark.parametrize("solver, looks", [("euler", 10), ("heun", 19), ("midpoint", 20), ("unipc", 10), ("dpm++", 10)])
def test_the_cost_is_what_painting_takes(solver, looks):
    counted = []

    class Count(Perfect):
        def forward(self, z, time, labels=None):
            counted.append(len(z) // 6)
            return super().forward(z, time, labels)

    model = perfect(LABELLED)
    model.network = Count(model.config)
    plain = FlowSampling(steps=10, solver=solver)
    part = FlowSampling(steps=10, solver=solver, guidance=2.0, interval=(0.15, 0.65))
    assert model.evaluations(plain) == looks and looks < model.evaluations(part) < 2 * looks
    for options in (plain, part):
        counted.clear()
        *_, _ = model.paint(draws(), Condition(torch.ones(6, 1, dtype=torch.int64)), options)
        assert sum(counted) == model.evaluations(options)


def test_models_that_know_labels_follow_them_a_little_more_than_they_learnt():
    assert perfect().usual() == FlowSampling()
    usual = perfect(LABELLED).usual()
    assert (
        usual.guidance > 1 and options_of(perfect(LABELLED), {"steps": 7, "guidance": None}).guidance == usual.guidance
    )
    assert options_of(perfect(LABELLED), {"guidance": 1.0}).guidance == 1
    assert options_of(perfect(), {"steps": 7}) == FlowSampling(steps=7)


def test_labels_not_asked_for_are_those_of_training():
    model = perfect(LABELLED).train()
    batch = Batch(TurnDraws((0,), 4), torch.zeros(4, 1, 4, 4), labels=torch.full((4, 1), 2))
    model.loss(batch, Progress(), {})
    all_twos = painted(model, Condition(torch.full((6, 1), 2)))
    assert torch.equal(painted(model), all_twos)
    mixed = painted(model, Condition(torch.tensor([[-1], [0], [-1], [0], [-1], [2]])))
    assert torch.equal(mixed[[0, 2, 4, 5]], all_twos[[0, 2, 4, 5]])
    assert not torch.equal(mixed[1], all_twos[1])


@pytest.mark.parametrize("prediction", ["x", "noise", "score", "velocity"])
def test_the_loss_of_a_perfect_network_is_the_variance_it_cannot_know(prediction):
    """E |v - E[v | z]|^2 = (1 + STD^2) - Var(E[v | z]), at t = 1 / 2 in the middle of a narrow distribution."""
    model = perfect(prediction=prediction, time_std=1e-6)
    n = 4000
    g = torch.Generator().manual_seed(0)
    pictures = MEAN + STD * torch.randn(n, 1, 4, 4, generator=g, dtype=torch.float64)
    batch = Batch(TurnDraws((0,), n, dtype=torch.float64), pictures)
    loss = model.loss(batch, Progress(), {})["velocity"].item()
    # x and n are Gaussian with variances STD^2 and 1; z = (x + n) / 2 leaves one direction unknown.
    assert loss == pytest.approx(4 * STD**2 / (1 + STD**2), rel=0.02)


def test_labels_are_hidden_in_training_alone():
    seen = []

    class Watch(Perfect):
        def forward(self, z, time, labels=None):
            seen.append(labels)
            return super().forward(z, time, labels)

    model = perfect(LABELLED, label_dropout=0.5)
    model.network = Watch(model.config)
    batch = Batch(TurnDraws((0,), 1000), torch.zeros(1000, 1, 4, 4), labels=torch.ones(1000, 1, dtype=torch.int64))
    model.loss(batch, Progress(), {})
    assert (seen[0] < 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    model.probe(batch)
    assert bool((seen[1] == 1).all())


def test_what_an_unlabelled_model_cannot_do_is_refused():
    model = perfect()
    with pytest.raises(UserError, match="trained without labels"):
        painted(model, Condition(torch.zeros(6, 1, dtype=torch.int64)))
    with pytest.raises(UserError, match="guidance 2 needs"):
        painted(model, guidance=2.0)
    with pytest.raises(UserError, match="4x4"):
        FlowMatching.check(FlowConfig(), Spec(channels=1, height=2, width=9))


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 112, 92), (4, 72, 72)])
@pytest.mark.parametrize("pictures", [3, 350, 100_000])
@pytest.mark.parametrize("budget", [None, 30.0, 600.0, 86_400.0])
def test_the_recipe_suits_every_situation(shape, pictures, budget):
    spec = Spec(channels=shape[0], height=shape[1], width=shape[2])
    config, train = RECIPE.build(Situation(spec, pictures, budget))
    FlowMatching.check(config, spec)
    assert train.batch >= 1
    with torch.device("meta"):
        network = FlowMatching(config, spec).network
    count = sum(p.numel() for p in network.parameters())
    assert 1e5 < count < 3e7
    assert msgspec.convert(msgspec.to_builtins(config), FlowConfig, strict=False) == config

"""Losses against their formulas, written out, and against probabilities that have to sum to one."""

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from limner.losses import likelihoods
from limner.losses.adversarial import LOSSES, wrong_about


def logits(seed):
    return torch.randn(64, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)


@pytest.fixture
def real():
    return logits(0)


@pytest.fixture
def fake():
    return logits(1)


def sigmoid(x):
    return 1 / (1 + torch.exp(-x))


FORMULAS = {
    "minimax": (
        lambda r, f: -(torch.log(sigmoid(r)).mean() + torch.log(1 - sigmoid(f)).mean()),
        lambda r, f: torch.log(1 - sigmoid(f)).mean(),
    ),
    "non-saturating": (
        lambda r, f: -(torch.log(sigmoid(r)).mean() + torch.log(1 - sigmoid(f)).mean()),
        lambda r, f: -torch.log(sigmoid(f)).mean(),
    ),
    "least-squares": (
        lambda r, f: ((r - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda r, f: ((f - 1) ** 2).mean() / 2,
    ),
    "hinge": (
        lambda r, f: -torch.minimum(r - 1, r * 0).mean() - torch.minimum(-f - 1, f * 0).mean(),
        lambda r, f: -f.mean(),
    ),
    "wasserstein": (lambda r, f: f.mean() - r.mean(), lambda r, f: -f.mean()),
    "clamped-wasserstein": (
        lambda r, f: (1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean(),
        lambda r, f: -f.mean(),
    ),
    "relativistic": (
        lambda r, f: -torch.log(sigmoid(r - f)).mean(),
        lambda r, f: -torch.log(sigmoid(f - r)).mean(),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_adversarial_losses_are_their_formulas(name, real, fake):
    loss, (d, g) = LOSSES[name], FORMULAS[name]
    torch.testing.assert_close(loss.discriminator(real, fake, 0.0), d(real, fake))
    torch.testing.assert_close(loss.generator(fake, real), g(real, fake))


@pytest.mark.parametrize("name", LOSSES)
def test_players_pull_in_opposite_directions(name, real, fake):
    """D lifts the real and sinks the fake; G lifts the fake, and only a loss that pairs looks at the real."""
    loss = LOSSES[name]
    down, up = torch.autograd.grad(loss.discriminator(real, fake, 0.0), (real, fake))
    within = (real.abs() < 0.9) & (fake.abs() < 0.9)
    assert (down[within] < 0).all() and (up[fake > 0] > 0).all()
    at_fake, at_real = torch.autograd.grad(loss.generator(fake, real), (fake, real), allow_unused=True)
    assert (at_fake[fake < 0.9] < 0).all()
    assert (at_real is not None) == loss.pairs


@pytest.mark.parametrize("name", [n for n, loss in LOSSES.items() if loss.smooths])
def test_smoothing_moves_the_best_answer_for_the_real_alone(name):
    """With targets 0.9 the best D(x) is 0.9, not 1, and that for the fake stays 0."""
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    probability = grid if name == "least-squares" else sigmoid(grid)
    losses = torch.stack([LOSSES[name].discriminator(r, torch.full((1,), -20.0), 0.1) for r in grid])
    assert probability[losses.argmin()].item() == pytest.approx(0.9, abs=0.01)
    fake = logits(2)
    (plain,) = torch.autograd.grad(LOSSES[name].discriminator(grid, fake, 0.0), fake)
    (smoothed,) = torch.autograd.grad(LOSSES[name].discriminator(grid, fake, 0.1), fake)
    torch.testing.assert_close(plain, smoothed)


@pytest.mark.parametrize("name", ["minimax", "non-saturating", "relativistic", "hinge"])
def test_losses_stay_finite_at_the_extremes(name):
    far = torch.tensor([-1e4, 1e4], requires_grad=True)
    loss = LOSSES[name]
    for value in (loss.discriminator(far, far.flip(0), 0.0), loss.generator(far, far.flip(0))):
        (gradient,) = torch.autograd.grad(value, far)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_what_tutorials_print_as_wasserstein_is_hinge_and_says_so(real, fake):
    """Named alike, it is another game: no distance is recorded, and what is real enough has no gradient."""
    printed, hinge, true = (LOSSES[name] for name in ("clamped-wasserstein", "hinge", "wasserstein"))
    assert printed.discriminator(real, fake, 0.0) == hinge.discriminator(real, fake, 0.0)
    assert "distance" not in printed.opinion(real, fake) and "distance" in true.opinion(real, fake)
    assert "hinge" in printed.warning and not hinge.warning and not true.warning
    (slope,) = torch.autograd.grad(printed.discriminator(real, fake, 0.0), real)
    assert (slope[real > 1] == 0).all() and (slope[real < 1] < 0).all()


@pytest.mark.parametrize("name", [n for n, loss in LOSSES.items() if loss.middle is not None])
def test_the_middle_lies_between_the_best_answers(name):
    """The best logit of a picture that is real half of the time."""
    grid = torch.linspace(-3, 3, 1201, dtype=torch.float64)
    loss = torch.stack([LOSSES[name].discriminator(one[None], one[None], 0.0) for one in grid])
    best = grid[loss <= loss.min() + 1e-9]
    assert (best - LOSSES[name].middle).abs().min() < 5e-3


def test_wrong_about_labels():
    """Values by cross-entropy, a number by that of its place in its range; what is unknown counts nothing."""
    kinds = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    place = torch.randn(4, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([[0, 2500], [2, -1], [-1, 10_000], [1, 0]])
    said = kinds.softmax(1).log()
    kind = -(said[0, 0] + said[1, 2] + said[3, 1])
    p = sigmoid(place[:, 0])
    number = -(0.25 * p[0].log() + 0.75 * (1 - p[0]).log() + p[2].log() + (1 - p[3]).log())
    torch.testing.assert_close(wrong_about((kinds, place), labels), (kind + number) / 4, atol=1e-6, rtol=1e-6)
    assert wrong_about((kinds,), torch.full((4, 1), -1)) == 0


LEVELS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


@pytest.mark.parametrize("mass", [likelihoods.logistic, likelihoods.discretised_gaussian])
@pytest.mark.parametrize("mean", [-1.0, 0.3, 1.2])
@pytest.mark.parametrize("log_scale", [-6.0, -2.0, 1.0])
def test_discretised_masses_sum_to_one(mass, mean, log_scale):
    nll = mass(LEVELS, torch.tensor(mean, dtype=torch.float64), torch.tensor(log_scale, dtype=torch.float64))
    assert torch.exp(-nll).sum().item() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    ("mass", "distribution"),
    [(likelihoods.logistic, scipy.stats.logistic), (likelihoods.discretised_gaussian, scipy.stats.norm)],
)
def test_discretised_masses_are_differences_of_the_distribution(mass, distribution):
    edges = np.concatenate([[-np.inf], (LEVELS[1:].numpy() + LEVELS[:-1].numpy()) / 2, [np.inf]])
    theirs = np.diff(distribution.cdf(edges, loc=0.2, scale=0.15))
    ours = mass(LEVELS, torch.tensor(0.2, dtype=torch.float64), torch.tensor(0.15, dtype=torch.float64).log())
    np.testing.assert_allclose(torch.exp(-ours), theirs, rtol=1e-6, atol=1e-13)


@pytest.mark.parametrize("mass", [likelihoods.logistic, likelihoods.discretised_gaussian])
def test_discretised_masses_are_usable_in_float32(mass):
    """Finite with finite gradients where the prediction is sure of the wrong answer."""
    x = torch.tensor([-1.0, -0.2, 1.0])
    mean = torch.tensor([1.0, 0.9, -1.0], requires_grad=True)
    log_scale = torch.tensor([-4.0, -4.0, -4.0], requires_grad=True)
    loss = mass(x, mean, log_scale).sum()
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(mean.grad).all() and torch.isfinite(log_scale.grad).all()
    assert (mean.grad * (mean - x) > 0).all()


def test_gaussian_density():
    x, mean, log_sigma = torch.tensor(0.4), torch.tensor(-0.1), torch.tensor(-0.7)
    expected = -scipy.stats.norm.logpdf(0.4, -0.1, math.exp(-0.7))
    assert likelihoods.gaussian(x, mean, log_sigma).item() == pytest.approx(expected, rel=1e-5)


def test_bernoulli():
    logit = torch.tensor([-3.0, 0.5])
    expected = -torch.distributions.Bernoulli(logits=logit).log_prob(torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(likelihoods.bernoulli(torch.tensor([1.0, -1.0]), logit), expected)


def test_divergence_is_the_integral():
    mean, variance = 0.7, 0.3
    p = scipy.stats.norm(mean, math.sqrt(variance))
    integral, _ = scipy.integrate.quad(lambda t: p.pdf(t) * (p.logpdf(t) - scipy.stats.norm.logpdf(t)), -10, 10)
    ours = likelihoods.kl_to_standard(torch.tensor(mean), torch.tensor(math.log(variance)))
    assert ours.item() == pytest.approx(integral, rel=1e-5)


def test_log_density_of_a_code():
    ours = likelihoods.gaussian_log_density(torch.tensor(0.2), torch.tensor(-0.5), torch.tensor(math.log(0.4)))
    assert ours.item() == pytest.approx(scipy.stats.norm.logpdf(0.2, -0.5, math.sqrt(0.4)), rel=1e-5)

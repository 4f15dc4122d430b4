"""Baselines against scikit-learn and SciPy: fits, densities, samples."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA
from sklearn.mixture import GaussianMixture
from sklearn.neighbors import KernelDensity

from limner.api import Attribute, Batch, Condition, Progress, Spec
from limner.draws import PictureDraws, TurnDraws
from limner.errors import UserError
from limner.families import family
from limner.losses.dequantisation import VARIANCE, WIDTH, bits, dequantised
from limner.nn import gathering
from limner.nn.gathering import Moments
from limner.nn.principal import spectrum

SPEC = Spec(channels=1, height=4, width=3)
LABELLED = Spec(channels=1, height=4, width=3, attributes=(Attribute("kind", ("a", "b")),))
SIZE = math.prod(SPEC.shape)
ALL = ("mean", "gaussian", "ppca", "gmm", "kde")
DENSITIES = ("gaussian", "ppca", "gmm", "kde")


def pictures(count=600, seed=0):
    """Two clouds (n, C, H, W) well inside [-1, 1], correlated pixels, and which cloud each is of."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(SIZE, SIZE)) / SIZE
    kind = rng.integers(0, 2, count)
    x = 0.35 * rng.normal(size=(count, SIZE)) @ mixing + np.where(kind, 0.3, -0.2)[:, None] * np.linspace(0.2, 1, SIZE)
    return torch.from_numpy(x).float().view(-1, *SPEC.shape), torch.from_numpy(kind)[:, None]


def fitted(name, spec=SPEC, x=None, labels=None, batch=100, passes=None, **config):
    """A model that has looked at the pictures as the loop would show them: in turns of `batch`, some of them again."""
    kind = family(name)
    given = kind.Config(**config)
    kind.check(given, spec)
    model = kind(given, spec)
    drawn, known = pictures()
    x, labels = (drawn, known) if x is None else (x, labels)
    phase = model.stages()[0].phases[0]
    total = math.ceil((passes or kind.passes) * len(x) / batch)
    for step in range(total):
        places = torch.arange(step * batch, (step + 1) * batch)
        rows, epoch = places % len(x), places // len(x)
        turn = Batch(TurnDraws((step,), batch), x[rows], labels[rows] if spec.attributes else None, rows, epoch)
        assert phase.loss(turn, Progress(step, step / total), {}) == {}
    model.finish()
    return model.eval()


def painted(model, count=4000, labels=None, **options):
    draws = PictureDraws(3, range(count))
    *_, canvas = model.paint(draws, Condition(labels), model.Sampling(**options))
    return canvas


def assert_same_gaussian(samples, mean, covariance):
    """Sample mean and covariance within what chance allows at so many samples."""
    x = samples.flatten(1).double().numpy()
    deviation = np.sqrt(np.diag(covariance))
    assert np.abs((x.mean(0) - mean) / deviation).max() < 5 / math.sqrt(len(x))
    scale = np.outer(deviation, deviation)
    assert np.abs((np.cov(x.T) - covariance) / scale).max() < 8 / math.sqrt(len(x))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("batch", [100, 7, 900])
def test_every_picture_counts_once_whatever_the_batch(name, batch):
    one, other = fitted(name, batch=600), fitted(name, batch=batch)
    for key, value in one.state_dict().items():
        torch.testing.assert_close(value, other.state_dict()[key], atol=1e-4, rtol=1e-3, msg=key)


def test_mean_of_all_and_of_each_class():
    x, labels = pictures()
    model = fitted("mean", LABELLED)
    torch.testing.assert_close(painted(model, 2), x.mean(0).expand(2, -1, -1, -1))
    asked = torch.tensor([[1], [-1], [0]])
    expected = torch.stack([x[labels[:, 0] == 1].mean(0), x.mean(0), x[labels[:, 0] == 0].mean(0)])
    torch.testing.assert_close(painted(model, 3, asked), expected)


def test_gaussian_is_ledoit_and_wolfs():
    x, _ = pictures()
    model, reference = fitted("gaussian"), LedoitWolf().fit(x.flatten(1).double().numpy())
    covariance = reference.covariance_ + VARIANCE * np.eye(SIZE)
    assert reference.shrinkage_ > 0.001
    expected = multivariate_normal(reference.location_, covariance).logpdf(x.flatten(1).double().numpy())
    np.testing.assert_allclose(model.log_density(x).numpy(), expected, rtol=1e-4)
    assert_same_gaussian(painted(model), reference.location_, covariance)


def test_gaussian_of_maximum_likelihood_and_of_a_class():
    x, labels = pictures()
    model = fitted("gaussian", LABELLED, shrinkage=0.0)
    for group, rows in ((0, x), (2, x[labels[:, 0] == 1])):
        rows = rows.flatten(1).double().numpy()
        covariance = np.cov(rows.T, bias=True) + VARIANCE * np.eye(SIZE)
        expected = multivariate_normal(rows.mean(0), covariance).logpdf(rows)
        np.testing.assert_allclose(
            model.log_density(torch.from_numpy(rows).view(-1, *SPEC.shape), group), expected, rtol=1e-4
        )
    asked = torch.ones(4000, 1, dtype=torch.int64)
    assert_same_gaussian(painted(model, labels=asked), rows.mean(0), covariance)


@pytest.mark.parametrize("components", [1, 3, 11, 40])
def test_ppca_is_tipping_and_bishops(components):
    x, _ = pictures()
    model, flat = fitted("ppca", components=components), x.flatten(1).double().numpy()
    assert model.components == min(components, SIZE - 1)
    reference = PCA(model.components, svd_solver="full").fit(flat)
    # scikit-learn divides by n - 1; dequantisation adds its variance to every axis.
    covariance = reference.get_covariance() * (len(x) - 1) / len(x) + VARIANCE * np.eye(SIZE)
    expected = multivariate_normal(reference.mean_, covariance).logpdf(flat)
    np.testing.assert_allclose(model.log_density(x).numpy(), expected, rtol=1e-4)
    assert_same_gaussian(painted(model, grain=1.0), reference.mean_, covariance)
    if components == 11:
        return
    # Posterior means by the textbook's formula, with W from the fitted covariance itself.
    axes = reference.components_.T
    rest = model.gaussians.get_buffer("rest")[0].item()
    w = axes * np.sqrt(np.diag(axes.T @ covariance @ axes) - rest)
    codes = np.linalg.solve(w.T @ w + rest * np.eye(w.shape[1]), w.T @ (flat - reference.mean_).T).T
    again = codes @ w.T + reference.mean_
    np.testing.assert_allclose(model.decode(model.encode(x)).flatten(1), again.clip(-1, 1), atol=1e-3)


def test_sketched_axes_are_the_true_ones_where_variances_fall():
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.normal(size=(500, 90)) * 0.8 ** np.arange(90) + 0.3)
    whole, sketched = Moments(90, columns=90), Moments(90, columns=36)
    for moments in (whole, sketched):
        for part in x.split(100):
            moments.add(part, torch.zeros(len(part), dtype=torch.int64))
    exact, near = spectrum(whole.sums()), spectrum(sketched.sums())
    assert len(near.values) == 24
    torch.testing.assert_close(near.values[:12], exact.values[:12], rtol=0.01, atol=0)
    assert (near.axes[:, :6] * exact.axes[:, :6]).sum(0).min() > 0.999
    torch.testing.assert_close(near.axes.T @ near.axes, torch.eye(24, dtype=torch.float64))
    torch.testing.assert_close(near.trace, exact.values.sum())
    assert abs(near.rest(24) / exact.rest(24) - 1) < 0.3


@pytest.mark.parametrize("name", ["gaussian", "ppca"])
def test_large_pictures_keep_what_fits(name, monkeypatch):
    """Forced to half of the directions, the density is near that of all of them."""
    monkeypatch.setattr(gathering, "EXACT", 4)
    monkeypatch.setattr(gathering, "MOST", 9)
    x, _ = pictures()
    model = fitted(name)
    flat = x.flatten(1).double().numpy()
    full = multivariate_normal(flat.mean(0), np.cov(flat.T)).logpdf(flat).mean()
    assert model.gaussians.get_buffer("axes").shape == (1, SIZE, 6)
    assert full - 0.35 * SIZE < float(model.log_density(x).mean()) <= full


def test_gmm_is_scikit_learns():
    x, _ = pictures()
    model = fitted("gmm", mixtures=2, components=SIZE, per_mixture=10)
    rows = torch.cat([x[i : i + 100] for i in range(0, 600, 100)]).flatten(1).numpy()
    reference = GaussianMixture(2, reg_covar=model.codes.floor, random_state=0, max_iter=30).fit(rows)
    ours = model.log_density(x).mean().item()
    assert ours == pytest.approx(reference.score(rows), abs=0.02 * SIZE)
    means = model.codes.frame.lift(model.mixtures.get_buffer("centres")[0]).numpy()
    order = np.argsort(means[:, -1]), np.argsort(reference.means_[:, -1])
    np.testing.assert_allclose(means[order[0]], reference.means_[order[1]], atol=0.02)
    assert not len(model.codes.rows)  # no training picture is left in what is saved


def test_gmm_density_and_samples_agree():
    model = fitted("gmm", LABELLED, mixtures=3, components=5, per_mixture=50)
    weights, centres, factors = (model.mixtures.get_buffer(k)[2].double() for k in ("weights", "centres", "factors"))
    codes = model.codes.frame.project(
        painted(model, labels=torch.ones(4000, 1, dtype=torch.int64), grain=1.0).flatten(1)
    )
    mean = (weights[:, None] * centres).sum(0)
    second = torch.einsum("m,mij,mkj->ik", weights, factors, factors) + torch.einsum(
        "m,mi,mk->ik", weights, centres, centres
    )
    assert_same_gaussian(codes, mean.numpy(), (second - torch.outer(mean, mean)).numpy())
    expected = sum(
        w * multivariate_normal(c, f @ f.T).pdf(codes[:50].numpy())
        for w, c, f in zip(weights, centres.numpy(), factors, strict=True)
    )
    np.testing.assert_allclose(model.mixtures.log_density(codes[:50], 2), np.log(expected), rtol=1e-6)


def test_kde_is_scikit_learns():
    x, labels = pictures()
    model = fitted("kde", LABELLED, components=5, bandwidth=0.07)
    for group, rows in ((0, x), (1, x[labels[:, 0] == 0])):
        codes = model.codes.frame.project(rows.flatten(1)).float().double().numpy()
        reference = KernelDensity(bandwidth=0.07).fit(codes).score_samples(codes[:40])
        np.testing.assert_allclose(model.kernels.log_density(torch.from_numpy(codes[:40]), group), reference, rtol=1e-4)


def test_kde_chooses_the_bandwidth_that_scikit_learn_finds_likeliest():
    x, _ = pictures()
    model = fitted("kde", components=4, judges=600)
    codes = model.kernels.of(0).double().numpy()
    chosen = float(model.kernels.get_buffer("bandwidth")[0])

    def left_out(bandwidth):
        parts = np.array_split(np.arange(len(codes)), 30)
        kept = [np.setdiff1d(np.arange(len(codes)), part) for part in parts]
        return sum(
            KernelDensity(bandwidth=bandwidth).fit(codes[k]).score(codes[p]) for k, p in zip(kept, parts, strict=True)
        )

    assert left_out(chosen) > max(left_out(1.4 * chosen), left_out(chosen / 1.4))


def test_kde_samples_have_the_spread_of_data_and_kernel():
    model = fitted("kde", components=SIZE)
    codes = model.kernels.of(0).double()
    bandwidth = float(model.kernels.get_buffer("bandwidth")[0])
    covariance = np.cov(codes.T.numpy(), bias=True) + bandwidth**2 * np.eye(SIZE)
    assert_same_gaussian(model.codes.frame.project(painted(model).flatten(1)), codes.mean(0).numpy(), covariance)


@pytest.mark.parametrize("name", DENSITIES)
def test_the_density_of_a_whole_space_is_one(name):
    """Two pixels, so that it can be summed on a grid; one axis of them, so that there is a rest where that exists."""
    spec = Spec(channels=1, height=1, width=2)
    x, _ = pictures()
    small = {"gaussian": {}, "ppca": {"components": 1}, "gmm": {"components": 1}, "kde": {"components": 1}}[name]
    model = fitted(name, spec, x[:, :, 1:2, 1:], **small)
    line = torch.linspace(-1.5, 1.5, 301, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line).view(-1, 1, 1, 2)
    assert float(model.log_density(grid).exp().sum() * (3 / 300) ** 2) == pytest.approx(1, abs=1e-3)


def test_bits_are_an_upper_bound_of_the_bins_own():
    """-log2 of the mass in a bin, for one pixel, against the mean of the bound over dequantisation noise."""
    normal = torch.distributions.Normal(torch.tensor(0.1, dtype=torch.float64), 0.004)
    level = torch.full((20_000, 1, 1, 1), 2 * 140 / 255 - 1, dtype=torch.float64)
    edges = level[0, 0, 0, 0] + torch.tensor([-WIDTH / 2, WIDTH / 2])
    mass = normal.cdf(edges[1]) - normal.cdf(edges[0])
    noisy = dequantised(level, TurnDraws((0,), len(level), dtype=torch.float64))
    said = float(bits(normal.log_prob(noisy).sum((1, 2, 3)), 1).mean())
    assert 0 <= said + float(mass.log2()) < 0.2
    assert float(noisy.var()) == pytest.approx(VARIANCE, rel=0.02)


@pytest.mark.parametrize("name", DENSITIES)
def test_bits_know_their_own_pictures_from_others(name):
    model = fitted(name)
    own, _ = pictures(seed=0)
    draws = TurnDraws((1,), 100)
    near, far = (model.bits_per_dimension(x[:100], draws) for x in (own, own.flip(-1)))
    assert near.shape == (100,) and near.mean() < far.mean()
    assert model.probe(Batch(draws, own[:100]))["bits per dimension"] == pytest.approx(float(near.mean()))


@pytest.mark.parametrize("name", ALL)
def test_a_class_without_pictures_is_as_all(name):
    spec = Spec(channels=1, height=4, width=3, attributes=(Attribute("kind", ("a", "b", "none of these")),))
    model = fitted(name, spec)
    asked = painted(model, 5, torch.full((5, 1), 2))
    torch.testing.assert_close(asked, painted(model, 5, torch.full((5, 1), -1)))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("what", ["one picture", "one colour", "half a pass"])
def test_what_is_hardly_data_is_fitted_all_the_same(name, what):
    x, labels = pictures(2)
    x = x[:1] if what == "one picture" else torch.zeros_like(x) if what == "one colour" else pictures(50)[0]
    model = fitted(name, SPEC, x, labels, batch=max(1, len(x) // 4), passes=0.5 if what == "half a pass" else None)
    canvas = painted(model, 20)
    assert torch.isfinite(canvas).all()
    assert (canvas - x.mean(0)).abs().mean() < 0.6
    if name in DENSITIES:
        assert torch.isfinite(model.bits_per_dimension(x, TurnDraws((0,), len(x)))).all()


def test_too_large_a_covariance_is_refused():
    spec = Spec(channels=3, height=1024, width=1024)
    for name in DENSITIES:
        with pytest.raises(UserError, match="smaller --size"):
            fitted(name, spec)


def test_what_is_gathered_keeps_its_precision_and_fits_in_any_size():
    rows = torch.rand(20, 3, generator=torch.Generator().manual_seed(0)).double() / 3
    moments = Moments(3, 2, 3)
    moments.add(rows, torch.arange(20) % 2)
    held = {name: value.clone() for name, value in moments.state_dict().items()}
    moments.to(torch.float32).to(torch.bfloat16)
    again = Moments(3, 2, 3)
    again.load_state_dict(moments.state_dict())
    for name, value in again.state_dict().items():
        assert value.dtype == torch.float64 and torch.equal(value, held[name])
    torch.testing.assert_close(again.sums().second, rows.T @ rows)
    torch.testing.assert_close(again.sums(1).total, rows[1::2].sum(0))
    again.empty()
    assert not again.begun and all(not value.numel() for value in again.state_dict().values())
    moments.load_state_dict(again.state_dict())
    assert not moments.begun

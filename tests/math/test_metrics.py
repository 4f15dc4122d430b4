"""Distances, neighbours and intervals against SciPy, plain implementations and published ones."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from scipy.spatial.distance import cdist

GOLDEN = Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))

from metric_sets import feature_sets, logits  # noqa: E402

from limner.evaluation.distances import Moments, frechet, frechet_distance, inception_score, kernel_distance  # noqa: E402
from limner.evaluation.intervals import estimate, group_slices  # noqa: E402
from limner.evaluation.neighbours import manifold, nearest_rows  # noqa: E402

PUBLISHED = json.loads((GOLDEN / "metrics.json").read_text())["values"]
SETS = feature_sets()


def moments(x):
    return x.mean(0), np.cov(x, rowvar=False)


def sqrtm_frechet(x, y):
    """The textbook formula, with SciPy's general matrix root."""
    (a, s), (b, t) = moments(x), moments(y)
    return float(np.square(a - b).sum() + np.trace(s + t - 2 * np.real(scipy.linalg.sqrtm(s @ t))))


def plain_kid(x, y):
    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    n, m = len(x), len(y)
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    return (xx.sum() - np.trace(xx)) / n / (n - 1) + (yy.sum() - np.trace(yy)) / m / (m - 1) - 2 * xy.mean()


def plain_manifold(reals, samples, k=5):
    reach, reach_samples = (np.sort(cdist(f, f), axis=1)[:, k] for f in (reals, samples))
    d = cdist(reals, samples)
    return {
        "precision": (d < reach[:, None]).any(0).mean(),
        "recall": (d < reach_samples).any(1).mean(),
        "density": (d < reach[:, None]).sum(0).mean() / k,
        "coverage": (d.min(1) < reach).mean(),
    }


def left_out(measure, x, y):
    """Two-sample delete-a-group jackknife by doing it: the interval of `measure(x, y)`."""
    without_x = [measure(np.delete(x, part, axis=0), y) for part in group_slices(len(x))]
    without_y = [measure(x, np.delete(y, part, axis=0)) for part in group_slices(len(y))]
    return estimate(measure(x, y), np.array(without_x), np.array(without_y))


@pytest.mark.parametrize("name", SETS)
def test_published_implementations_agree(name):
    real, samples = SETS[name]
    expected = PUBLISHED[name]
    size = min(len(real), len(samples))
    assert frechet_distance(samples, real).value == pytest.approx(expected["pytorch-fid frechet"], abs=1e-4)
    for package in ("torch-fidelity", "clean-fid"):
        kid = kernel_distance(samples[:size], real[:size]).value
        assert kid == pytest.approx(expected[f"{package} kid"], abs=1e-4)
    found = manifold(real, samples)
    for measure in ("precision", "recall", "density", "coverage"):
        assert getattr(found, measure).value == pytest.approx(expected[f"prdc {measure}"], abs=1e-4)


def test_published_inception_score_agrees():
    odds = np.exp(logits())
    score = inception_score(odds / odds.sum(1, keepdims=True)).value
    assert score == pytest.approx(PUBLISHED["logits"]["torch-fidelity inception score"], abs=1e-4)


@pytest.mark.parametrize("name", ["near", "far", "collapsed"])
def test_frechet_agrees_with_scipy(name):
    real, samples = SETS[name]
    assert frechet(*moments(samples), *moments(real)) == pytest.approx(sqrtm_frechet(samples, real), abs=1e-6)
    assert frechet_distance(samples, real).value == pytest.approx(sqrtm_frechet(samples, real), abs=1e-6)


def test_frechet_with_fewer_pictures_than_features():
    """Singular covariances: the trace of the root is the nuclear norm of the centred sets' product."""
    random = np.random.default_rng(0)
    x, y = random.normal(size=(12, 50)), random.normal(0.5, 2, size=(9, 50))
    a, b = x - x.mean(0), y - y.mean(0)
    root = np.linalg.svd(a @ b.T, compute_uv=False).sum() / np.sqrt((len(x) - 1) * (len(y) - 1))
    expected = np.square(x.mean(0) - y.mean(0)).sum() + a.var(0, ddof=1).sum() + b.var(0, ddof=1).sum() - 2 * root
    assert frechet_distance(x, y).value == pytest.approx(expected, abs=1e-5)
    assert frechet_distance(x, x).value == pytest.approx(0, abs=1e-5)


def test_frechet_of_gaussians_that_are_known():
    """Diagonal covariances: |mu|^2 + sum (s - t)^2 (Dowson and Landau 1982)."""
    s, t, mu = np.array([1.0, 2, 3]), np.array([2.0, 2, 0.5]), np.array([0.3, 0, -1])
    assert frechet(mu, np.diag(s**2), 0 * mu, np.diag(t**2)) == pytest.approx((mu**2).sum() + ((s - t) ** 2).sum())


def test_kernel_distance_agrees_with_the_plain_formula():
    for real, samples in SETS.values():
        assert kernel_distance(samples, real).value == pytest.approx(plain_kid(samples, real), abs=1e-9)


def test_kernel_distance_is_unbiased_and_frechet_is_not():
    random = np.random.default_rng(1)
    kids, frechets = zip(
        *(
            (kernel_distance(x, y).value, frechet_distance(x, y).value)
            for x, y in (random.normal(size=(2, 40, 8)) for _ in range(200))
        ),
        strict=True,
    )
    assert abs(np.mean(kids)) < 3 * np.std(kids) / np.sqrt(200)
    assert np.mean(frechets) > 0.3


def test_manifold_agrees_with_the_plain_formulas():
    for real, samples in SETS.values():
        found, plain = manifold(real, samples), plain_manifold(real, samples)
        assert {name: getattr(found, name).value for name in plain} == pytest.approx(plain, abs=1e-6)


@pytest.mark.parametrize("name", ["near", "collapsed"])
def test_intervals_are_those_of_leaving_groups_out_in_earnest(name):
    real, samples = SETS[name]
    pairs = [
        (frechet_distance(samples, real), left_out(lambda x, y: frechet(*moments(x), *moments(y)), samples, real)),
        (kernel_distance(samples, real), left_out(plain_kid, samples, real)),
    ]
    found = manifold(real, samples)
    for measure in ("precision", "recall", "density", "coverage"):
        slow = left_out(lambda x, y, measure=measure: plain_manifold(x, y)[measure], real, samples)
        pairs.append((getattr(found, measure), slow))
    for quick, slow in pairs:
        assert (quick.low, quick.value, quick.high) == pytest.approx((slow.low, slow.value, slow.high), abs=1e-6)
        assert (quick.low + quick.high) / 2 == pytest.approx(quick.value, abs=1e-9)


def test_intervals_cover():
    """About 95 % of KID's intervals hold its expectation, which is zero for two draws of one distribution."""
    random = np.random.default_rng(2)
    found = [kernel_distance(*random.normal(0.4, 1, size=(2, 120, 6))) for _ in range(200)]
    covered = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.88 <= covered <= 1.0


def test_frechet_interval_is_as_wide_as_other_draws_scatter():
    random = np.random.default_rng(3)
    found = [frechet_distance(*(random.normal(shift, 1, size=(300, 6)) for shift in (0, 0.5))) for _ in range(60)]
    scatter = 1.96 * np.std([one.value for one in found])
    width = np.median([(one.high - one.low) / 2 for one in found])
    assert 0.7 < width / scatter < 1.5


def test_moments_without_a_group_are_those_of_the_others():
    x = SETS["near"][0]
    for part, (mean, covariance) in zip(group_slices(len(x)), Moments(x).without(), strict=True):
        rest = np.delete(x, part, axis=0)
        np.testing.assert_allclose(mean, rest.mean(0), atol=1e-10)
        np.testing.assert_allclose(covariance, np.cov(rest, rowvar=False), atol=1e-10)


def test_groups_cover_everything_once():
    for n in (3, 19, 20, 21, 399):
        rows = np.concatenate([np.arange(n)[part] for part in group_slices(n)])
        assert rows.tolist() == list(range(n))
        assert all(part.stop > part.start for part in group_slices(n))


def test_too_few_for_neighbours_is_refused():
    with pytest.raises(ValueError, match="too few"):
        manifold(np.zeros((6, 3)), np.zeros((30, 3)))


def test_nearest_rows_finds_copies():
    real, samples = SETS["near"]
    at, far = nearest_rows(np.concatenate([real[[17, 3]], samples[:1]]), real)
    assert at[:2].tolist() == [17, 3]
    assert far[:2] == pytest.approx(0, abs=1e-3)
    assert far[2] == pytest.approx(np.sqrt(((real - samples[0]) ** 2).sum(1)).min(), rel=1e-5)

"""The shipped features: what they are a function of, and that they see what is wrong with pictures."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from spoiling import WAYS

from limner.data import DataOptions, pack
from limner.errors import UserError
from limner.evaluation import load
from limner.evaluation.distances import Moments, frechet_value, kernel_distance
from limner.evaluation.features import SHIPPED
from limner.evaluation.neighbours import manifold
from limner.evaluation.reference import shuffled

FEATURES = load()


def strictly_rising(numbers):
    return all(a < b for a, b in zip(numbers, numbers[1:], strict=False))


def assert_worse_is_farther(pictures, reference, ways):
    """Both distances rise from the pictures as they are over each strength of each way of spoiling them."""
    real, clean = FEATURES.extract(reference), FEATURES.extract(pictures)
    moments = Moments(real)
    for way in ways:
        spoil, strengths = WAYS[way]
        taken = [clean, *(FEATURES.extract(spoil(pictures, strength)) for strength in strengths)]
        frechets = [frechet_value(Moments(f), moments) for f in taken]
        kernels = [kernel_distance(f, real).value for f in taken]
        assert strictly_rising(frechets), (way, frechets)
        assert strictly_rising(kernels), (way, kernels)


def test_worse_photographs_are_farther(photos):
    assert_worse_is_farther(photos.read(photos.train[:200]), photos.read(photos.train[200:400]), WAYS)


@pytest.mark.parametrize("name", ["mnist", "cifar10", "avatars"])
def test_worse_real_pictures_are_farther(real_data, name):
    packed = pack(real_data / name, DataOptions(limit=500, size=28 if name == "mnist" else 32))
    ways = [way for way in WAYS if way != "reddened" or packed.shape[0] == 3]
    assert_worse_is_farther(packed.read(packed.train[:200]), packed.read(packed.train[200:400]), ways)


def test_missing_classes_are_seen(digits):
    """Fewer and fewer of the ten digits: farther, and less is covered; what is left still looks real."""
    numbers = shuffled(digits.train, 0, "test")
    labels = digits.labels(numbers)
    reference = FEATURES.extract(digits.read(np.concatenate([digits.held_out, digits.validation])))
    size = 120
    found = [FEATURES.extract(digits.read(numbers[labels < kept][:size])) for kept in (10, 7, 4, 1)]
    assert strictly_rising([frechet_value(Moments(f), Moments(reference)) for f in found])
    around = [manifold(reference, f) for f in found]
    assert strictly_rising([-m.coverage.value for m in around])
    assert strictly_rising([-m.recall.value for m in around])
    assert all(m.precision.value > 0.8 for m in around)


def test_digits_are_told_apart_by_a_linear_probe(digits):
    x, held = (FEATURES.extract(digits.read(i)) for i in (digits.train, digits.held_out))
    scale = StandardScaler().fit(x)
    probe = LogisticRegression(C=0.1, max_iter=300).fit(scale.transform(x), digits.labels(digits.train))
    assert probe.score(scale.transform(held), digits.labels(digits.held_out)) > 0.95


def test_a_picture_is_measured_alike_in_any_batch(photos):
    pictures = photos.read(photos.train[:70])
    whole = FEATURES.extract(pictures)
    pieces = FEATURES.extract(pictures[first : first + 9] for first in range(0, 70, 9))
    np.testing.assert_allclose(whole, pieces, atol=2e-4)
    assert whole.shape == (70, FEATURES.dimension)
    assert whole.dtype == np.float32


def test_modes_that_look_alike_measure_alike(digits, photos):
    grey = digits.read(digits.train[:5])
    expected = FEATURES.extract(grey)
    np.testing.assert_allclose(FEATURES.extract(np.repeat(grey, 3, axis=3)), expected, atol=2e-4)
    np.testing.assert_allclose(FEATURES.extract(grey[..., 0]), expected, atol=2e-4)
    np.testing.assert_allclose(FEATURES.extract(grey.astype(np.uint16) * 257), expected, atol=2e-4)

    colour = photos.read(photos.train[:5])
    alpha = np.full((*colour.shape[:3], 1), 255, np.uint8)
    opaque = np.concatenate([colour, alpha], 3)
    np.testing.assert_allclose(FEATURES.extract(opaque), FEATURES.extract(colour), atol=2e-4)
    clear = np.concatenate([colour, 0 * alpha], 3)
    np.testing.assert_allclose(FEATURES.extract(clear), FEATURES.extract(np.full_like(colour, 255)), atol=2e-4)


def test_other_shapes_are_refused():
    with pytest.raises(UserError, match="float32"):
        FEATURES.extract(np.zeros((2, 8, 8, 3), np.float32))
    with pytest.raises(UserError, match="1|3|4"):
        FEATURES.extract(np.zeros((2, 8, 8, 2), np.uint8))


def test_any_size_is_measured():
    for height, width in ((1, 1), (8, 24), (40, 100)):
        assert np.isfinite(FEATURES.extract(np.zeros((1, height, width, 1), np.uint8))).all()


def test_the_card_is_of_these_weights():
    card = SHIPPED.with_suffix(".md").read_text()
    assert FEATURES.hash in card
    assert "faces" not in {line.split("|")[1].strip() for line in card.splitlines() if line.startswith("| ")}


def test_loading_needs_no_torchvision():
    code = "import sys, limner.evaluation as e; e.load(); print('torchvision' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"

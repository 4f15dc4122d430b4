"""Health: each fault is named on pictures that have it, and on none that do not."""

from __future__ import annotations

import numpy as np
import pytest

from limner.training import health


@pytest.fixture
def real() -> np.ndarray:
    return np.random.default_rng(0).integers(20, 235, (64, 8, 8, 3)).astype(np.uint8)


def test_sound_pictures_raise_nothing(real: np.ndarray) -> None:
    other = np.random.default_rng(1).integers(20, 235, real.shape).astype(np.uint8)
    for check in (health.colour_cast, health.saturation, health.collapse):
        assert check(other, real) is None


def test_a_colour_cast_names_its_channel(real: np.ndarray) -> None:
    cast = real.copy()
    cast[..., 1] = cast[..., 1] // 2 + 127
    finding = health.colour_cast(cast, real)
    assert finding is not None and "green" in str(finding) and "above" in str(finding)


def test_saturation_and_collapse(real: np.ndarray) -> None:
    extreme = np.where(real > 127, 255, 0).astype(np.uint8)
    assert health.saturation(extreme, real) is not None
    same = np.repeat(real[:1], 64, axis=0)
    assert health.collapse(same, real) is not None


def test_a_discriminator_that_wins() -> None:
    assert health.discriminator_wins({"discriminator/p_real": 0.999, "discriminator/p_fake": 0.001}) is not None
    assert health.discriminator_wins({"discriminator/p_real": 0.6, "discriminator/p_fake": 0.4}) is None
    assert health.discriminator_wins({"fit/mse": 0.6}) is None


def test_a_critics_numbers_are_not_taken_for_probabilities() -> None:
    assert health.discriminator_wins({"discriminator/distance": 40.0, "discriminator/slope": 1.0}) is None
    assert health.discriminator_wins({"discriminator/p_pair": 0.999}) is not None
    assert health.discriminator_wins({"discriminator/p_pair": 0.7}) is None
    assert health.no_learning([1.0, 1.0, 1.0], {"discriminator/distance": 1.0}) is None


def test_a_critic_that_breaks_its_bound() -> None:
    """A slope above 1 belongs to a large distance; a penalty larger than the distance does not."""
    for weight, d in ((10.0, 2.0), (10.0, 80.0), (1.0, 80.0)):
        slope = 1 + d / (2 * weight)
        balanced = {"d/slope": slope, "d/gp": weight * (slope - 1) ** 2, "d/distance": slope * d}
        assert health.too_steep(balanced) is None
    finding = health.too_steep({"d/slope": 3.0, "d/gp": 40.0, "d/distance": 12.0})
    assert "3.0 times" in str(finding) and "penalty 40" in str(finding)
    assert health.too_steep({"d/slope": 3.0, "d/gp": 40.0}) is not None
    assert health.too_steep({"d/p_real": 0.6, "d/p_fake": 0.4}) is None


def test_overfitting_needs_a_gap_that_grows() -> None:
    grows = [({"mse": 1.0}, {"mse": 1.0}), ({"mse": 0.5}, {"mse": 0.7}), ({"mse": 0.2}, {"mse": 0.8})]
    finding = health.overfitting(grows)
    assert finding is not None and "0.2 on training and 0.8 on held-out" in str(finding)
    assert health.overfitting(grows[::-1]) is None
    assert health.overfitting([({}, {}), ({}, {})]) is None


def test_a_loss_that_stands_still() -> None:
    assert health.no_learning([1.0, 1.0, 1.0], {"fit/mse": 1.0}) is not None
    assert health.no_learning([1.0, 0.9, 0.8], {"fit/mse": 1.0}) is None
    assert health.no_learning([1.0, 1.0, 1.0], {"discriminator/hinge": 1.0}) is None

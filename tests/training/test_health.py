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
    assert health.too_steep({"discriminator/distance": 40.0, "discriminator/slope": 1.1}) is None
    assert "3.0 times" in str(health.too_steep({"discriminator/distance": 40.0, "penalty/slope": 3.0}))
    assert health.no_learning([1.0, 1.0, 1.0], {"discriminator/distance": 1.0}) is None


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

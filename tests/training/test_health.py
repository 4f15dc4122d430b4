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

"""Changes of which a network is told: the geometry, and that what is told is what was done."""

from __future__ import annotations

import math

import pytest
import torch

from limner.draws import TurnDraws
from limner.labels import FINE
from limner.nn.told import SHIFT, TOLD, TURN, ZOOM, changed, drawn, unchanged, values

NAMES = tuple(TOLD)
MIDDLE = FINE // 2


def told(**labels):
    """Labels (1, K) of all changes: the given ones, and nothing done otherwise."""
    return torch.tensor([[code for name in NAMES for code in labels.get(name, TOLD[name].unchanged)]])


def picture(height=24, width=32, channels=3):
    """A smooth picture: bilinear sampling is nearly exact inside."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    waves = [torch.sin(2 * x + k) * torch.cos(1.5 * y - k) for k in range(channels)]
    return torch.stack(waves)[None].double()


def test_what_is_told_to_be_unchanged_is_unchanged_to_the_bit():
    x = torch.rand(4, 3, 9, 12)
    assert torch.equal(changed(x, NAMES, unchanged(NAMES, x.device).expand(4, -1)), x)


def test_mirrored():
    x = picture()
    assert torch.allclose(changed(x, NAMES, told(mirror=(1,))), x.flip(3), atol=1e-12)


def test_shifted_by_whole_pixels():
    x = picture(24, 32)
    far = changed(x, NAMES, told(shift=(FINE, MIDDLE)))  # an eighth of 32 pixels
    assert torch.allclose(far[..., :-4], x[..., 4:], atol=1e-12)
    down = changed(x, NAMES, told(shift=(MIDDLE, 0)))
    assert torch.allclose(down[..., 3:, :], x[..., :-3, :], atol=1e-12)
    assert SHIFT == 1 / 8


@pytest.mark.parametrize("shape", [(32, 32), (24, 32), (32, 20)])
def test_a_turn_keeps_lengths_whatever_the_picture_s_shape(shape):
    height, width = shape
    y, x = torch.meshgrid(torch.arange(height) + 0.5 - height / 2, torch.arange(width) + 0.5 - width / 2, indexing="ij")
    places = torch.stack([x, y])[None].double()  # each pixel says where it is
    found = changed(places, NAMES, told(turn=(FINE,)))
    cos, sin = math.cos(TURN), math.sin(TURN)
    wanted = torch.stack([cos * x - sin * y, sin * x + cos * y])[None].double()
    inside = (wanted[:, :1].abs() < width / 2 - 1) & (wanted[:, 1:].abs() < height / 2 - 1)
    assert inside.float().mean() > 0.5
    assert torch.allclose(found * inside, wanted * inside, atol=1e-9)


def test_zoomed_and_stretched():
    y, x = torch.meshgrid(torch.arange(16) - 7.5, torch.arange(16) - 7.5, indexing="ij")
    places = torch.stack([x, y])[None].double()
    nearer = changed(places, NAMES, told(zoom=(0,)))
    assert torch.allclose(nearer, places * 2**-ZOOM, atol=1e-9)
    stretched = changed(places, NAMES, told(stretch=(0,)))
    middle = slice(3, 13)
    assert torch.allclose(
        (stretched / places)[:, 0, middle, middle] * (stretched / places)[:, 1, middle, middle],
        torch.ones(1, 10, 10, dtype=torch.float64),
    )


def test_two_changes_are_one_after_the_other():
    x = picture()
    once = changed(changed(x, NAMES, told(mirror=(1,))), NAMES, told(shift=(FINE, MIDDLE)))
    assert torch.allclose(
        changed(x, NAMES, told(mirror=(1,), shift=(FINE, MIDDLE)))[..., :-4], once[..., :-4], atol=1e-12
    )


def test_drawn_as_often_as_asked_and_within_what_there_is():
    labels = drawn(TurnDraws((0, 0), 4000), NAMES, 0.2)
    assert labels.shape == (4000, len(values(NAMES)))
    assert labels.min() >= 0 and labels.max() <= FINE
    done = (labels != unchanged(NAMES, labels.device)).float().mean(0)
    assert done[0] == pytest.approx(0.1, abs=0.02)  # a mirrored picture in half of the cases
    assert all(share == pytest.approx(0.2, abs=0.03) for share in done[1:].tolist())
    assert set(labels[:, 0].tolist()) == {0, 1}

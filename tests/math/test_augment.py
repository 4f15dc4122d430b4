"""Differentiable augmentation."""

import pytest
import torch

from limner.draws import TurnDraws
from limner.nn.augment import CHANGES, augment, colour, cutout, translation


def draws(batch=64, first=0, size=None, dtype=torch.float64):
    return TurnDraws((0, 1, "play", 0), batch, first, size, dtype=dtype)


def pictures(batch=64, height=16, width=24):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("kind", CHANGES)
def test_each_picture_has_its_own_change(kind):
    x = pictures()
    whole = augment(x, draws(), [kind])
    assert whole.shape == x.shape and whole.dtype == x.dtype
    torch.testing.assert_close(augment(x[10:20], draws(first=10, size=10), [kind]), whole[10:20])
    assert len(torch.unique(augment(x[:1].expand_as(x), draws(), [kind]).flatten(1), dim=0)) > 24


@pytest.mark.parametrize("kind", CHANGES)
def test_gradients_reach_the_pictures_twice(kind):
    x = pictures(2, 8, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: augment(x, draws(2), [kind]), (x,))
    assert torch.autograd.gradgradcheck(lambda x: augment(x, draws(2), [kind]), (x,))


def test_colours_keep_their_place_and_nothing_more():
    x = pictures()
    y = colour(x, draws())
    for before, after in zip(x[:8], y[:8], strict=True):  # one affine map of grey, one of what is not grey
        grey = torch.stack([before.mean(0).flatten(), torch.ones(16 * 24)], 1)
        fit = grey @ torch.linalg.lstsq(grey, after.mean(0).flatten()[:, None]).solution
        torch.testing.assert_close(fit[:, 0], after.mean(0).flatten())
    flat = torch.zeros_like(x)
    moved = colour(flat, draws())
    assert (moved.amax((1, 2, 3)) - moved.amin((1, 2, 3))).max() < 1e-12
    assert -0.5 <= moved.min() < -0.4 and 0.4 < moved.max() <= 0.5


def test_translation_moves_by_an_eighth_at_most():
    x = torch.zeros(256, 1, 16, 24, dtype=torch.float64)
    x[:, :, 8, 12] = 1.0
    places = translation(x, draws(256)).nonzero()[:, 2:] - torch.tensor([8, 12])
    assert len(places) == 256
    assert places.amin(0).tolist() == [-2, -3] and places.amax(0).tolist() == [2, 3]


def test_cutout_leaves_a_hole_of_half_the_sides():
    gone = cutout(torch.ones(256, 1, 16, 24, dtype=torch.float64), draws(256)) == 0
    heights, widths = gone.any(3).sum(2).flatten(), gone.any(2).sum(2).flatten()
    assert heights.max() == 8 and widths.max() == 12
    assert heights.min() >= 4 and widths.min() >= 6  # with its centre inside, at least half of it lies inside
    assert (gone.flatten(1).sum(1) == heights * widths).all()

"""Differentiable augmentation."""

import pytest
import torch

from limner.draws import TurnDraws
from limner.nn.augment import CHANGES, ERASING, augment, colour, cutout, mirror, translation, turn


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
    ways = len(torch.unique(augment(x[:1].expand_as(x), draws(), [kind]).flatten(1), dim=0))
    assert ways == 2 if kind in ERASING else ways > 24


@pytest.mark.parametrize("kind", CHANGES)
def test_gradients_reach_the_pictures_twice(kind):
    x = pictures(2, 6, 6).requires_grad_()
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


def test_turns_and_mirrors_keep_all_pixels():
    x = pictures(64, 12, 12)
    turned, mirrored = turn(x, draws()), mirror(x, draws())
    assert torch.equal(turned.flatten(2).sort().values, x.flatten(2).sort().values)
    ways = [[torch.equal(x[i].rot90(k, (1, 2)), turned[i]) for k in range(4)].index(True) for i in range(64)]
    assert all(8 <= ways.count(k) <= 24 for k in range(4))
    swapped = [torch.equal(x[i].flip(2), mirrored[i]) for i in range(64)]
    assert 20 <= sum(swapped) <= 44
    assert all(torch.equal(mirrored[i], x[i]) for i in range(64) if not swapped[i])


@pytest.mark.parametrize("kind", CHANGES)
def test_with_a_probability_each_change_is_left_out_by_itself(kind):
    x = pictures(512)
    whole, some = augment(x, draws(512), [kind]), augment(x, draws(512), [kind], 0.3)
    changed = (some != x).flatten(1).any(1)
    assert torch.equal(some[changed], whole[changed])
    share = 0.15 if kind in ERASING else 0.3
    assert changed.float().mean().item() == pytest.approx(share, abs=0.08)
    assert torch.equal(augment(x, draws(512), [kind], torch.tensor(0.0)), x)
    assert torch.equal(augment(x, draws(512), [kind], torch.tensor(1.0)), whole)


@pytest.mark.parametrize("probability", [0.7, 1.0])
def test_what_a_change_does_to_a_distribution_can_be_undone_below_probability_one(probability):
    """Columns are the distributions of a picture's four turns, turned by chance.

    At probability 1 all columns are alike, so that any mixture of turns looks like the right one to a discriminator; at
    0.7 the matrix has an inverse, and only the right one does (Karras et al. 2020, section 2.1 and figure 4).
    """
    one = torch.arange(9.0).view(1, 1, 3, 3)
    ways = torch.cat([one.rot90(k, (2, 3)) for k in range(4)])
    columns = []
    for way in ways:
        seen = augment(way.expand(4000, -1, -1, -1), draws(4000, dtype=torch.float32), ["turn"], probability)
        columns.append((seen[:, None] == ways).flatten(2).all(2).float().mean(0))
    smallest = torch.linalg.svdvals(torch.stack(columns, 1))[-1]
    if probability == 1:
        assert smallest < 0.02
    else:
        assert smallest == pytest.approx(1 - probability, abs=0.03)

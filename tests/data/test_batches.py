"""Batches are a function of (seed, step); every picture is drawn once an epoch, whatever the numbers."""

import numpy as np
import pytest
import torch
from made_pictures import folder, picture

from limner.config import Augment
from limner.data import Batches, pack
from limner.data.augment import augmented
from limner.data.permutation import order
from limner.draws import TurnDraws
from limner.errors import UserError


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("set")
    folder(root / "a", 13, size=(8, 8))
    folder(root / "b", 10, size=(8, 8), first=40)
    return pack(root)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 64, 100, 1797, 4096])
def test_order_is_a_permutation_in_every_epoch(n):
    epochs = order(np.arange(5 * n), n, seed=3).reshape(5, n)
    assert (np.sort(epochs, 1) == np.arange(n)).all()
    if n > 7:
        assert len({tuple(e) for e in epochs.tolist()}) == 5
        assert not np.array_equal(epochs[0], order(np.arange(n), n, seed=4))


def test_order_is_a_pure_function_of_position():
    whole = order(np.arange(1000), 37, 9)
    picked = np.random.default_rng(0).permutation(1000)
    assert np.array_equal(order(picked, 37, 9), whole[picked])
    far = order(np.array([10**15, 10**15 + 1]), 12_000_000, 1)
    assert (far >= 0).all() and (far < 12_000_000).all()


def test_order_is_random():
    """Every picture comes to every place equally often, and neighbours are not neighbours again."""
    n, epochs = 10, 20_000
    drawn = order(np.arange(n * epochs), n, 0).reshape(epochs, n)
    counts = np.stack([np.bincount(drawn[:, place], minlength=n) for place in range(n)])
    chi = ((counts - epochs / n) ** 2 / (epochs / n)).sum()
    assert chi < 81 + 5 * (2 * 81) ** 0.5
    follows = np.mean(np.diff(drawn, axis=1) == 1)
    assert abs(follows - 1 / n) < 0.01


@pytest.mark.parametrize("batch", [1, 4, 7, 20, 64])
def test_each_picture_is_drawn_once_an_epoch(small, batch):
    batches = Batches(small, small.train, batch, seed=1)
    n = len(small.train)
    steps = -(-3 * n // batch)
    drawn = np.concatenate([batches.at(step).index.numpy() for step in range(steps)])
    for epoch in range(3):
        assert sorted(drawn[epoch * n : (epoch + 1) * n]) == small.train.tolist()


def test_a_batch_is_what_it_says(small):
    raw = Batches(small, small.train, 6, seed=1).at(4)
    assert raw.pictures.shape == (6, 3, 8, 8) and raw.pictures.dtype == torch.float32
    assert raw.labels.dtype == torch.int64 and raw.index.dtype == torch.int64
    wanted = small.read(raw.index.numpy()).transpose(0, 3, 1, 2) / 127.5 - 1
    assert np.abs(raw.pictures.numpy() - wanted).max() < 1e-6
    assert raw.labels.tolist() == small.labels(raw.index.numpy()).tolist()


def test_any_step_in_any_order_gives_the_same(small):
    augment = Augment(flip=0.5, shift=0.2)
    forward = [Batches(small, small.train, 6, 5, augment).at(step, turn=step % 2) for step in range(12)]
    again = Batches(small, small.train, 6, 5, augment)
    for step in (11, 3, 0, 7, 3):
        found = again.at(step, turn=step % 2)
        assert torch.equal(found.pictures, forward[step].pictures) and torch.equal(found.index, forward[step].index)
    assert not torch.equal(Batches(small, small.train, 6, 6).at(0).index, Batches(small, small.train, 6, 5).at(0).index)


def test_turns_are_consecutive_batches(small):
    one = Batches(small, small.train, 4, 2)
    five = Batches(small, small.train, 4, 2, turns=5)
    for step in range(3):
        for turn in range(5):
            assert torch.equal(five.at(step, turn).index, one.at(step * 5 + turn).index)


def test_processes_share_the_global_batch(small):
    augment = Augment(flip=0.5, shift=0.2, crop=0.8)
    whole = Batches(small, small.train, 12, 3, augment)
    parts = [Batches(small, small.train, 12, 3, augment, rank=r, world=3) for r in range(3)]
    for step in range(5):
        joined = [b.at(step) for b in parts]
        assert torch.equal(torch.cat([b.index for b in joined]), whole.at(step).index)
        assert torch.allclose(torch.cat([b.pictures for b in joined]), whole.at(step).pictures, atol=1e-6)
    with pytest.raises(UserError, match="cannot be shared by 5"):
        Batches(small, small.train, 12, 3, world=5)
    with pytest.raises(UserError, match="no pictures"):
        Batches(small, small.train[:0], 12, 3)


def draws(count, step=0):
    return TurnDraws((0, step, "augment", 0), count)


def test_flip_mirrors_about_half():
    x = torch.rand(400, 1, 4, 5)
    y = augmented(x, Augment(flip=0.5), draws(400))
    flipped = torch.tensor([torch.equal(a, b.flip(-1)) for a, b in zip(x, y, strict=True)])
    kept = torch.tensor([torch.equal(a, b) for a, b in zip(x, y, strict=True)])
    assert (flipped ^ kept).all() and 150 < flipped.sum() < 250


def test_shift_moves_whole_pixels_and_repeats_edges():
    x = torch.rand(200, 2, 10, 10)
    y = augmented(x, Augment(shift=0.2), draws(200))
    seen = set()
    padded = torch.nn.functional.pad(x, (2, 2, 2, 2), mode="replicate")
    for i in range(200):
        places = [(a, b) for a in range(5) for b in range(5) if torch.equal(padded[i, :, a : a + 10, b : b + 10], y[i])]
        assert places, "every result is a shift of the picture"
        seen.update(places)
    assert len(seen) == 25


def test_crop_and_turn_stay_in_range_and_off_means_untouched():
    x = torch.rand(50, 3, 12, 8) * 2 - 1
    assert augmented(x, Augment(), draws(50)) is x
    for augment in (Augment(crop=0.7), Augment(turn=20), Augment(crop=0.9, turn=5)):
        y = augmented(x, augment, draws(50))
        assert y.shape == x.shape and y.min() >= x.min() and y.max() <= x.max() and not torch.equal(x, y)
        assert torch.equal(y, augmented(x, augment, draws(50)))
        assert not torch.equal(y, augmented(x, augment, draws(50, step=1)))


def test_a_turn_keeps_shapes_on_oblong_pictures():
    """A disc turned about its middle is the same disc, however long the picture is."""
    yy, xx = torch.meshgrid(torch.arange(16.0), torch.arange(32.0), indexing="ij")
    disc = ((yy - 7.5) ** 2 + (xx - 15.5) ** 2 < 25).float()[None, None].repeat(20, 1, 1, 1)
    turned = augmented(disc, Augment(turn=90), draws(20))
    assert (turned - disc).abs().mean() < 0.02


def test_loading_is_fast(tmp_path):
    """More than 10,000 pictures of 32x32 a second of the processor's time; ten times that is usual."""
    import time

    root = folder(tmp_path / "set", 64, size=(32, 32))
    made = pack(root)
    batches = Batches(made, made.train, 64, 0)
    batches.at(0)
    start = time.process_time()
    for step in range(100):
        batches.at(step)
    assert 6400 / (time.process_time() - start) > 10_000


def test_one_picture_is_enough(tmp_path):
    root = tmp_path / "set"
    root.mkdir()
    picture(0, (8, 8)).save(root / "a.png")
    made = pack(root)
    assert len(made.train) == 1 and not len(made.held_out)
    assert Batches(made, made.train, 5, 0).at(3).index.tolist() == [0] * 5

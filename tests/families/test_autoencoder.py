"""Autoencoders: what is corrupted, what the codes' Gaussian becomes, codes that decode."""

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from limner.api import Attribute, Batch, Condition, Progress, Spec
from limner.draws import PictureDraws, TurnDraws
from limner.errors import UserError
from limner.families.vae.autoencoder import Autoencoder, AutoencoderConfig

SPEC = Spec(channels=3, height=12, width=8, attributes=(Attribute("kind", ("a", "b")),))
SMALL = {"width": 8, "widest": 16, "latent": 5, "hidden": 32}


def model(**config):
    config = AutoencoderConfig(**{**SMALL, **config})
    Autoencoder.check(config, SPEC)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Autoencoder(config, SPEC)


def batch(size=64, key=0):
    draws = TurnDraws((key,), size)
    labels = draws.integers("labels", 2, 1)
    return Batch(draws, (draws.normal("pictures", *SPEC.shape) / 3 + labels.view(-1, 1, 1, 1)).clamp(-1, 1), labels)


def looked(count=30, **config):
    """A model that has seen codes of `count` batches, and those codes with their labels."""
    found, seen = model(**config), []
    for step in range(count):
        turn = batch(key=step)
        with torch.no_grad():
            assert found.look(turn, Progress(step), {}) == {}
            seen.append((found.encode(turn.pictures), turn.labels))
    return found, *(torch.cat(each) for each in zip(*seen, strict=True))


@pytest.mark.parametrize("network", ["convolutional", "mlp"])
@pytest.mark.parametrize("corruption", [("none", 0.0), ("noise", 0.3), ("masking", 0.25)])
def test_every_combination(network, corruption):
    found = model(network=network, corruption=corruption[0], amount=corruption[1])
    turn = batch()
    assert torch.isfinite(found.loss(turn, Progress(), {})["error"])
    assert found.encode(turn.pictures).shape == (64, 5)
    assert found.decode(found.encode(turn.pictures)).shape == turn.pictures.shape


def test_noise_has_its_deviation_and_masks_their_share():
    turn = batch(512)
    noisy = model(corruption="noise", amount=0.4).corrupted(turn.pictures, turn.draws)
    assert float((noisy - turn.pictures).std()) == pytest.approx(0.4, rel=0.02)
    masked = model(corruption="masking", amount=0.25).corrupted(turn.pictures, turn.draws)
    changed = (masked != turn.pictures) | (masked == -1)
    black = (masked == -1).all(1)
    assert float(black.float().mean()) == pytest.approx(0.25, abs=0.02)
    assert torch.equal(changed.any(1) & ~black & (turn.pictures != -1).all(1), torch.zeros_like(black))  # whole pixels
    assert torch.equal(model().corrupted(turn.pictures, turn.draws), turn.pictures)


def test_the_clean_picture_is_asked_for():
    """The error of a decoder that gives the clean pictures is 0, whatever was encoded."""
    found, turn = model(corruption="masking", amount=0.5), batch()
    found._decoded = lambda codes: turn.pictures
    assert float(found.loss(turn, Progress(), {})["error"]) == 0


def test_codes_are_drawn_from_the_gaussian_of_the_encoded():
    found, codes, labels = looked()
    for asked, rows in ((-1, codes), (1, codes[labels[:, 0] == 1])):
        reference = LedoitWolf().fit(rows.double().numpy())
        noise = TurnDraws((9,), 20_000).normal("noise", 5)
        drawn = found._coloured(noise, asked + 1).double().numpy()
        # The looks fade a little, so that the first batches count less.
        deviation = np.sqrt(np.diag(reference.covariance_))
        assert np.abs((drawn.mean(0) - reference.location_) / deviation).max() < 0.1
        assert np.abs((np.cov(drawn.T) - reference.covariance_) / np.outer(deviation, deviation)).max() < 0.1


def test_old_looks_fade():
    found, _, _ = looked(400)
    assert 64 * 45 < float(found.codes.sums().count) < 64 * 55


def test_pictures_follow_their_labels():
    found, _, _ = looked()
    draws = PictureDraws(0, range(40))
    one, other = (
        next(found.paint(draws, Condition(torch.full((40, 1), label)), found.Sampling())).detach() for label in (0, 1)
    )
    assert not torch.allclose(one, other)
    mixed = next(found.paint(draws, Condition(torch.tensor([[0], [1]] * 20)), found.Sampling())).detach()
    torch.testing.assert_close(mixed[::2], one[::2], atol=1e-5, rtol=1e-4)


def test_untrained_it_paints_all_the_same():
    canvas = next(model().paint(PictureDraws(0, range(3)), Condition(), Autoencoder.Sampling()))
    assert canvas.shape == (3, *SPEC.shape) and canvas.abs().max() <= 1


@pytest.mark.parametrize("wrong", [{"corruption": "noise"}, {"amount": 0.2}, {"corruption": "masking", "amount": 1.0}])
def test_corruption_without_meaning_is_refused(wrong):
    with pytest.raises(UserError, match="amount"):
        model(**wrong)
